"""Stand-ins that several test folders share (tests/ is on sys.path through its conftest)."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, ClassVar

from lab.fsio import RealFs


class FakeClock:
    """Time that moves only when told, or when somebody sleeps."""

    def __init__(self, wall: float = 1_795_412_345.0) -> None:
        self._start = wall
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self._start + self.now - 1000.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += max(0.0, seconds)

    def advance(self, seconds: float) -> None:
        self.now += seconds


class LossyFs(RealFs):
    """A real folder whose next calls lie as NFS may: `lose` does the call, then reports the error of a repeated one."""

    def __init__(self) -> None:
        self.faults: list[tuple[str, str]] = []
        self.calls: list[str] = []

    def lose(self, *names: str) -> None:
        """The next call of each name happens, but its reply is lost and the repeated request fails."""
        self.faults += [(name, "lost") for name in names]

    def refuse(self, *names: str) -> None:
        """The next call of each name does not happen and reports ENOENT from a stale view."""
        self.faults += [(name, "stale") for name in names]

    def _call(self, name: str, real: Callable[..., Any], *args: Any) -> Any:
        self.calls.append(name)
        fault = next((kind for call, kind in self.faults if call == name), None)
        if fault is None:
            return real(*args)
        self.faults.remove((name, fault))
        if fault == "lost":
            real(*args)
            if name in ("link", "mkdir"):
                raise FileExistsError(errno.EEXIST, "exists", args[-1])
        raise FileNotFoundError(errno.ENOENT, "gone", args[0])

    def rename(self, src: str, dst: str) -> None:
        self._call("rename", super().rename, src, dst)

    def link(self, src: str, dst: str) -> None:
        self._call("link", super().link, src, dst)

    def unlink(self, path: str) -> None:
        self._call("unlink", super().unlink, path)


class FakeTask:
    """A task specification as an instrument would declare it: `size` 1..19 is required, `net` and `lr` are known."""

    argv = ("{python}", "-m", "fake", "play")
    summary = "Pretend to play."
    params: ClassVar[dict[str, str]] = {"size": "int", "net": "path", "lr": "float", "seed": "int"}
    artifacts = ("net", "log")
    metrics = ("winrate", "elo", "loss")

    def check(self, params: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        problems: list[tuple[tuple[str | int, ...], str]] = []
        for key, value in params.items():
            if key not in self.params:
                problems.append(((key,), "is not a parameter here"))
            elif isinstance(value, str) and value.startswith("${"):
                continue
            elif key == "size" and not (isinstance(value, int) and 1 <= value <= 19):
                problems.append(((key,), f"must be from 1 to 19, not {value}"))
            elif key == "lr" and not isinstance(value, float):
                problems.append(((key,), f"must be a number, not {value!r}"))
        if "size" not in params:
            problems.append((("size",), "is missing"))
        return problems
