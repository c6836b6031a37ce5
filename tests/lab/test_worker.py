"""The daemon's step: claims, commits, fences, cancels, limits, drains, full disks and hostile files."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import FakeClock
from queuelab import EXP, QueueLab, spec

from lab import queue_ops, results
from lab.executors import Launch
from lab.executors.fake import FakeRun
from lab.fsio import RealFs
from lab.gpus import Gpu, GpuPool
from lab.job import JobState
from lab.notes import NoteBuilder
from lab.paths import LabPaths
from lab.submit import Inbox
from lab.worker import _loop

OTHER = "host-00000000000000bb"


@pytest.fixture
def qlab(make_lab: Callable[..., LabPaths], fake_clock: FakeClock) -> QueueLab:
    return QueueLab(make_lab(), fake_clock)


def task_result(**body: Any) -> dict[str, bytes]:
    return {"out/result.json": json.dumps(body).encode()}


def test_a_chain_runs_and_parameters_are_bound_from_accepted_results(qlab: QueueLab) -> None:
    files = {
        "out/artifacts/net.pt": b"weights",
        **task_result(metrics={"x": {"value": 2.5}}, artifacts={"net": "net.pt"}),
    }
    params = {"net": "${steps.a.artifacts.net}", "text": "x=${steps.a.metrics.x}", "plain": 3}
    qlab.submit(
        spec("a"), spec("b", needs=("a",), index=1, params=params, argv=("run", "${steps.a.metrics.x}", "{python}"))
    )
    daemon = qlab.daemon(plan=lambda launch: FakeRun(files=files))
    qlab.run(daemon, 10)
    assert qlab.states() == {"a": "done", "b": "done"}
    found = results.accepted(qlab.fs, qlab.paths, EXP)
    launch = daemon.executor.started[1]  # type: ignore[attr-defined]
    job = json.loads(Path(launch.env["LAB_JOB"]).read_text())
    assert job["params"] == {"net": f"{found['a'].folder}/out/artifacts/net.pt", "text": "x=2.5", "plain": 3}
    assert job["inputs"][0]["job"] == "a"
    assert launch.argv[:2] == ["run", "2.5"] and launch.argv[2].startswith("/")
    assert found["b"].result["epoch"] == int(launch.env["LAB_EPOCH"])
    for result in found.values():
        result.verify(qlab.fs)


def test_a_task_gets_a_small_environment(qlab: QueueLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    qlab.submit(spec("a", resources={"cpus": 2}))
    daemon = qlab.daemon()
    qlab.run(daemon, 2)
    env = daemon.executor.started[0].env  # type: ignore[attr-defined]
    assert "SECRET_TOKEN" not in env and env["OMP_NUM_THREADS"] == "2" and env["CUDA_VISIBLE_DEVICES"] == ""
    assert "LAB_RESUME" not in env and "LAB_ROOT" not in env


def test_the_first_beat_precedes_the_claim_and_lists_what_starts(qlab: QueueLab) -> None:
    listed: list[bool] = []

    def plan(launch: Launch) -> FakeRun:
        inc = launch.key.rpartition(".")[2]
        listed.append(launch.key in json.loads(Path(qlab.paths.beat(inc)).read_text())["tokens"])
        return FakeRun()

    qlab.submit(spec("a"), spec("b", index=1))
    qlab.run(qlab.daemon(plan=plan), 5)
    assert listed == [True, True]


def test_cpus_are_shared_out_and_never_twice(qlab: QueueLab) -> None:
    qlab.submit(*(spec(f"j{n}", index=n, resources={"cpus": 2}) for n in range(3)))
    daemon = qlab.daemon(plan=lambda launch: FakeRun(seconds=3), cpus=5)
    daemon.step()
    assert len(daemon.executor.running) == 2  # type: ignore[attr-defined]
    qlab.run(daemon, 12)
    assert set(qlab.states().values()) == {"done"}


def test_exit_codes(qlab: QueueLab) -> None:
    codes = {"ok": 0, "bad": 2, "broken": 1, "signal": -11}
    qlab.submit(*(spec(job, index=n, max_failures=2) for n, job in enumerate(codes)))
    daemon = qlab.daemon(plan=lambda launch: FakeRun(code=codes[Path(launch.attempt_dir).parent.name]), cpus=8)
    qlab.run(daemon, 3)
    assert qlab.states() == {"ok": "done", "bad": "failed", "broken": "delayed", "signal": "delayed"}
    qlab.run(daemon, 20)
    assert qlab.state("broken") == (JobState.failed, 0, 2)
    assert qlab.state("bad") == (JobState.failed, 0, 1)


def test_a_preempted_job_comes_back_without_counting_and_resumes(qlab: QueueLab) -> None:
    sums = {"files": {"w": {"bytes": 1, "sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}}}
    files = {"out/checkpoint/3/w": b"x", "out/checkpoint/3/SUMS.json": json.dumps(sums).encode()}
    files |= {"out/checkpoint/9/w": b"torn", "out/checkpoint/9/SUMS.json": json.dumps(sums).encode()}
    runs = iter([FakeRun(code=75, files=files), FakeRun()])
    qlab.submit(spec("a"))
    daemon = qlab.daemon(plan=lambda launch: next(runs))
    qlab.run(daemon, 20)
    assert qlab.state("a") == (JobState.done, 0, 0)
    first, second = daemon.executor.started  # type: ignore[attr-defined]
    assert second.env["LAB_RESUME"] == f"{first.attempt_dir}/out/checkpoint/3", "9 is newer, but its sums are wrong"
    assert any("checkpoint/9" in text for text in qlab.logged)


def test_the_time_limit_counts_as_a_failure_with_its_cause(qlab: QueueLab) -> None:
    qlab.submit(spec("a", time_limit_s=5, max_failures=1))
    daemon = qlab.daemon(plan=lambda launch: FakeRun(seconds=100))
    qlab.run(daemon, 10)
    assert qlab.state("a") == (JobState.failed, 0, 1)
    daemon.queue.events.flush()
    assert "time limit" in [event["cause"] for event in qlab.events()]


def test_cancel_stops_a_running_task(qlab: QueueLab) -> None:
    qlab.submit(spec("a"), spec("b", needs=("a",), index=1))
    daemon = qlab.daemon(plan=lambda launch: FakeRun(seconds=100))
    qlab.run(daemon, 3)
    queue_ops.cancel_job(qlab.queue, "a")
    qlab.run(daemon, 6)
    assert qlab.states() == {"a": "cancelled", "b": "cancelled"}
    assert not daemon.tasks


def test_a_fenced_task_is_killed_and_its_result_never_read(qlab: QueueLab) -> None:
    qlab.submit(spec("a"))
    daemon = qlab.daemon(plan=lambda launch: FakeRun(seconds=30, files=task_result()))
    qlab.run(daemon, 3)
    _state, token, _ = qlab.queue.find("a")
    assert qlab.queue.lose(spec("a"), token, "thought dead") is JobState.ready
    queue_ops.hold_job(qlab.queue, "a")
    qlab.run(daemon, 4)
    assert not daemon.executor.running  # type: ignore[attr-defined]
    assert not daemon.tasks and qlab.states() == {"a": "held"}
    assert results.accepted(qlab.fs, qlab.paths, EXP) == {}
    assert any("fenced" in text for text in qlab.logged)


def test_a_dead_daemons_job_is_taken_after_its_beat_stood_still(qlab: QueueLab) -> None:
    qlab.submit(spec("a"))
    dead, alive = qlab.daemon(OTHER, plan=lambda launch: FakeRun(seconds=1000)), qlab.daemon()
    dead.step()
    assert qlab.states() == {"a": "running"}
    qlab.run(alive, 85, step_s=2)
    assert qlab.queue.find("a")[1].inc == OTHER, "not before the lease is over"
    qlab.run(alive, 15, step_s=2)
    assert qlab.state("a") == (JobState.done, 1, 0)


def test_an_observer_that_slept_waits_a_whole_lease_again(qlab: QueueLab) -> None:
    qlab.submit(spec("a"))
    dead, alive = qlab.daemon(OTHER, plan=lambda launch: FakeRun(seconds=1000)), qlab.daemon()
    dead.step()
    qlab.run(alive, 60, step_s=2)
    qlab.clock.advance(300)
    qlab.run(alive, 60, step_s=2)
    assert qlab.queue.find("a")[1].inc == OTHER
    qlab.run(alive, 40, step_s=2)
    assert qlab.states() == {"a": "done"}


def test_a_job_that_a_live_daemon_does_not_list_is_taken_back(qlab: QueueLab) -> None:
    qlab.submit(spec("a"))
    forgetful, other = qlab.daemon(OTHER, cpus=0), qlab.daemon(cpus=0)
    forgetful.step()
    _state, token, _ = qlab.queue.find("a")
    # A claim whose reply never came: the token has its name, but it does not know.
    assert qlab.actor(OTHER).claim(spec("a"), token) is not None
    for _ in range(30):
        forgetful.beat()
        qlab.clock.advance(2)
        other.step()
    assert qlab.state("a") == (JobState.ready, 1, 0)


def test_a_daemon_gives_back_what_it_holds_without_knowing(qlab: QueueLab) -> None:
    qlab.submit(spec("a"))
    daemon = qlab.daemon(OTHER)
    assert qlab.actor(OTHER).claim(spec("a"), qlab.queue.find("a")[1]) is not None
    qlab.run(daemon, 5)
    assert qlab.state("a") == (JobState.done, 0, 0)


def test_drain_lets_tasks_save_their_work_and_claims_nothing(qlab: QueueLab) -> None:
    qlab.submit(spec("a", resources={"cpus": 2}), spec("b", index=1, resources={"cpus": 2}))
    daemon = qlab.daemon(plan=lambda launch: FakeRun(seconds=100, term_s=2))
    qlab.run(daemon, 3)
    daemon.shutdown()
    qlab.run(daemon, 5)
    assert not daemon.tasks
    assert qlab.state("a") == (JobState.ready, 0, 0)
    assert qlab.states()["b"] == "ready"
    daemon.leave()
    assert json.loads(Path(qlab.paths.beat(daemon.inc)).read_text())["state"] == "left"


class BrokenDisk(RealFs):
    """A disk that is full, or a share that is away, when told."""

    full = False
    away = False

    def create(self, path: str, data: bytes) -> None:
        if self.full and "/results/" in path:
            raise OSError(errno.ENOSPC, "No space left on device", path)
        if self.away:
            raise OSError(errno.EIO, "Input/output error", path)
        super().create(path, data)

    def listdir(self, path: str) -> list[str]:
        if self.away:
            raise OSError(errno.EIO, "Input/output error", path)
        return super().listdir(path)


def test_a_full_disk_fails_the_job_with_the_cause_and_the_daemon_lives(
    make_lab: Callable[..., LabPaths], fake_clock: FakeClock
) -> None:
    fs = BrokenDisk()
    qlab = QueueLab(make_lab(), fake_clock, fs)
    qlab.submit(spec("first"), spec("a", index=1, max_failures=2, needs=("first",)))
    daemon = qlab.daemon(plan=lambda launch: FakeRun(seconds=2))
    qlab.run(daemon, 3)
    fs.full = True
    qlab.run(daemon, 3)
    assert qlab.state("a") == (JobState.delayed, 0, 1)
    assert any("No space left" in text for text in qlab.logged)
    assert set(results.accepted(fs, qlab.paths, EXP)) == {"first"}, "what was committed stays"
    fs.full = False
    qlab.run(daemon, 20)
    assert qlab.states() == {"first": "done", "a": "done"}


def test_an_outage_stops_nothing_until_fence_after(make_lab: Callable[..., LabPaths], fake_clock: FakeClock) -> None:
    fs = BrokenDisk()
    qlab = QueueLab(make_lab(), fake_clock, fs)
    qlab.submit(spec("a"), spec("b", index=1))
    daemon = qlab.daemon(plan=lambda launch: FakeRun(seconds=400 if "/a/" in launch.attempt_dir else 5000))
    qlab.run(daemon, 3)
    fs.away = True
    qlab.run(daemon, 600, step_s=5)
    assert len(daemon.executor.running) == 1, "a went on to its end, b runs on"  # type: ignore[attr-defined]
    fs.away = False
    qlab.run(daemon, 10)
    assert qlab.states() == {"a": "done", "b": "running"}
    fs.away = True
    qlab.run(daemon, 950, step_s=5)
    assert not daemon.executor.running  # type: ignore[attr-defined]
    assert len([text for text in qlab.logged if "Input/output" in text]) < 40, "said once, not at every step"


def test_a_second_interrupt_ends_a_worker_whose_share_is_away(
    make_lab: Callable[..., LabPaths], fake_clock: FakeClock
) -> None:
    fs = BrokenDisk()
    qlab = QueueLab(make_lab(), fake_clock, fs)
    qlab.submit(spec("a"))
    daemon = qlab.daemon(plan=lambda launch: FakeRun(seconds=1000))
    qlab.run(daemon, 3)
    fs.away = True
    signals = SimpleNamespace(asked=2, taken=1)

    def wait(seconds: float) -> bool:
        qlab.clock.advance(max(seconds, 1.0))
        assert qlab.clock.monotonic() < 1e9
        waits.append(seconds)
        assert len(waits) < 50, "it never leaves"
        return False

    waits: list[float] = []
    daemon.shutdown()
    inbox, notes = Inbox(daemon.queue), NoteBuilder(daemon.queue)
    code = _loop(daemon, SimpleNamespace(wait=wait), signals, False, inbox, notes, qlab.logged.append)  # type: ignore[arg-type]
    assert code == 130 and not daemon.executor.running  # type: ignore[attr-defined]
    assert "1 jobs that could not be given back" in qlab.logged[-1]


def test_a_damaged_accepted_artifact_is_refused_with_its_path(qlab: QueueLab) -> None:
    files = {"out/artifacts/net.pt": b"weights", **task_result(artifacts={"net": "net.pt"})}
    qlab.submit(
        spec("a"), spec("b", needs=("a",), index=1, params={"net": "${steps.a.artifacts.net}"}, max_failures=1),
        spec("c", needs=("a",), index=2, params={"net": "${steps.a.artifacts.other}"}),
    )  # fmt: skip
    daemon = qlab.daemon(plan=lambda launch: FakeRun(files=files), cpus=1)

    def spoil(launch: Launch) -> FakeRun:
        return FakeRun(files=files)

    daemon.executor._plan = spoil  # type: ignore[attr-defined]
    daemon.step()
    qlab.clock.advance(1.5)
    daemon.capacity = type(daemon.capacity)(cpus=0)
    daemon.step()
    path = Path(results.accepted_result(qlab.fs, qlab.paths, EXP, "a").folder, "out/artifacts/net.pt")
    path.write_bytes(b"wEights")
    daemon.capacity = type(daemon.capacity)(cpus=1)
    qlab.run(daemon, 10)
    assert qlab.states() == {"a": "done", "b": "failed", "c": "failed"}
    assert any(str(path) in text for text in qlab.logged)
    assert any("no artifact other" in text for text in qlab.logged)


def test_gpus_are_handed_out_by_lock(qlab: QueueLab, tmp_path: Path) -> None:
    qlab.submit(*(spec(f"g{n}", index=n, resources={"gpus": 1, "cpus": 1}) for n in range(3)))
    cards = [Gpu(0, "H"), Gpu(1, "H")]
    daemon = qlab.daemon(plan=lambda launch: FakeRun(seconds=3), cpus=8, gpus=2)
    daemon.gpus = GpuPool(cards, str(tmp_path))
    other = GpuPool(cards, str(tmp_path))
    assert other.acquire("somebody", 1) == [0]
    daemon.step()
    started = daemon.executor.started  # type: ignore[attr-defined]
    assert [launch.env["CUDA_VISIBLE_DEVICES"] for launch in started] == ["1"]
    other.release("somebody")
    qlab.run(daemon, 12)
    assert set(qlab.states().values()) == {"done"}
    assert daemon.gpus.free() == 2


def test_no_threads_in_a_step(qlab: QueueLab) -> None:
    qlab.submit(spec("a"))
    before = threading.active_count()
    qlab.run(qlab.daemon(), 3)
    assert threading.active_count() == before
