"""The token's name: a job's whole state besides its folder, parsed strictly so that a stray file is never a job."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

_COUNT = r"(0|[1-9][0-9]{0,8})"
_SLUG = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_NAME = re.compile(
    rf"([0-9]{{18}})-({_SLUG})\.g{_COUNT}\.l{_COUNT}\.f{_COUNT}(?:\.t(0|[1-9][0-9]{{0,11}}))?(?:\.({_SLUG}-[0-9a-f]{{16}}))?",
    re.ASCII,
)
_INC = re.compile(rf"({_SLUG})-([0-9a-f]{{16}})", re.ASCII)
_JOB = re.compile(_SLUG, re.ASCII)
MAX_JOB_CHARS = 80
MAX_INC_CHARS = 60
MAX_COUNT = 999_999_999
MAX_NAME_CHARS = 240  # file systems stop at 255 bytes


@dataclass(frozen=True)
class Token:
    """One name. `g` rises at every rename, `l` counts infrastructure losses, `f` the job's own failures,
    `t` (unix seconds) is the not-before of a delayed token, `inc` the daemon that ran it."""

    seq: str
    job: str
    g: int = 0
    l: int = 0  # noqa: E741  (the grammar's letter)
    f: int = 0
    t: int | None = None
    inc: str | None = None

    def __post_init__(self) -> None:
        fields = (self.seq, self.job, self.g, self.l, self.f, self.t, self.inc)
        if _fields(self._text()) != fields:
            raise ValueError(f"not a token name: {self._text()!r}")

    def _text(self) -> str:
        not_before = "" if self.t is None else f".t{self.t}"
        inc = "" if self.inc is None else f".{self.inc}"
        return f"{self.seq}-{self.job}.g{self.g}.l{self.l}.f{self.f}{not_before}{inc}"

    @property
    def name(self) -> str:
        """The file name."""
        return self._text()

    @property
    def epoch(self) -> int:
        """G of a run/ token is the attempt's epoch (`LAB_EPOCH`)."""
        return self.g

    def next(self, **changes: Any) -> Token:
        """The name after one more rename: G rises by one, everything not in `changes` stays."""
        if "g" in changes:
            raise ValueError("G rises by itself")
        return replace(self, g=self.g + 1, **changes)


def _fields(name: str) -> tuple[str, str, int, int, int, int | None, str | None] | None:
    if len(name) > MAX_NAME_CHARS:
        return None
    match = _NAME.fullmatch(name)
    if match is None or len(match[2]) > MAX_JOB_CHARS or len(match[7] or "") > MAX_INC_CHARS:
        return None
    not_before = None if match[6] is None else int(match[6])
    return match[1], match[2], int(match[3]), int(match[4]), int(match[5]), not_before, match[7]


def parse(name: str) -> Token | None:
    """The token of that file name, or None for anything else whatsoever."""
    fields = _fields(name)
    if fields is not None and max(fields[2:5]) >= MAX_COUNT:
        return None  # there would be no name for its next rename
    return None if fields is None else Token(*fields)


def is_inc(name: str) -> bool:
    """Whether `name` is an incarnation, `<host slug>-<16 hex>`."""
    return len(name) <= MAX_INC_CHARS and _INC.fullmatch(name) is not None


def is_job_id(name: str) -> bool:
    """Whether `name` may be a job's id."""
    return len(name) <= MAX_JOB_CHARS and _JOB.fullmatch(name) is not None


def host_of(inc: str) -> str:
    """The host slug in an incarnation."""
    match = _INC.fullmatch(inc)
    return match[1] if match else inc


def new_inc(host: str, random_hex16: str) -> str:
    """An incarnation for a daemon on `host`; the caller brings the 64 random bits as 16 hex digits."""
    words = re.sub(r"[^a-z0-9]+", "-", host.lower().split(".")[0]).strip("-")[: MAX_INC_CHARS - 17].strip("-")
    inc = f"{words or 'host'}-{random_hex16}"
    if not is_inc(inc):
        raise ValueError(f"not 16 hex digits: {random_hex16!r}")
    return inc
