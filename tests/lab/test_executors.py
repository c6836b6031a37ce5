"""One contract for every executor: start, poll, terminate, kill."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeClock

from lab.executors import Exit, Launch
from lab.executors.fake import FakeExecutor, FakeRun
from lab.executors.process import ProcessExecutor

SCRIPTS = {
    "quick": (["true"], FakeRun(seconds=0.0)),
    "fails": (["sh", "-c", "exit 3"], FakeRun(seconds=0.0, code=3)),
    "slow": (["sh", "-c", "trap 'exit 75' TERM; while :; do sleep 0.05; done"], FakeRun(seconds=1e9)),
    "deaf": (["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"], FakeRun(seconds=1e9, on_term=-9, term_s=0.3)),
}


class Bench:
    """An executor, and how to let its time go by."""

    def __init__(self, executor: Any, tmp_path: Path, tick: Callable[[], None]) -> None:
        self.executor, self.tmp_path, self.tick = executor, tmp_path, tick
        self.over: dict[str, Exit] = {}

    def start(self, script: str) -> str:
        key = f"{script}-{len(list(self.tmp_path.iterdir()))}"
        (self.tmp_path / key).mkdir()
        env = {"PATH": os.environ["PATH"]}
        folder = str(self.tmp_path / key)
        self.executor.start(Launch(key, SCRIPTS[script][0], env, folder, folder, 0.3))
        return key

    def wait(self, key: str) -> Exit:
        for _ in range(1000):
            self.over.update(self.executor.poll())
            if key in self.over:
                return self.over[key]
            self.tick()
        raise AssertionError(f"{key} does not end")


@pytest.fixture(params=["process", "fake"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, fake_clock: FakeClock) -> Iterator[Bench]:
    if request.param == "process":
        yield Bench(ProcessExecutor(str(tmp_path / "local"), 60), tmp_path, lambda: time.sleep(0.02))
    else:
        plan = lambda launch: SCRIPTS[launch.key.partition("-")[0]][1]  # noqa: E731
        yield Bench(FakeExecutor(fake_clock, plan), tmp_path, lambda: fake_clock.advance(0.02))


def test_an_exit_is_reported_once(bench: Bench) -> None:
    key = bench.start("quick")
    assert bench.wait(key).code == 0
    assert bench.executor.poll() == {}


def test_several_run_at_once(bench: Bench) -> None:
    slow, failing = bench.start("slow"), bench.start("fails")
    assert bench.wait(failing).code == 3
    assert slow not in bench.over
    bench.executor.kill(slow)
    assert bench.wait(slow).code == -9


def test_terminate_is_term_then_kill(bench: Bench) -> None:
    slow, deaf = bench.start("slow"), bench.start("deaf")
    for _ in range(15):
        bench.tick()
    bench.executor.terminate(slow)
    bench.executor.terminate(deaf)
    assert bench.wait(slow).code == 75
    assert bench.wait(deaf).code == -9


def test_words_to_nobody_are_fine(bench: Bench) -> None:
    bench.executor.terminate("nobody")
    bench.executor.kill("nobody")
    bench.executor.beat()
