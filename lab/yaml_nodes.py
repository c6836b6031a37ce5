"""YAML as protocols use it: YAML 1.2 core scalars, text keys given once, bounded size, and every value's position."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import BaseConstructor
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

MAX_BYTES = 256 * 1024
MAX_NODES = 50_000  # after aliases are expanded
MAX_DEPTH = 40
MAX_DIGITS = 100
Loc = tuple[str | int, ...]

_INT = re.compile(r"[-+]?[0-9]+", re.ASCII)
_OCT = re.compile(r"0o[0-7]+", re.ASCII)
_HEX = re.compile(r"0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(frozen=True)
class Mistake:
    """One thing wrong with the text; line and col count from 1."""

    line: int
    col: int
    message: str


class YamlError(ValueError):
    """All mistakes of a text that is not a protocol's kind of YAML."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("; ".join(mistake.message for mistake in mistakes))
        self.mistakes = mistakes


class _Loader(Reader, Scanner, Parser, Composer, BaseConstructor, BaseResolver):
    """Composes nodes without resolving anything: plain scalars are judged below, by YAML 1.2's rules."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseConstructor.__init__(self)
        BaseResolver.__init__(self)
        self.depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise yaml.MarkedYAMLError(
                None,
                None,
                f"tags such as {tag.replace('tag:yaml.org,2002:', '!!')} are not used here",
                event.start_mark,
            )
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(None, None, f"nested more than {MAX_DEPTH} deep", event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class Positions:
    """Where each value of a document is."""

    def __init__(self, root: yaml.Node | None) -> None:
        self._root = root

    def at(self, loc: Loc, *, key: bool = False, offset: int = 0) -> tuple[int, int]:
        """Line and column (from 1) of the value at `loc`, or of the nearest thing around it.

        `key` asks for the key instead of its value; `offset` counts characters into a one-line text.
        """
        node, last_key = self._root, None
        if node is None:
            return 1, 1
        for part in loc:
            found: tuple[yaml.Node | None, yaml.Node] | None = None
            if isinstance(node, yaml.MappingNode):
                found = next(((k, v) for k, v in node.value if k.value == part), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                found = (None, node.value[part])
            if found is None:
                # Something is missing here, so the thing around it is meant, and no place inside a text.
                key, offset = False, 0
                break
            last_key, node = found
        if key and last_key is not None and node is not None:
            node, offset = last_key, 0
        mark = node.start_mark
        if offset and isinstance(node, yaml.ScalarNode) and node.start_mark.line == node.end_mark.line:
            quoted = 0 if node.style is None else 1
            return mark.line + 1, mark.column + 1 + quoted + offset
        return mark.line + 1, mark.column + 1


def read_yaml(data: bytes) -> tuple[Any, Positions, str]:
    """Plain data (dicts with text keys, lists, scalars), positions and the text; YamlError with all that is wrong."""
    if len(data) > MAX_BYTES:
        raise YamlError([Mistake(1, 1, f"the file has {len(data)} bytes; protocols have at most {MAX_BYTES}")])
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        col = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        raise YamlError([Mistake(line, col, f"not UTF-8: byte 0x{data[error.start]:02x}")]) from error
    node = _compose(text)
    maker = _Maker()
    value = maker.make(node, ()) if node is not None else None
    if maker.mistakes:
        raise YamlError(maker.mistakes)
    return value, Positions(node), text


def _compose(text: str) -> yaml.Node | None:
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        return loader.get_single_node()
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        where = Mistake(before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1, "")
        shown = f"character U+{ord(text[error.position]):04X}" if error.position < len(text) else str(error.reason)
        raise YamlError([Mistake(where.line, where.col, f"not YAML: {shown} is not allowed")]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.problem, error.context and f"({error.context})") if part)
        own = error.problem and ("are not used here" in error.problem or "nested more than" in error.problem)
        line, col = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise YamlError([Mistake(line, col, what if own else f"not YAML: {what}")]) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise YamlError([Mistake(1, 1, f"not YAML: {error}")]) from error
    finally:
        if loader is not None:
            loader.dispose()


class _Maker:
    """Nodes to plain data, gathering mistakes on the way."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self.count = 0
        self.open: set[int] = set()

    def _wrong(self, node: yaml.Node, message: str) -> None:
        mistake = Mistake(node.start_mark.line + 1, node.start_mark.column + 1, message)
        if mistake not in self.mistakes:
            self.mistakes.append(mistake)

    def make(self, node: yaml.Node, loc: Loc) -> Any:
        self.count += 1
        if self.count > MAX_NODES:
            if self.count == MAX_NODES + 1:
                self._wrong(node, f"aliases expand to more than {MAX_NODES} values")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self.open or len(loc) > MAX_DEPTH:
            self._wrong(node, "an alias that contains itself")
            return None
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.make(item, (*loc, index)) for index, item in enumerate(node.value)]
            return self._mapping(node, loc)
        finally:
            self.open.discard(id(node))

    def _mapping(self, node: yaml.Node, loc: Loc) -> dict[str, Any]:
        made: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._wrong(key_node, "a key must be text")
                continue
            key = key_node.value
            if key == "<<" and key_node.style is None:
                self._wrong(key_node, "merge keys (<<) are not part of YAML 1.2; write the values out")
                continue
            if not isinstance(self._scalar(key_node), str):
                self._wrong(key_node, f"a key must be text; quote it: '{key}'")
                continue
            if key in made:
                self._wrong(key_node, f"the key {key} is there already, at line {lines[key]}")
                continue
            lines[key] = key_node.start_mark.line + 1
            made[key] = self.make(value_node, (*loc, key))
        return made

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text: str = node.value
        if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
            self._wrong(node, "a text may not hold NUL or half of a surrogate pair")
            return None
        if node.style is not None:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _NOT_FINITE.fullmatch(text):
            self._wrong(node, f"{text}: infinities and NaN are not used here; leave the key out or write null")
            return None
        number = next((base for rule, base in ((_INT, 10), (_OCT, 8), (_HEX, 16)) if rule.fullmatch(text)), None)
        if (number or _FLOAT.fullmatch(text)) and len(text) > MAX_DIGITS:
            self._wrong(node, f"a number of more than {MAX_DIGITS} characters; quote it if it is text")
            return None
        if number:
            return int(text if number == 10 else text[2:], number)
        if _FLOAT.fullmatch(text):
            value = float(text)
            if math.isinf(value):
                self._wrong(node, f"{text} is too large for a number")
                return None
            return value
        return text
