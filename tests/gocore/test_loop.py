"""The loop: what it leaves behind, resumes at any point, and halts when its games are ill."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from nets import StopAfter, context, metric_lines, result_of, tiny_params

from gocore._core import decode_record
from gocore.checkpoint import CheckpointError, load_net, read_sidecar
from gocore.files import write_json
from gocore.loop import UnhealthyRun
from gocore.replay import read_games
from gocore.reporting import Preempted
from gocore.tasks import loop
from gocore.tasks.harness import SUMS, StopFlag
from gocore.tasks.specs import TASKS
from gocore.telemetry import GameTelemetry, Health
from gocore.train import Trainer


def test_a_run_from_nothing(tmp_path: Path) -> None:
    loop.run(context(tmp_path, tiny_params("loop")))
    result = result_of(tmp_path)
    assert set(result["metrics"]) == set(TASKS["loop"].metrics)
    assert set(result["artifacts"]) == set(TASKS["loop"].artifacts)
    games = [decode_record(record) for record in read_games(tmp_path / "artifacts" / "records")]
    assert [game["game_id"] for game in games] == list(range(48))
    assert [game["net_ranges"] for game in games] == [[(0, 0)]] * 24 + [[(0, 1)]] * 24
    net, sidecar = load_net(tmp_path / "artifacts" / "net.pt")
    assert sidecar["parents"] == [read_sidecar(tmp_path / "artifacts" / "initial_net.pt")["sha256"]]
    assert sidecar["step"] > 0 and net.config.blocks == 1
    lines = metric_lines(tmp_path)
    assert [line["iteration"] for line in lines if "iteration" in line] == [1, 2]
    assert [line["step"] for line in lines] == sorted(line["step"] for line in lines)
    for curve in result["curves"]:
        for name in curve["y"]:
            assert any(name in line and curve["x"] in line for line in lines), name
    assert (tmp_path / result["samples"][0]["sgf"]).exists()


def test_each_iteration_is_measured_against_the_untrained_net(tmp_path: Path) -> None:
    params = tiny_params("loop", evaluation={"pairs": 3, "visits": 2, "opening_moves": 2})
    loop.run(context(tmp_path, params))
    lines = [line for line in metric_lines(tmp_path) if "iteration" in line]
    assert [line["strength.games"] for line in lines] == [6, 6]
    for line in lines:
        assert 0 <= line["strength.low"] <= line["strength.winrate"] <= line["strength.high"] <= 1
    curve = result_of(tmp_path)["curves"][0]
    assert curve["y"] == ["strength.winrate"] and set(curve["band"]["strength.winrate"]) <= set(lines[0])


def test_a_stop_in_the_evaluation_leaves_no_hole_in_the_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = tiny_params("loop", evaluation={"pairs": 3, "visits": 2, "opening_moves": 2})
    loop.run(context(tmp_path / "straight", params))
    stop = StopFlag()

    def interrupted(*args: Any, **options: Any) -> None:
        stop.set = True
        raise Preempted

    with monkeypatch.context() as patched:
        patched.setattr("gocore.loop.play_match", interrupted)
        with pytest.raises(Preempted):
            loop.run(context(tmp_path / "a", params, stop=stop))
    (checkpoint,) = (tmp_path / "a" / "checkpoint").iterdir()
    loop.run(context(tmp_path / "b", params, resume=checkpoint))
    curves = [
        [line["strength.winrate"] for line in metric_lines(tmp_path / name) if "iteration" in line]
        for name in ("straight", "b")
    ]
    assert curves[0] == curves[1] and len(curves[0]) == 2
    assert result_of(tmp_path / "b")["checksums"] == result_of(tmp_path / "straight")["checksums"]


@pytest.mark.parametrize("looks", [0, 60, 200, 330])
def test_resume_from_wherever_it_was_stopped(tmp_path: Path, looks: int) -> None:
    params = tiny_params("loop")
    try:
        loop.run(context(tmp_path / "a", params, stop=StopAfter(looks)))
    except Preempted:
        (checkpoint,) = (tmp_path / "a" / "checkpoint").iterdir()
        before = list(read_games(checkpoint / "records"))
        loop.run(context(tmp_path / "b", params, resume=checkpoint))
        after = list(read_games(tmp_path / "b" / "artifacts" / "records"))
        assert after[: len(before)] == before and len(after) == 48
        assert [decode_record(record)["game_id"] for record in after] == list(range(48))
        iterations = [line["iteration"] for line in metric_lines(tmp_path / "b") if "iteration" in line]
        assert iterations == [1, 2]
    else:
        pytest.fail("the loop was never stopped: look at fewer looks")


def test_stopped_many_times(tmp_path: Path) -> None:
    # A game asks at most 20 x 12 times, fewer than an attempt has looks: whatever the nets play, each one gets on.
    params = tiny_params("loop", selfplay={"slots": 16, "groups": 2, "games_per_shard": 10, "move_cap": 20})
    resume, attempts = None, 0
    chance = random.Random(0)
    while True:
        out = tmp_path / str(attempts)
        try:
            loop.run(context(out, params, resume=resume, stop=StopAfter(chance.randint(250, 400))))
            break
        except Preempted:
            (resume,) = (out / "checkpoint").iterdir()
            attempts += 1
            assert attempts < 10  # games that a stop cuts short are played anew
    assert attempts >= 1 and len(list(read_games(out / "artifacts" / "records"))) == 48


@pytest.mark.parametrize("steps_left", [0, 9])
def test_a_stop_while_training_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps_left: int
) -> None:
    params = tiny_params("loop", training={"batch": 16, "window": 4000, "final_lr": 1e-5, "warmup_steps": 0})
    loop.run(context(tmp_path / "straight", params))
    ends = [line["step"] for line in metric_lines(tmp_path / "straight") if "iteration" in line]
    stop, real = StopFlag(), Trainer.step

    def step(trainer: Trainer, *args: Any, **options: Any) -> dict[str, float]:
        losses = real(trainer, *args, **options)
        stop.set = stop.set or trainer.steps == ends[1] - steps_left
        return losses

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(Preempted):
        loop.run(context(tmp_path / "a", params, stop=stop))
    monkeypatch.undo()
    (checkpoint,) = (tmp_path / "a" / "checkpoint").iterdir()
    loop.run(context(tmp_path / "b", params, resume=checkpoint))
    straight, resumed = result_of(tmp_path / "straight"), result_of(tmp_path / "b")
    assert resumed["checksums"] == straight["checksums"]
    assert resumed["metrics"]["final_loss"] == straight["metrics"]["final_loss"]


def test_training_is_checkpointed_as_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Trainer.step

    def step(trainer: Trainer, *args: Any, **options: Any) -> dict[str, float]:
        if trainer.steps == 20:
            raise MemoryError
        return real(trainer, *args, **options)

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(MemoryError):
        loop.run(context(tmp_path, tiny_params("loop", checkpoint_s=5.0)))
    (checkpoint,) = (tmp_path / "checkpoint").iterdir()
    assert read_sidecar(checkpoint / "train.pt")["step"] >= 10


def test_rows_that_left_the_window_pay_for_no_steps(tmp_path: Path) -> None:
    params = tiny_params("loop", training={"batch": 16, "window": 100})
    loop.run(context(tmp_path, params))
    games = [decode_record(record) for record in read_games(tmp_path / "artifacts" / "records")]
    lines = [line for line in metric_lines(tmp_path) if "iteration" in line]
    seen = 0.0
    for line in lines:
        seen += line["window.rows"]
        assert line["samples"] <= 4 * seen
    rows = sum(policy is not None for game in games for policy in game["policy"])
    assert lines[-1]["samples"] > 0 and seen < rows / 2  # else the window did not matter


def test_a_run_that_trains_nothing_fails(tmp_path: Path) -> None:
    params = tiny_params("loop", games=1, iterations=1, training={"batch": 60_000})
    with pytest.raises(UnhealthyRun, match=r"rows of 1 games do not pay for one batch of 60000"):
        loop.run(context(tmp_path, params))
    assert not (tmp_path / "result.json").exists()


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    params = tiny_params("loop")
    with pytest.raises(Preempted):
        loop.run(context(tmp_path / "a", params, stop=StopAfter(10)))
    checkpoint = tmp_path / "a" / "checkpoint" / "1"
    with pytest.raises(CheckpointError, match=r"loop\.json: is of another run: seed 1, not 2"):
        loop.run(context(tmp_path / "b", params, seed=2, resume=checkpoint))
    with pytest.raises(CheckpointError, match=r"net\.pt: is the net of another run"):
        other = tiny_params("loop", net={"blocks": 2, "channels": 16})
        loop.run(context(tmp_path / "c", other, resume=checkpoint))
    write_json(checkpoint / "loop.json", {"iterations_done": 1})
    sums = json.loads((checkpoint / SUMS).read_bytes())
    del sums["files"]["loop.json"]
    write_json(checkpoint / SUMS, sums)
    with pytest.raises(CheckpointError, match=r"loop\.json: is not the state of a loop"):
        loop.run(context(tmp_path / "d", params, resume=checkpoint))


def test_capped_games_halt_the_run_with_a_checkpoint(tmp_path: Path) -> None:
    params = tiny_params("loop", health={"after": 0}, selfplay={"slots": 16, "groups": 2, "move_cap": 6})
    with pytest.raises(UnhealthyRun, match=r"iteration 1: .* cut by the move cap, more than 1\.0%"):
        loop.run(context(tmp_path, params))
    assert (tmp_path / "checkpoint" / "1" / SUMS).exists()


def telemetry(black: float, white: float) -> GameTelemetry:
    return GameTelemetry(
        games=100,
        early={"black": 500, "white": 400},
        early_passes={"black": int(500 * black), "white": int(400 * white)},
    )


def test_early_passes_of_one_colour_are_seen() -> None:
    health = Health(after=1)
    assert health.complaints(telemetry(0.01, 0.02), 2) == []
    (complaint,) = health.complaints(telemetry(0.01, 0.5), 2)
    assert complaint.startswith("white passed in 50.0% of its first moves")
    assert health.complaints(telemetry(0.9, 0.9), 1) == []
    assert Health(after=0, early_pass_max=None).complaints(telemetry(0.9, 0.9), 1) == []


def test_telemetry_counts_what_was_chosen() -> None:
    game = {
        "size": 3,
        "moves": [0, 1, 9, 2, 9, 9],
        "opening_moves": 2,
        "finished": "two_passes",
        "no_result": False,
        "result": 1.0,
        "policy": [None] * 6,
    }
    seen = GameTelemetry(early_moves=5)
    seen.add(game)
    assert seen.early == {"black": 2, "white": 1} and seen.early_passes == {"black": 2, "white": 0}
    seen.add(game | {"moves": [0, 1, 9, 9], "policy": [None] * 4})
    lengths = ("game.length", "game.length_min", "game.length_max")
    assert [seen.summary()[name] for name in lengths] == [5, 4, 6]
    assert seen.summary()["game.black_result"] == 1
