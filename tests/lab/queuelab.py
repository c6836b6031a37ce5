"""A lab on disk with experiments made of plain specs, a daemon that only pretends, and time that tests move."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fakes import FakeClock

from lab import births
from lab.cluster import Cluster
from lab.daemon import Daemon
from lab.executors import Launch
from lab.executors.fake import FakeExecutor, FakeRun
from lab.fsio import Fs, RealFs
from lab.host import Capacity
from lab.job import Input, JobSpec, JobState, Resources
from lab.paths import LabPaths
from lab.queue import Queue
from lab.release import Releaser

EXP = "exp-abcdef"


def spec(job: str, *, needs: tuple[str, ...] = (), exp: str = EXP, index: int = 0, **changes: Any) -> JobSpec:
    """A job that needs others; its step has its name."""
    resources = Resources(**changes.pop("resources", {}))
    return JobSpec(
        job=job,
        exp=exp,
        seq=f"{1795412345000:013d}{index:05d}",
        step=job,
        argv=tuple(changes.pop("argv", ("true",))),
        needs=needs,
        inputs={need: Input((need,)) for need in needs},
        resources=resources,
        **changes,
    )


def manifest(*specs: JobSpec, exp: str = EXP) -> dict[str, Any]:
    """The manifest of an experiment with these jobs."""
    return {
        "format": 1, "exp": exp, "slug": "exp", "title": "t", "created": "", "submitted_by": "", "protocol_sha256": "x",
        "protocol_text": "version: 1\n", "protocol": {}, "code": None, "decision": {},
        "jobs": [one.to_dict() for one in specs],
    }  # fmt: skip


class QueueLab:
    """Everything a test of the queue needs."""

    def __init__(self, paths: LabPaths, clock: FakeClock, fs: Fs | None = None) -> None:
        self.paths, self.clock, self.fs = paths, clock, fs or RealFs()
        self.logged: list[str] = []
        self.cluster = Cluster()
        self.queue = self.actor("cli-0000000000000001")

    def actor(self, who: str) -> Queue:
        """Somebody else's view of the same queue."""
        return Queue(self.fs, self.clock, self.paths, who, self.cluster, log=self.logged.append)

    def submit(self, *specs: JobSpec, exp: str = EXP) -> None:
        assert births.publish_experiment(self.queue, manifest(*specs, exp=exp))
        births.expand(self.queue, exp)
        Releaser(self.queue).release()

    def daemon(
        self, name: str = "host-00000000000000aa", plan: Callable[[Launch], FakeRun] | None = None, **capacity: Any
    ) -> Daemon:
        """A daemon whose tasks only pretend."""
        executor = FakeExecutor(self.clock, plan or (lambda launch: FakeRun()), write)
        return Daemon(self.actor(name), executor, Capacity(**{"cpus": 2, **capacity}))

    def run(self, daemon: Daemon, seconds: float, step_s: float = 0.5) -> None:
        """Let a daemon work for a while."""
        for _ in range(int(seconds / step_s)):
            daemon.step()
            self.clock.advance(step_s)
        daemon.step()

    def states(self) -> dict[str, str]:
        return {token.job: state.word for state, token, _ in self.queue.snapshot()}

    def state(self, job: str) -> tuple[JobState, int, int]:
        """State, losses, failures."""
        state, token, _ = self.queue.find(job)
        return state, token.l, token.f

    def events(self) -> list[dict[str, Any]]:
        self.queue.events.flush()
        lines = [
            line for path in Path(self.paths.events_root).glob("*/*.jsonl") for line in path.read_text().splitlines()
        ]
        return [json.loads(line) for line in lines]


def write(path: str, data: bytes) -> None:
    """What a pretended task leaves."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(data)
