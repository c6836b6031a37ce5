"""Time as a parameter: one clock for spans that survives suspend, one for dates, and sleep."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the queue and the daemon know of time. `monotonic` values of two hosts are never compared."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back and goes on while the host is suspended."""

    def wall(self) -> float:
        """Seconds since 1970, for dates, submit order and retry not-before only."""

    def sleep(self, seconds: float) -> None:
        """Wait; a caller may be woken early."""


class RealClock:
    """The machine's clocks. CLOCK_BOOTTIME, because a suspended host must see how long it slept."""

    def __init__(self) -> None:
        self._id = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def monotonic(self) -> float:
        return time.clock_gettime(self._id)

    def wall(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)
