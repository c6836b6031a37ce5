"""Tokens are born once, released when their needs are met, and every transition is one rename with an event."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import FakeClock, LossyFs
from queuelab import EXP, QueueLab, manifest, spec

from lab import births, queue_ops
from lab.errors import EnvironmentProblem, NotFound
from lab.host import Capacity
from lab.job import JobState
from lab.matching import choose
from lab.paths import LabPaths
from lab.release import Releaser

INC = "host-00000000000000aa"


@pytest.fixture
def qlab(make_lab: Callable[..., LabPaths], fake_clock: FakeClock) -> QueueLab:
    return QueueLab(make_lab(), fake_clock)


def claim(qlab: QueueLab, who: str = INC):
    queue = qlab.actor(who)
    picked = choose(queue, Capacity(cpus=4), 4, 0)
    assert picked is not None
    token = queue.claim(*picked)
    assert token is not None
    return queue, picked[0], token


def test_a_submit_makes_one_token_per_job_and_expanding_again_makes_none(qlab: QueueLab) -> None:
    qlab.submit(spec("a"), spec("b", needs=("a",), index=1))
    assert qlab.states() == {"a": "ready", "b": "waiting"}
    before = qlab.queue.snapshot()
    Path(qlab.paths.exp_dir(EXP), births.EXPANDED).unlink()
    assert births.expand_all(qlab.actor(INC), set()) == 0
    assert qlab.queue.snapshot() == before
    assert not qlab.fs.listdir(qlab.paths.tmp_dir)
    assert Path(qlab.paths.result_exp(EXP), "protocol.yaml").read_text() == "version: 1\n"


def test_a_half_done_submit_is_finished_by_anybody(qlab: QueueLab) -> None:
    births.publish_experiment(qlab.queue, manifest(spec("a"), spec("b", index=1)))
    # The submitter died between publishing a's spec and moving its token out of tmp/.
    tmp = qlab.queue.tmp_name()
    data = spec("a", tmp=tmp, nonce=tmp.rpartition(".")[2]).to_json()
    qlab.fs.makedirs(qlab.paths.job_dir("a"))
    qlab.fs.create(qlab.paths.tmp(tmp), data)
    qlab.fs.link(qlab.paths.tmp(tmp), qlab.paths.spec("a"))
    assert births.expand_all(qlab.actor(INC), set()) == 2
    assert qlab.states() == {"a": "waiting", "b": "waiting"}
    assert not qlab.fs.listdir(qlab.paths.tmp_dir)


def test_the_token_is_the_inode_of_the_spec(qlab: QueueLab) -> None:
    qlab.submit(spec("a"))
    _, token, folder = qlab.queue.find("a")
    assert Path(folder, token.name).stat().st_ino == Path(qlab.paths.spec("a")).stat().st_ino


def test_one_of_two_claims_wins(qlab: QueueLab) -> None:
    qlab.submit(spec("a"))
    one, two = qlab.actor(INC), qlab.actor("host-00000000000000bb")
    picked = choose(one, Capacity(cpus=1), 1, 0)
    assert picked is not None
    assert one.claim(*picked) is not None
    assert two.claim(*picked) is None
    assert qlab.states() == {"a": "running"}


def test_lost_replies_are_recognised(make_lab: Callable[..., LabPaths], fake_clock: FakeClock) -> None:
    fs = LossyFs()
    qlab = QueueLab(make_lab(), fake_clock, fs)
    fs.lose("link", "link", "rename", "unlink")
    qlab.submit(spec("a"))
    assert qlab.states() == {"a": "ready"}
    fs.lose("rename")
    queue, job, token = claim(qlab)
    fs.lose("rename")
    assert queue.complete(job, token)
    assert qlab.states() == {"a": "done"}


def test_every_transition_raises_g_and_leaves_an_event(qlab: QueueLab) -> None:
    qlab.submit(spec("a"))
    queue, job, token = claim(qlab)
    assert queue.complete(job, token)
    queue.events.flush()
    moves = [(e["from"], e["to"], e["cause"]) for e in qlab.events() if e["job"] == "a"]
    assert sorted(moves) == sorted(
        [
            ("", "waiting", "submitted"),
            ("waiting", "ready", "needs are met"),
            ("ready", "running", "claimed"),
            ("running", "done", "exit 0"),
        ]
    )
    assert qlab.queue.find("a")[1].g == 3


def test_failures_are_delayed_with_back_off_and_then_final(qlab: QueueLab) -> None:
    qlab.submit(spec("a", max_failures=3), spec("b", needs=("a",), index=1))
    waits = []
    for expected in (JobState.delayed, JobState.delayed, JobState.failed):
        queue, job, token = claim(qlab)
        assert queue.fail(job, token, "exit 1") is expected
        if expected is JobState.delayed:
            delayed = queue.find("a")[1]
            waits.append((delayed.t or 0) - qlab.clock.wall())
            assert queue.wake(delayed)
    assert waits == pytest.approx([10, 20], abs=1)
    Releaser(qlab.queue).release()
    assert qlab.states() == {"a": "failed", "b": "cancelled"}


def test_losses_end_in_quarantine_and_do_not_count_as_failures(qlab: QueueLab) -> None:
    qlab.submit(spec("a", max_losses=2))
    queue, job, token = claim(qlab)
    assert qlab.queue.lose(job, token, "gone") is JobState.ready
    assert qlab.state("a") == (JobState.ready, 1, 0)
    assert queue.complete(job, token) is False, "fenced: its name is gone"
    queue, job, token = claim(qlab)
    assert qlab.queue.lose(job, token, "gone") is JobState.quarantine
    assert qlab.queue.find("a")[1].inc == INC


def test_retry_brings_back_what_a_failure_had_cancelled(qlab: QueueLab) -> None:
    qlab.submit(
        spec("a", max_failures=1),
        spec("b", needs=("a",), index=1),
        spec("c", needs=("b",), index=2),
        spec("d", index=3),
    )
    queue_ops.cancel_job(qlab.queue, "d")
    queue, job, token = claim(qlab)
    assert job.job == "a"
    queue.fail(job, token, "exit 1")
    releaser = Releaser(qlab.queue)
    releaser.release()
    assert qlab.states() == {"a": "failed", "b": "cancelled", "c": "cancelled", "d": "cancelled"}
    assert releaser.release() == 0
    queue_ops.retry_job(qlab.queue, "a")
    releaser.release()
    assert qlab.states() == {"a": "ready", "b": "waiting", "c": "waiting", "d": "cancelled"}
    assert qlab.state("a") == (JobState.ready, 0, 0)
    queue_ops.retry_exp(qlab.queue, EXP)
    assert qlab.states()["d"] == "ready"


def test_cancel_is_durable_and_honest(qlab: QueueLab) -> None:
    qlab.submit(spec("a"), spec("b", index=1))
    assert queue_ops.cancel_job(qlab.queue, "b", why="no need").state is JobState.cancelled
    queue, job, token = claim(qlab)
    assert queue_ops.cancel_job(qlab.queue, "a").state is JobState.running
    # Its worker dies; whoever takes the job honours the intent.
    assert qlab.queue.lose(job, token, "gone") is JobState.cancelled
    qlab.submit(spec("c", exp="exp-two222"), exp="exp-two222")
    queue, job, token = claim(qlab)
    assert queue.complete(job, token)
    assert queue_ops.cancel_job(qlab.queue, "c").text == "already done"
    with pytest.raises(NotFound):
        queue_ops.cancel_job(qlab.queue, "nothing")


def test_hold_keeps_a_job_from_running(qlab: QueueLab) -> None:
    qlab.submit(spec("a"))
    assert queue_ops.hold_job(qlab.queue, "a").changed
    assert choose(qlab.queue, Capacity(cpus=1), 1, 0) is None
    assert queue_ops.unhold_job(qlab.queue, "a").changed
    Releaser(qlab.queue).release()
    assert qlab.states() == {"a": "ready"}


def test_priority_then_age_and_a_big_job_is_not_starved(qlab: QueueLab) -> None:
    qlab.submit(
        spec("late", index=0, prio=7),
        spec("big", index=1, resources={"cpus": 4}),
        *(spec(f"small{n}", index=2 + n) for n in range(3)),
        spec("urgent", index=9, prio=1),
    )
    four = Capacity(cpus=4)
    assert choose(qlab.queue, four, 4, 0)[0].job == "urgent"  # type: ignore[index]
    queue_ops.hold_job(qlab.queue, "urgent")
    # Two CPUs are free: the small jobs are younger than the big one, so they must let it gather its four.
    assert choose(qlab.queue, four, 2, 0) is None
    assert {choose(qlab.queue, Capacity(cpus=2), 2, 0)[0].job for _ in range(40)} == {"small0", "small1", "small2"}  # type: ignore[index]


def test_the_ready_window_is_bounded(qlab: QueueLab) -> None:
    births.publish_experiment(qlab.queue, manifest(*(spec(f"j{n}", index=n) for n in range(8))))
    births.expand(qlab.queue, EXP)
    releaser = Releaser(qlab.queue, window=3)
    assert releaser.release() == 3
    assert releaser.release() == 0
    assert sorted(job for job, state in qlab.states().items() if state == "ready") == ["j0", "j1", "j2"]


def test_damaged_files_are_reported_once_and_others_go_on(qlab: QueueLab) -> None:
    qlab.submit(spec("a"), spec("b", index=1))
    Path(qlab.paths.waiting, "rubbish").write_text("?")
    path = Path(qlab.paths.spec("a"))
    path.write_text("{")
    for _ in range(3):
        fresh = qlab.actor(INC)
        Releaser(fresh).release()
        assert choose(fresh, Capacity(cpus=1), 1, 0)[0].job == "b"  # type: ignore[index]
    queue = qlab.actor(INC)
    before = len(qlab.logged)
    for _ in range(3):
        queue.spec_or_none("a")
        queue.tokens(qlab.paths.waiting)
    told = qlab.logged[before:]
    assert len(told) == 2
    assert any(str(path) in text for text in told) and any("rubbish" in text for text in told)


def test_an_unmounted_share_is_no_empty_queue(qlab: QueueLab) -> None:
    qlab.submit(spec("a"))
    Path(qlab.paths.queue_id).unlink()
    with pytest.raises(EnvironmentProblem, match="mounted"):
        qlab.queue.check_sentinel()


def test_old_temporaries_go_but_never_an_unborn_token(qlab: QueueLab) -> None:
    qlab.submit(spec("a"))
    qlab.fs.create(qlab.paths.tmp(f"{INC}.deadbeef"), b"half a bea")
    unborn = qlab.queue.tmp_name()
    qlab.fs.makedirs(qlab.paths.job_dir("u"))
    qlab.fs.create(qlab.paths.tmp(unborn), spec("u", tmp=unborn, nonce="n").to_json())
    qlab.fs.link(qlab.paths.tmp(unborn), qlab.paths.spec("u"))
    seen: dict[str, float] = {}
    assert births.sweep_tmp(qlab.queue, seen, 60) == 0
    qlab.clock.advance(61)
    assert births.sweep_tmp(qlab.queue, seen, 60) == 1
    assert qlab.fs.listdir(qlab.paths.tmp_dir) == [unborn]


def test_stray_files_where_folders_belong_stop_nobody(qlab: QueueLab) -> None:
    for folder in (qlab.paths.run_root, qlab.paths.exps, qlab.paths.jobs, qlab.paths.workers, qlab.paths.events_root):
        Path(folder, "stray").write_text("?")
    Path(qlab.paths.manifest("odd-aaaaaa")).mkdir(parents=True)
    Path(qlab.paths.waiting, "179541234567800003-stray.g0.l0.f0").write_text("?")
    Path(qlab.paths.ready("cpu", 0), "a\udcff").write_text("?")
    qlab.submit(spec("a"), spec("b", needs=("a",), index=1))
    qlab.run(qlab.daemon(), 8)
    assert {job: state for job, state in qlab.states().items() if job != "stray"} == {"a": "done", "b": "done"}
    assert any("run/stray: not a folder" in text for text in qlab.logged)
    assert not any("unexpected error" in text for text in qlab.logged)
    assert any(event["cause"] == "claimed" for event in qlab.events())


def test_a_token_moved_by_hand_to_another_priority_does_not_starve_the_rest(qlab: QueueLab) -> None:
    qlab.submit(spec("a"), spec("b", index=1))
    (name,) = (token.name for token in qlab.queue.tokens(qlab.paths.ready("cpu", 5)) if token.job == "a")
    Path(qlab.paths.ready("cpu", 5), name).rename(Path(qlab.paths.ready("cpu", 0), name))
    qlab.run(qlab.daemon(), 4)
    assert qlab.states()["b"] == "done"
    assert sum("belongs in" in text for text in qlab.logged) == 1


def test_temporaries_that_cannot_be_read_do_not_stop_the_sweep(qlab: QueueLab, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["a-folder", "code-too-large", "half"]
    Path(qlab.paths.tmp("a-folder")).mkdir()
    for name in names[1:]:
        qlab.fs.create(qlab.paths.tmp(name), b"x" * 100)
    read = qlab.fs.read

    def small(path: str, limit: int = 50, *, follow: bool = True) -> bytes:
        return read(path, 10 if "large" in path else limit + 100, follow=follow)

    monkeypatch.setattr(qlab.fs, "read", small)
    seen: dict[str, float] = {}
    births.sweep_tmp(qlab.queue, seen, 60)
    qlab.clock.advance(61)
    assert births.sweep_tmp(qlab.queue, seen, 60) == 2
    assert qlab.fs.listdir(qlab.paths.tmp_dir) == ["a-folder"]


def test_a_full_disk_leaves_no_trail_of_event_files(qlab: QueueLab, monkeypatch: pytest.MonkeyPatch) -> None:
    qlab.queue.events.add(cause="one")
    qlab.queue.events.flush()
    append = qlab.fs.append

    def full(path: str, data: bytes) -> None:
        append(path, data[:7])
        raise OSError(errno.ENOSPC, "No space left on device", path)

    monkeypatch.setattr(qlab.fs, "append", full)
    qlab.queue.events.add(cause="two")
    for _ in range(3):
        with pytest.raises(OSError, match="No space"):
            qlab.queue.events.flush()
    monkeypatch.undo()
    qlab.queue.events.flush()
    folder = qlab.paths.events_dir(qlab.queue.who)
    assert qlab.fs.listdir(folder) == ["0.jsonl"]
    lines = qlab.fs.read(f"{folder}/0.jsonl").decode().splitlines()
    assert [json.loads(line)["cause"] for line in (lines[0], lines[-1])] == ["one", "two"]


def test_a_half_done_submit_can_be_cancelled_without_a_worker(qlab: QueueLab) -> None:
    assert births.publish_experiment(qlab.queue, manifest(spec("a"), spec("b", index=1)))
    assert [outcome.state for outcome in queue_ops.cancel_exp(qlab.queue, EXP)] == [JobState.cancelled] * 2
