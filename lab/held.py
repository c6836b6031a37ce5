"""What a daemon holds and works with: a token with its task, code snapshots, chores, and which errors pass by."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Protocol

from lab.executors import Exit, Launch
from lab.job import JobSpec
from lab.token import Token

PASSING = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR, errno.ENOTCONN, errno.EHOSTDOWN)


def passing(error: Exception) -> bool:
    """Whether an error is one of an outage, after which the same thing may succeed. A full disk is not."""
    return isinstance(error, OSError) and error.errno in PASSING


class Code(Protocol):
    """Code snapshots on this host. `ready` never blocks: the folder, None while it is made, or LabError."""

    def ready(self, code_id: str) -> str | None: ...


class Chore(Protocol):
    """Something else a daemon does for the lab (inbox, notes)."""

    def look(self) -> bool:
        """Do a little; True while there is more to do."""

    def ended(self, exp: str) -> None:
        """A job of that experiment came to its end here."""


@dataclass
class Task:
    """One token this daemon holds."""

    token: Token
    spec: JobSpec
    launch: Launch | None = None
    started_mono: float = 0.0
    started_wall: float = 0.0
    stop: str = ""  # why it was told to end: "time limit", "cancelled", "draining", "fenced"
    exit: Exit | None = None
    ended_mono: float = 0.0
    broken: str = ""  # why it cannot be started or committed
    passing: bool = False  # and that is the share's fault, not the job's

    @property
    def running(self) -> bool:
        return self.launch is not None and self.exit is None
