"""The errors a user can meet: each says what, where and what to do, and knows its exit code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class LabError(Exception):
    """Anything the lab refuses or cannot do; `hint` says what to do about it."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(LabError):
    """The command or its input was wrong."""

    exit_code = 2


class NotFound(LabError):
    """No lab, experiment, job, file or task of that name."""

    exit_code = 3


class LeaseError(LabError):
    """Something else holds what was asked for: a second daemon, a GPU, a token that moved on."""

    exit_code = 4


class EnvironmentProblem(LabError):
    """The machine or the share is not as it must be: missing folders, another lab's folder, no compiler."""

    exit_code = 5


class Interrupted(LabError):
    """Ctrl-C came after something was committed; the message says what."""

    exit_code = 130


class CorruptFile(LabError):
    """A file of the lab that does not parse, or whose checksum does not match."""

    def __init__(self, path: str, why: str, hint: str | None = None) -> None:
        super().__init__(f"{path}: corrupt: {why}", hint)
        self.path = path
        self.why = why

    def __reduce__(self) -> tuple[type, tuple[str, str, str | None]]:
        return (type(self), (self.path, self.why, self.hint))


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a file. `line` and `col` count from 1; 0 where the file as a whole is meant."""

    file: str
    line: int
    col: int
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.col}" if self.line else self.file
        return f"{where}: {self.message}"


class ProtocolErrors(LabError):
    """All mistakes found in one file, in the order of their positions."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem], hint: str | None = None) -> None:
        self.problems: list[Problem] = sorted(set(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems), hint)

    def __reduce__(self) -> tuple[type, tuple[list[Problem], str | None]]:
        return (type(self), (self.problems, self.hint))


def near(name: str, known: Iterable[str]) -> str:
    """A "did you mean" clause for a name that is not among `known`; empty when nothing is close."""
    import difflib

    close = difflib.get_close_matches(name, list(known), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""
