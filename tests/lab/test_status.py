"""The status snapshot: counts, reasons and ends from files alone, and only by reading them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import labfiles as files
import pytest
from labfiles import EXP, FS, INC, LEARN, RANDOM, UNTRAINED

from lab.errors import NotFound
from lab.fsio import RealFs
from lab.job import JobState
from lab.paths import LabPaths
from lab.reasons import explain
from lab.status import take_snapshot
from lab.view import scan_tokens


class ReadOnly(RealFs):
    """A file system on which every change fails."""

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("status must not write")

    create = rename = link = unlink = mkdir = makedirs = append = _refuse  # type: ignore[assignment]


def snapshot(paths: LabPaths) -> Any:
    return take_snapshot(ReadOnly(), paths, files.Clock())


def one_job(root: Path, **changes: Any) -> LabPaths:
    paths = files.new_lab(root)
    files.add_experiment(paths, [files.spec("m-1234567890", "m", **changes)])
    return paths


def why(paths: LabPaths, job: str = "m-1234567890") -> str:
    return explain(ReadOnly(), paths, files.Clock(), job)


def test_an_empty_lab(tmp_path: Path) -> None:
    snap = snapshot(files.new_lab(tmp_path))
    assert set(snap.counts.values()) == {0}
    assert (snap.workers, snap.gpus, snap.running, snap.pending, snap.ends) == ([], [], [], [], [])
    assert snap.oldest_wait_s is None


def test_counts_and_ends_of_a_finished_experiment(tmp_path: Path) -> None:
    snap = snapshot(files.first_light(tmp_path))
    assert snap.counts["done"] == 3 and sum(snap.counts.values()) == 3
    assert {end.job for end in snap.ends} == {LEARN, RANDOM, UNTRAINED}
    assert all(Path(end.path).exists() for end in snap.ends)


def test_failures_come_first_among_the_ends(tmp_path: Path) -> None:
    paths = files.first_light(tmp_path)
    files.place(paths.failed, "bad-1234567890", f"g5.l0.f2.{INC}", 9)
    files.event(paths, {"at": "2026-11-23T05:00:00Z", "job": "bad-1234567890", "exp": EXP, "from": "running",
                        "to": "failed", "cause": "exit 2", "detail": "unknown parameter\nsecond line"})  # fmt: skip
    end = snapshot(paths).ends[0]
    assert (end.job, end.state, end.cause) == ("bad-1234567890", "failed", "exit 2 (unknown parameter)")


def test_cancelled_dependents_do_not_hide_the_failure(tmp_path: Path) -> None:
    paths = files.first_light(tmp_path)
    files.place(paths.failed, "bad-1234567890", f"g5.l0.f2.{INC}", 9)
    at = "2026-11-23T05:00:00Z"
    files.event(paths, {"at": at, "job": "bad-1234567890", "from": "running", "to": "failed", "cause": "exit 2"})
    for index in range(10):
        files.place(paths.cancelled, f"late-{index:010d}", "g1.l0.f0", 10 + index)
        files.event(paths, {"at": "2026-11-23T05:30:00Z", "job": f"late-{index:010d}", "cause": "dependency"})
    ends = snapshot(paths).ends
    assert [end.state for end in ends] == ["failed"] + ["cancelled"] * 4


def test_what_the_log_ended_with_is_told(tmp_path: Path) -> None:
    paths = one_job(tmp_path)
    token = files.place(paths.failed, "m-1234567890", f"g5.l0.f2.{INC}")
    folder = paths.attempt(EXP, "m-1234567890", 4, INC)
    FS.makedirs(folder)
    FS.create(f"{folder}/log.txt", b"started\nKeyError: 'x'\n\n")
    files.event(paths, {"at": "2026-11-23T05:00:00Z", "inc": INC, "job": "m-1234567890", "exp": EXP, "from": "running",
                        "to": "failed", "token": token, "cause": "exit 1", "detail": ""})  # fmt: skip
    assert snapshot(paths).ends[0].cause == "exit 1: KeyError: 'x'"
    assert why(paths).endswith("its log ends: KeyError: 'x'")


def test_a_token_seen_twice_counts_once_where_it_went(tmp_path: Path) -> None:
    paths = one_job(tmp_path)
    files.place(paths.waiting, "m-1234567890", "g0.l0.f0")
    files.place(paths.ready("cpu", 5), "m-1234567890", "g1.l0.f0")
    FS.create(f"{paths.waiting}/not-a-token", b"")
    assert [(s, t.g) for s, t, _ in scan_tokens(FS, paths)] == [(JobState.ready, 1)]


def test_a_running_job_with_its_progress(tmp_path: Path) -> None:
    paths = one_job(tmp_path)
    name = files.place(paths.run(EXP), "m-1234567890", f"g2.l0.f0.{INC}")
    job = {"job": "m-1234567890", "exp": EXP, "token": name, "epoch": 2, "elapsed_s": 60.0, "time_limit_s": 600.0,
           "progress": {"done": 30, "total": 90, "unit": "games", "rate": 0.5},
           "metric": {"name": "loss", "value": 2.5}}  # fmt: skip
    files.beat(paths, jobs=[job], cpus={"total": 4, "used": 2})
    snap = snapshot(paths)
    row = snap.running[0]
    assert (row.done, row.total, row.unit, row.eta_s, row.metric) == (30, 90, "games", 120.0, ("loss", 2.5))
    assert (row.host, row.epoch, row.worker_state) == ("host-a", 2, "up")
    worker = snap.workers[0]
    assert (worker.state, worker.age_s, worker.cpus_used, worker.cpus_total) == ("up", 5.0, 2, 4)


def test_progress_that_is_nonsense_is_no_progress(tmp_path: Path) -> None:
    paths = one_job(tmp_path)
    name = files.place(paths.run(EXP), "m-1234567890", f"g2.l0.f0.{INC}")
    files.beat(paths, jobs=[{"job": "m-1234567890", "token": name, "progress": [1], "metric": {"value": "x"}}, 7])
    row = snapshot(paths).running[0]
    assert (row.done, row.total, row.rate, row.eta_s, row.metric) == (None, None, None, None, None)
    assert row.time_limit_s == 600.0  # from its spec, until a beat tells


@pytest.mark.parametrize(
    ("at", "states"),
    [
        ("2026-11-23T05:49:00Z", ["up"]),
        ("2026-11-23T05:48:15Z", ["late"]),
        ("2026-11-23T05:47:00Z", ["stale"]),
        ("2026-11-21T05:47:00Z", []),  # history after a day
        ("not a time", []),
    ],
)
def test_a_beat_grows_late_then_stale_then_history(tmp_path: Path, at: str, states: list[str]) -> None:
    paths = one_job(tmp_path)
    files.beat(paths, at=at)
    assert [worker.state for worker in snapshot(paths).workers] == states


def test_who_said_goodbye_is_not_shown_but_a_holder_always_is(tmp_path: Path) -> None:
    paths = one_job(tmp_path)
    files.beat(paths, state="left")
    assert snapshot(paths).workers == []
    files.place(paths.run(EXP), "m-1234567890", f"g2.l0.f0.{INC}")
    assert len(snapshot(paths).workers) == 1


def test_gpus_come_from_the_beats(tmp_path: Path) -> None:
    paths = one_job(tmp_path)
    gpu = {"index": 1, "name": "H200", "holder": "m-1234567890", "util_pct": 93, "mem_used_bytes": 5,
           "mem_total_bytes": 10, "temp_c": 60}  # fmt: skip
    files.beat(paths, gpus=[gpu, {"index": 0, "name": "H200", "holder": None}],
               jobs=[{"job": "m-1234567890", "epoch": 4}])  # fmt: skip
    busy, free = snapshot(paths).gpus
    assert (busy.holder, busy.epoch, busy.util_pct, busy.host) == ("m-1234567890", 4, 93.0, "host-a")
    assert (free.holder, free.util_pct) == (None, None)


def test_damaged_files_are_left_out(tmp_path: Path) -> None:
    paths = files.first_light(tmp_path)
    FS.makedirs(paths.worker_dir("host-b-00000000000000ff"))
    FS.create(paths.beat("host-b-00000000000000ff"), b"{")
    FS.makedirs(paths.exp_dir("half-aaaaaa"))
    FS.create(paths.manifest("half-aaaaaa"), b"[]")
    files.event(paths, {"no": "job"})
    FS.append(paths.events(INC, 0), b'{"half')
    FS.create(f"{paths.events_dir(INC)}/\u00b2.jsonl", b"")  # a digit, but not a number
    snap = snapshot(paths)
    assert snap.counts["done"] == 3 and snap.experiments == 1


def test_the_document_is_json_with_a_version(tmp_path: Path) -> None:
    paths = files.first_light(tmp_path)
    files.beat(paths)
    document = json.loads(json.dumps(snapshot(paths).to_json(), allow_nan=False))
    assert document["schema_version"] == 1
    assert {"lab", "at", "counts", "workers", "gpus", "running", "pending", "ends"} <= set(document)


# --- reasons -------------------------------------------------------------------------------------


def test_waiting_names_what_it_waits_for(tmp_path: Path) -> None:
    paths = files.first_light(tmp_path, end=False)
    assert why(paths, RANDOM) == "its needs are done: a worker makes it ready next; no worker is up"
    done = paths.done(EXP)
    name = FS.listdir(done)[0]
    FS.rename(f"{done}/{name}", f"{paths.run(EXP)}/{name}")
    assert why(paths, RANDOM) == f"waits for {LEARN} (running)"


def test_ready_without_and_with_a_worker(tmp_path: Path) -> None:
    paths = one_job(tmp_path)
    files.place(paths.ready("cpu", 5), "m-1234567890", "g1.l0.f0")
    assert why(paths) == "no worker is up: lab worker starts one"
    files.beat(paths)
    assert why(paths) == "next free worker takes it"
    FS.unlink(paths.beat(INC))
    files.beat(paths, cpus={"total": 2, "used": 1})
    assert why(paths) == "no worker has 2 cpus free now"
    FS.unlink(paths.beat(INC))
    files.beat(paths, cpus={"total": 1, "used": 0})
    assert why(paths) == "no worker has 2 cpus (the most is 1)"


def test_gpus_and_roles_that_nobody_has(tmp_path: Path) -> None:
    wants = {"cpus": 1, "gpus": 2, "gpu_type": None, "memory_bytes": None, "roles": []}
    paths = one_job(tmp_path / "a", resources=wants)
    files.place(paths.ready("gpuN", 5), "m-1234567890", "g1.l0.f0")
    files.beat(paths, gpus=[{"index": 0}])
    assert why(paths) == "no worker has 2 gpus (the most is 1)"
    paths = one_job(tmp_path / "b", resources={**wants, "gpus": 0, "roles": ["train"]})
    files.place(paths.ready("cpu", 5), "m-1234567890", "g1.l0.f0")
    files.beat(paths)
    assert why(paths) == "no worker has the roles train"


def test_delayed_tells_when_and_after_what(tmp_path: Path) -> None:
    paths = one_job(tmp_path)
    files.place(paths.delayed, "m-1234567890", f"g3.l0.f1.t{int(files.NOW) + 30}")
    files.event(paths, {"at": "2026-11-23T05:49:00Z", "job": "m-1234567890", "exp": EXP, "from": "running",
                        "to": "delayed", "cause": "exit 1", "detail": "KeyError: 'x'"})  # fmt: skip
    assert why(paths) == "not before 2026-11-23T05:49:35Z (in 30 s) after failure 1/3: exit 1 (KeyError: 'x')"


@pytest.mark.parametrize(
    ("folder", "suffix", "told"),
    [
        ("failed", f"g9.l0.f3.{INC}", "failed by itself 3 times; lab job retry m-1234567890"),
        ("quarantine", f"g9.l3.f0.{INC}", "in quarantine: lost with its worker 3 times; lab job retry m-1234567890"),
        ("cancelled", "g1.l0.f0", "cancelled; lab job retry m-1234567890"),
        ("held", "g1.l0.f0", "held by a person; lab job unhold m-1234567890"),
    ],
)
def test_every_end_has_a_reason(tmp_path: Path, folder: str, suffix: str, told: str) -> None:
    paths = one_job(tmp_path)
    files.place(getattr(paths, folder), "m-1234567890", suffix)
    assert why(paths) == told


def test_a_job_without_a_token_and_no_job_at_all(tmp_path: Path) -> None:
    paths = one_job(tmp_path)
    assert "its token is not placed yet" in why(paths)
    with pytest.raises(NotFound):
        why(paths, "nope-1234567890")
