"""The task contract: exit codes, messages, atomic progress, checkpoints with sums, a real command under SIGTERM."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from nets import StopAfter, context, metric_lines, result_of, tiny_params

from gocore._core import Replay
from gocore.files import sha256_file, write_atomic
from gocore.reporting import Preempted
from gocore.tasks import harness, loop, match, selfplay, train
from gocore.tasks.harness import Context, StopFlag, TaskFailure, checked_params, main, run_task
from gocore.tasks.specs import TASKS


@pytest.fixture(autouse=True)
def _signals() -> Any:
    """Tasks take over two signals; pytest wants its own back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def job(tmp_path: Path, params: dict[str, Any], **more: Any) -> dict[str, str]:
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"format": 1, "params": params, "seed": 1} | more))
    return {"LAB_JOB": str(path), "LAB_OUT": str(tmp_path / "out")}


def test_bad_parameters_exit_2_with_every_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environ = job(tmp_path, {"size": 40, "net": {"blocks": 0}, "gaems": 3})
    assert main(["loop"], environ) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "loop: size: must be from 2 to 19, not 40",
        "loop: net.blocks: must be from 1 to 40, not 0",
        "loop: gaems: is not a parameter here; did you mean games?",
    ]
    assert not (tmp_path / "out").exists()


def test_unbound_references_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environ = job(tmp_path, {"records": ["${steps.play.artifacts.records}"]})
    assert main(["train"], environ) == 2
    assert "records[0]: the reference ${steps.play.artifacts.records} was never bound" in capsys.readouterr().err


def test_unknown_task_and_missing_environment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing"], {}) == 2
    assert main(["loop"], {}) == 2
    err = capsys.readouterr().err
    assert "one of selfplay, train, loop, match" in err and "LAB_JOB and LAB_OUT not set" in err
    assert main(["loop"], {"LAB_JOB": str(tmp_path / "no.json"), "LAB_OUT": "x"}) == 2
    (tmp_path / "bad.json").write_text("{")
    assert main(["loop"], {"LAB_JOB": str(tmp_path / "bad.json"), "LAB_OUT": "x"}) == 2
    err = capsys.readouterr().err
    assert "no.json: cannot be read" in err and "bad.json: is not JSON" in err


def test_match_task_end_to_end_by_hand(weird_tmp_path: Path) -> None:
    params = {k: v for k, v in tiny_params("match").items() if k not in ("seed", "threads")}
    environ = job(weird_tmp_path, params, resources={"cpus": 2})
    done = subprocess.run(
        [sys.executable, "-m", "gocore.tasks", "match"], env=os.environ | environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    out = weird_tmp_path / "out"
    result = result_of(out)
    counts = result["matches"][0]
    total = sum(counts["black"].values()) + sum(counts["white"].values()) + counts["no_result"]
    assert total == counts["games"] == 12 and result["metrics"]["winrate"]["n"] == 12 - counts["no_result"]
    assert set(result["metrics"]) == set(TASKS["match"].metrics)
    assert set(result["artifacts"]) == set(TASKS["match"].artifacts)
    assert all((out / "artifacts" / name).exists() for name in result["artifacts"].values())
    pairs = [json.loads(line) for line in (out / "artifacts" / "pairs.jsonl").read_text().splitlines()]
    assert len(pairs) == 6 and sum(p["black"] == 1.0 for p in pairs) == counts["black"]["wins"]
    for sample in result["samples"]:
        assert (out / sample["sgf"]).read_text().startswith("(;GM[1]FF[4]")
    progress = json.loads((out / "progress.json").read_bytes())
    assert progress["done"] == progress["total"] == 12 and progress["unit"] == "games"


def test_a_damaged_checkpoint_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = tmp_path / "net.pt"
    net.write_bytes(b"not a net")
    net.with_suffix(".json").write_text(json.dumps({"format": 1, "sha256": "0" * 64}))
    params = tiny_params("match", player={"kind": "net", "checkpoint": str(net)})
    assert run_task("match", params, {}, tmp_path / "out", None, StopFlag()) == 1
    assert f"{net}: damaged" in capsys.readouterr().err


def test_selfplay_then_train(tmp_path: Path) -> None:
    selfplay.run(context(tmp_path / "play", tiny_params("selfplay")))
    played = result_of(tmp_path / "play")
    assert played["metrics"]["games"] == 24 and set(played["metrics"]) == set(TASKS["selfplay"].metrics)
    records = tmp_path / "play" / "artifacts" / "records"
    train.run(context(tmp_path / "train", tiny_params("train", records=str(records))))
    trained = result_of(tmp_path / "train")
    assert set(trained["metrics"]) == set(TASKS["train"].metrics)
    assert trained["metrics"]["steps"] == int(played["metrics"]["rows"] * 4 // 16)
    shard = next(records.glob("*.rec"))
    shard.write_bytes(shard.read_bytes()[:-4])
    params = tiny_params("train", records=[str(records)])
    assert run_task("train", params, {}, tmp_path / "again", None, StopFlag()) == 1


def test_selfplay_resumes_without_losing_shards(tmp_path: Path) -> None:
    params = tiny_params("selfplay", games=40)
    with pytest.raises(Preempted):
        selfplay.run(context(tmp_path / "a", params, stop=StopAfter(250)))
    checkpoint = tmp_path / "a" / "checkpoint" / "1"
    first = (checkpoint / "records" / "manifest.jsonl").read_text()
    assert first  # it had accepted something
    selfplay.run(context(tmp_path / "b", params, resume=checkpoint))
    second = (tmp_path / "b" / "artifacts" / "records" / "manifest.jsonl").read_text()
    assert second.startswith(first) and result_of(tmp_path / "b")["metrics"]["games"] == 40


@pytest.mark.parametrize("last", [False, True])
def test_train_resumes_to_the_same_net(tmp_path: Path, last: bool) -> None:
    selfplay.run(context(tmp_path / "play", tiny_params("selfplay")))
    params = tiny_params("train", records=str(tmp_path / "play" / "artifacts" / "records"))
    train.run(context(tmp_path / "straight", params))
    with pytest.raises(Preempted):
        looks = result_of(tmp_path / "straight")["metrics"]["steps"] - 1 if last else 5
        train.run(context(tmp_path / "a", params, stop=StopAfter(looks)))
    train.run(context(tmp_path / "b", params, resume=tmp_path / "a" / "checkpoint" / "1"))
    assert result_of(tmp_path / "b")["checksums"] == result_of(tmp_path / "straight")["checksums"]
    losses = [result_of(tmp_path / name)["metrics"]["final_loss"] for name in ("straight", "b")]
    assert losses[0] == losses[1]
    steps = [line["step"] for line in metric_lines(tmp_path / "b")]
    assert steps == sorted(set(steps)) == [line["step"] for line in metric_lines(tmp_path / "straight")]


def test_training_replays_games_on_the_jobs_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    selfplay.run(context(tmp_path / "play", tiny_params("selfplay")))
    seen: list[int] = []

    def replay(size: int, max_positions: int, threads: int) -> Replay:
        seen.append(threads)
        return Replay(size, max_positions, threads)

    monkeypatch.setattr("gocore.replay.Replay", replay)
    records = str(tmp_path / "play" / "artifacts" / "records")
    train.run(context(tmp_path / "train", tiny_params("train", records=records, threads=2)))
    loop.run(context(tmp_path / "loop", tiny_params("loop", threads=3)))
    assert seen == [2, 3]


def test_match_resumes_to_the_same_pairs(tmp_path: Path) -> None:
    params = tiny_params("match", pairs=12)
    with pytest.raises(Preempted):
        match.run(context(tmp_path / "a", params, stop=StopAfter(300)))
    checkpoint = tmp_path / "a" / "checkpoint" / "1"
    match.run(context(tmp_path / "b", params, resume=checkpoint))
    result = result_of(tmp_path / "b")
    assert result["matches"][0]["games"] == 24
    lines = (tmp_path / "b" / "artifacts" / "pairs.jsonl").read_text().splitlines()
    assert [json.loads(line)["pair"] for line in lines] == list(range(12))


def test_sigterm_means_checkpoint_and_75(tmp_path: Path) -> None:
    params = {k: v for k, v in tiny_params("selfplay", games=100_000).items() if k != "seed"}
    environ = job(tmp_path, params)
    process = subprocess.Popen([sys.executable, "-m", "gocore.tasks", "selfplay"], env=os.environ | environ)
    try:
        manifest = tmp_path / "out" / "artifacts" / "records" / "manifest.jsonl"
        deadline = time.monotonic() + 60
        while not manifest.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 75
    finally:
        process.kill()
        process.wait()
    checkpoint = tmp_path / "out" / "checkpoint" / "1"
    harness.verify_sums(checkpoint)
    assert (checkpoint / "records" / "manifest.jsonl").read_text()
    assert not (tmp_path / "out" / "result.json").exists()


def test_checkpoints_are_whole_and_only_the_newest_stays(tmp_path: Path) -> None:
    ctx = context(tmp_path, {})
    ctx.log(1, {"loss": 0.5, "bad": float("nan")})
    ctx.checkpoint(lambda folder: write_atomic(folder / "a", b"1"))
    second = ctx.checkpoint(lambda folder: write_atomic(folder / "a", b"2"))
    assert sorted(p.name for p in (tmp_path / "checkpoint").iterdir()) == ["2"]
    sums = json.loads((second / "SUMS.json").read_bytes())["files"]
    assert set(sums) == {"a", "metrics.jsonl"} and sums["a"] == {"bytes": 1, "sha256": sha256_file(second / "a")}
    assert [set(line) for line in metric_lines(tmp_path)] == [{"step", "time", "loss"}]
    (second / "a").write_bytes(b"3")
    with pytest.raises(TaskFailure, match=r"2/a: damaged"):
        context(tmp_path / "next", {}, resume=second)
    (second / "a").unlink()
    with pytest.raises(TaskFailure, match="cannot read"):
        context(tmp_path / "next", {}, resume=second)


def test_progress_has_a_rate_and_is_not_written_too_often(tmp_path: Path) -> None:
    times = iter([0.0, 10.0, 10.5, 12.0, 12.1])
    ctx = Context(params={}, out=tmp_path, clock=lambda: next(times))
    seen = []
    for done in (0, 5, 20, 100):
        ctx.progress(done, 100, "games")
        seen.append(json.loads((tmp_path / "progress.json").read_bytes()))
    assert [(state["done"], state["rate"]) for state in seen[:3]] == [(0, None), (0, None), (20, 10.0)]
    assert seen[3]["done"] == 100  # the last word is always written


def test_a_full_disk_fails_with_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = os.fsync
    calls = 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr("gocore.files.os.fsync", full)
    assert run_task("selfplay", tiny_params("selfplay"), {}, tmp_path / "out", None, StopFlag()) == 1
    err = capsys.readouterr().err
    assert "No space left on device" in err and "Traceback" not in err
    assert not (tmp_path / "out" / "result.json").exists()
    assert not list((tmp_path / "out").rglob("*.tmp"))  # half files would keep the disk full


def test_half_a_line_is_taken_back(tmp_path: Path) -> None:
    """A file that may not grow takes the first part of a write without an error, as a full disk does."""
    code = (
        "import resource, signal, sys\n"
        "from gocore.files import append_line\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60, 60))\n"
        "append_line(sys.argv[1], {'a': 'x' * 40})\n"
        "append_line(sys.argv[1], {'b': 'y' * 40})\n"
    )
    path = tmp_path / "lines"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.returncode == 1 and "No space left on device" in done.stderr and str(path) in done.stderr
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"a": "x" * 40}]


def test_checked_params_fills_defaults() -> None:
    assert checked_params(TASKS["loop"], {})["search"]["visits"] == 64
