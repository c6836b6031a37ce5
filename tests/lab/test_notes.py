"""Notes are built once per final state of an experiment, by a process of its own, and again after a retry."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from fakes import FakeClock
from queuelab import EXP, QueueLab, spec

from lab import queue_ops
from lab.executors.fake import FakeRun
from lab.notes import NoteBuilder
from lab.paths import LabPaths


class Spawner:
    """Starts a harmless process instead of a note build."""

    def __init__(self, code: int = 0) -> None:
        self.code, self.exps = code, []  # type: ignore[var-annotated]

    def __call__(self, paths: LabPaths, exp: str) -> subprocess.Popen[bytes]:
        self.exps.append(exp)
        program = f"import sys; sys.stderr.write('oh no'); sys.exit({self.code})"
        process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
        process.wait()
        return process


@pytest.fixture
def qlab(make_lab: Callable[..., LabPaths], fake_clock: FakeClock) -> QueueLab:
    return QueueLab(make_lab(), fake_clock)


def test_once_per_final_state(qlab: QueueLab) -> None:
    codes = {"a": 0, "b": 1}
    qlab.submit(spec("a"), spec("b", index=1, max_failures=1))
    daemon = qlab.daemon(plan=lambda launch: FakeRun(code=codes[launch.attempt_dir.split("/")[-2]]))
    spawner, others = Spawner(), Spawner()
    mine = NoteBuilder(daemon.queue, spawn=spawner)
    daemon.chores.append(mine)
    qlab.run(daemon, 10)
    assert qlab.states() == {"a": "done", "b": "failed"}
    assert spawner.exps == [EXP] and not mine.busy
    # Another daemon sees that the note for this state is there.
    theirs = NoteBuilder(qlab.actor("host-00000000000000bb"), spawn=others)
    for _ in range(20):
        theirs.look()
        qlab.clock.advance(5)
    assert others.exps == []
    codes["b"] = 0
    queue_ops.retry_exp(qlab.queue, EXP)
    qlab.run(daemon, 10)
    assert spawner.exps == [EXP, EXP]


def test_a_note_that_nobody_built_is_built_by_another(qlab: QueueLab) -> None:
    qlab.submit(spec("a"))
    qlab.run(qlab.daemon(), 4)
    spawner = Spawner()
    builder = NoteBuilder(qlab.actor("host-00000000000000bb"), spawn=spawner)
    for _ in range(10):
        builder.look()
        qlab.clock.advance(5)
    assert spawner.exps == [EXP]


def test_a_build_that_fails_is_tried_a_few_times_and_reported_once(qlab: QueueLab) -> None:
    qlab.submit(spec("a"))
    spawner = Spawner(code=1)
    daemon = qlab.daemon()
    daemon.chores.append(NoteBuilder(daemon.queue, spawn=spawner))
    qlab.run(daemon, 200, step_s=2)
    assert spawner.exps == [EXP] * 3
    assert len([text for text in qlab.logged if "oh no" in text]) == 1
