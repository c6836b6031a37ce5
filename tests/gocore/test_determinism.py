"""Same seed, same batch shape: the same games and the same net, bit for bit, whatever the number of threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from nets import context, result_of, tiny_net, tiny_params

from gocore._core import Pool
from gocore.evaluator import CpuEvaluator
from gocore.selfplay import choose_walk_threads, drive, selfplay_config
from gocore.tasks import loop, match, selfplay


def play(*, pool_threads: int, workers: int, torch_threads: int, seed: int = 5) -> list[bytes]:
    params = tiny_params("selfplay", size=7)
    params["selfplay"]["groups"] = 4
    config = selfplay_config(
        size=7,
        rules=params["rules"],
        search=params["search"],
        games=params["selfplay"],
        count=20,
        first_game=0,
        seed=seed,
    )
    records: list[bytes] = []
    before = torch.get_num_threads()
    torch.set_num_threads(torch_threads)
    try:
        evaluator = CpuEvaluator(tiny_net(size=7), 4)
        drive(
            Pool(config | {"threads": pool_threads}), [evaluator], groups=4, workers=workers, on_records=records.extend
        )
    finally:
        torch.set_num_threads(before)
    assert len(records) == 20
    return records


@pytest.mark.parametrize(
    "threads",
    [
        {"pool_threads": 3, "workers": 1, "torch_threads": 1},
        {"pool_threads": 1, "workers": 4, "torch_threads": 1},
        {"pool_threads": 2, "workers": 2, "torch_threads": 2},
    ],
)
def test_same_games_whatever_the_threads(threads: dict[str, int]) -> None:
    alone = play(pool_threads=1, workers=1, torch_threads=1)
    assert play(**threads) == alone


def test_another_seed_gives_other_games() -> None:
    one = {"pool_threads": 1, "workers": 1, "torch_threads": 1}
    assert play(**one, seed=6) != play(**one)


def test_walkers_are_chosen_by_device() -> None:
    assert choose_walk_threads(None, threads=16, device="cpu") == 1
    assert choose_walk_threads(None, threads=16, device="cuda") == 16
    assert choose_walk_threads(3, threads=16, device="cpu") == 3


def test_the_pool_gets_the_walkers_a_task_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def pool(config: dict[str, Any]) -> Pool:
        seen.append(config["threads"])
        return Pool(config)

    for module in ("gocore.loop", "gocore.match", "gocore.tasks.selfplay"):
        monkeypatch.setattr(f"{module}.Pool", pool)
    for task in (loop, match, selfplay):
        name = task.__name__.rpartition(".")[2]
        task.run(context(tmp_path / name, tiny_params(name, walk_threads=2)))
        assert seen and set(seen) == {2}
        seen.clear()


def test_two_runs_of_the_loop_give_the_same_net(tmp_path: Path) -> None:
    for name in "ab":
        loop.run(context(tmp_path / name, tiny_params("loop", threads=2)))
    first, second = result_of(tmp_path / "a"), result_of(tmp_path / "b")
    assert first["checksums"] == second["checksums"]
    assert first["metrics"]["final_loss"] == second["metrics"]["final_loss"]
