"""An executor that only pretends, on a given clock: for simulations and tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lab.clock import Clock
from lab.executors import EXIT_PREEMPTED, Exit, Launch


@dataclass(frozen=True)
class FakeRun:
    """What a pretended attempt does: how long, with which exit, and the files it leaves under its folder."""

    seconds: float = 1.0
    code: int = 0
    files: Mapping[str, bytes] = field(default_factory=dict)
    on_term: int = EXIT_PREEMPTED
    term_s: float = 0.0


@dataclass
class _Pretended:
    launch: Launch
    run: FakeRun
    started: float
    ends: float
    code: int
    cause: str = ""


class FakeExecutor:
    """`plan` says what each attempt does; `write` stores a file that the attempt leaves (not synced, as tasks do)."""

    def __init__(
        self, clock: Clock, plan: Callable[[Launch], FakeRun], write: Callable[[str, bytes], None] | None = None
    ) -> None:
        self._clock, self._plan, self._write = clock, plan, write or (lambda path, data: None)
        self.running: dict[str, _Pretended] = {}
        self.started: list[Launch] = []
        self.beats = 0

    def start(self, launch: Launch) -> None:
        """Begin to pretend."""
        if launch.key in self.running:
            raise OSError(f"{launch.key} runs already")
        now = self._clock.monotonic()
        run = self._plan(launch)
        self.started.append(launch)
        self.running[launch.key] = _Pretended(launch, run, now, now + run.seconds, run.code)
        self._write(f"{launch.attempt_dir}/log.txt", b"pretended\n")

    def poll(self) -> dict[str, Exit]:
        """Attempts whose time is over."""
        now = self._clock.monotonic()
        over: dict[str, Exit] = {}
        for key, item in list(self.running.items()):
            if item.ends > now:
                continue
            del self.running[key]
            if not item.cause:
                for name, data in item.run.files.items():
                    self._write(f"{item.launch.attempt_dir}/{name}", data)
            wall = self._clock.wall()
            over[key] = Exit(item.code, item.cause, wall - (now - item.started), wall, now - item.started)
        return over

    def terminate(self, key: str) -> None:
        """The pretended task answers TERM as its plan says."""
        item = self.running.get(key)
        if item is not None and not item.cause:
            item.cause, item.code = "asked", item.run.on_term
            item.ends = min(item.ends, self._clock.monotonic() + item.run.term_s)

    def kill(self, key: str) -> None:
        """It ends now."""
        item = self.running.get(key)
        if item is not None:
            item.cause, item.code, item.ends = "killed", -9, self._clock.monotonic()

    def beat(self) -> None:
        """Count the beats."""
        self.beats += 1
