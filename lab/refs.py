"""References in a protocol: `${sweep.X}` and its kin are put in at submit, `${steps.…}` when the job starts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

STATIC = ("seed", "arm", "shard", "shards", "repeat")
_START = re.compile(r"\$\$\{|\$\{")  # "$${" is a literal "${"
_REF = re.compile(r"\$\$\{|\$\{([^${}]*)\}")
_WORD = r"[A-Za-z0-9_][A-Za-z0-9_-]*"
_SWEEP = re.compile(rf"sweep\.({_WORD})", re.ASCII)
_RESULT = re.compile(rf"(previous|steps\.({_WORD}))\.(artifacts|metrics)\.({_WORD}(?:\.{_WORD})*)", re.ASCII)
FORMS = (
    "${sweep.KEY}, ${seed}, ${arm}, ${shard}, ${shards}, ${repeat}, "
    "${steps.ID.artifacts.NAME}, ${steps.ID.metrics.NAME} or ${previous.artifacts.NAME}"
)
Loc = tuple[str | int, ...]


class RefError(ValueError):
    """Text with `${` in it that is not a reference."""


@dataclass(frozen=True)
class Ref:
    """One `${…}`. `kind`: sweep (with `name`), one of STATIC, steps (`step`, `what`, `name`) or previous."""

    text: str
    kind: str
    step: str = ""
    what: str = ""
    name: str = ""

    @property
    def runtime(self) -> bool:
        """Whether it can only be known from accepted results."""
        return self.kind in ("steps", "previous")

    @property
    def source(self) -> str:
        """The key into a job spec's `inputs`: the step's id, or `previous`."""
        return self.step if self.kind == "steps" else self.kind


Value = Any
Resolver = Callable[[Ref], Value]


class _Absent:
    """What a resolver returns to have the list item or mapping entry left out."""


ABSENT = _Absent()


def parse_ref(inner: str) -> Ref:
    """The reference between `${` and `}`."""
    text = "${" + inner + "}"
    name = inner.strip()
    if name in STATIC:
        return Ref(text, name)
    if match := _SWEEP.fullmatch(name):
        return Ref(text, "sweep", name=match[1])
    if match := _RESULT.fullmatch(name):
        kind = "previous" if match[1] == "previous" else "steps"
        return Ref(text, kind, step=match[2] or "", what=match[3], name=match[4])
    raise RefError(f"{text} is not a reference; there are {FORMS}")


def find(value: Any, loc: Loc = ()) -> Iterator[tuple[Loc, Ref | RefError, bool]]:
    """Every reference in a nested value: where, what it is (or why none), and whether it is the whole text."""
    if isinstance(value, str):
        at = 0
        while start := _START.search(value, at):
            match = _REF.match(value, start.start())
            if match is None:
                yield loc, RefError(f"{value[start.start() : start.start() + 20]!r}: no closing brace"), False
                return
            at = match.end()
            if match[1] is not None:
                try:
                    yield loc, parse_ref(match[1]), match[0] == value
                except RefError as error:
                    yield loc, error, False
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from find(item, (*loc, key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from find(item, (*loc, index))


def substitute(value: Any, resolver: Resolver) -> Any:
    """Put static references in; a text that is nothing but one takes the value's type.

    Runtime references and the escape `$${` stay as they are, for `bind`. Where `resolver` returns ABSENT for a
    reference that is the whole text, the entry is left out (the first of a `repeat` has no `${previous…}`).
    """
    return _map(value, resolver, lambda ref: not ref.runtime or ref.kind == "previous", unescape=False)


def bind(value: Any, resolver: Resolver) -> Any:
    """Put runtime references in (`params` of a job, when it starts) and turn `$${` into `${`."""
    return _map(value, resolver, lambda ref: True, unescape=True)


def bind_argv(argv: list[str] | tuple[str, ...], resolver: Resolver) -> list[str]:
    """Bind a command line; a word that is one reference to several things becomes several words."""
    words: list[str] = []
    for word in argv:
        bound = bind(word, resolver)
        words.extend(_as_text(item) for item in (bound if isinstance(bound, list) else [bound]))
    return words


def _map(value: Any, resolver: Resolver, wanted: Callable[[Ref], bool], *, unescape: bool) -> Any:
    if isinstance(value, str):
        return _map_text(value, resolver, wanted, unescape)
    if isinstance(value, dict):
        mapped = {key: _map(item, resolver, wanted, unescape=unescape) for key, item in value.items()}
        return {key: item for key, item in mapped.items() if item is not ABSENT}
    if isinstance(value, (list, tuple)):
        items = [_map(item, resolver, wanted, unescape=unescape) for item in value]
        return [item for item in items if item is not ABSENT]
    return value


def _map_text(text: str, resolver: Resolver, wanted: Callable[[Ref], bool], unescape: bool) -> Any:
    whole = _REF.fullmatch(text)
    if whole and whole[1] is not None:
        ref = parse_ref(whole[1])
        return resolver(ref) if wanted(ref) else text

    def put(match: re.Match[str]) -> str:
        if match[1] is None:
            return "${" if unescape else match[0]
        ref = parse_ref(match[1])
        return _as_text(resolver(ref)) if wanted(ref) else match[0]

    return _REF.sub(put, text)


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise RefError(f"{type(value).__name__} cannot become part of a text; let the reference stand alone")
