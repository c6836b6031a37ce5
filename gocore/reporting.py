"""How long-running work reports and is asked to stop; the tasks' context implements it, tests do it simply."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class Preempted(Exception):
    """The work stopped because it was asked to; it has written a checkpoint that a later attempt goes on from."""


class Reporter(Protocol):
    """What self-play, training and matches need of whoever started them."""

    @property
    def preempted(self) -> bool:
        """Whether to checkpoint and leave as soon as possible."""
        ...

    def log(self, step: int, values: dict[str, float]) -> None:
        """Append one line of metrics."""
        ...

    def progress(
        self,
        done: float,
        total: float | None,
        unit: str,
        *,
        message: str | None = None,
        metric: tuple[str, float] | None = None,
    ) -> None:
        """Say how far the work is."""
        ...

    def checkpoint(self, fill: Callable[[Path], None]) -> Path:
        """Publish a checkpoint from the files that `fill` writes into the folder it is given."""
        ...

    def checkpoint_due(self, every_s: float) -> bool:
        """Whether the last checkpoint (or the start) is longer ago than that."""
        ...
