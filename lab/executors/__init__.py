"""What the daemon asks of whatever runs a task: start, poll, terminate, kill, beat."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Executor", "Exit", "Launch"]

EXIT_DONE = 0
EXIT_BAD_PARAMETERS = 2
EXIT_PREEMPTED = 75


@dataclass(frozen=True)
class Launch:
    """One attempt, ready to be executed. `key` is the name of its token in run/."""

    key: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    attempt_dir: str
    grace_s: float
    lock_fds: tuple[int, ...] = field(default=())


@dataclass(frozen=True)
class Exit:
    """How an attempt ended. `code` is negative for a signal, as in subprocess."""

    code: int
    cause: str = ""
    started: float = 0.0
    finished: float = 0.0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_bytes: int = 0


class Executor(Protocol):
    """Runs attempts by key. No call blocks; an attempt is over only when poll() has returned its Exit."""

    def start(self, launch: Launch) -> None:
        """Start it; OSError when it cannot be started."""

    def poll(self) -> dict[str, Exit]:
        """The attempts that ended since the last call: every process of theirs is gone."""

    def terminate(self, key: str) -> None:
        """TERM, grace, KILL."""

    def kill(self, key: str) -> None:
        """KILL at once."""

    def beat(self) -> None:
        """Tell what guards the tasks that the daemon lives."""
