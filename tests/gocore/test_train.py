"""Training: masked losses, a trainer that learns and resumes bit for bit, the limit on repeated rows."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from nets import SIZE, tiny_net, tiny_params

from gocore._core import NUM_PLANES, Pool, RecordError, write_shard
from gocore.evaluator import CpuEvaluator
from gocore.replay import ShardWriter, Window, carry_over, read_games, read_manifest
from gocore.selfplay import drive, selfplay_config
from gocore.train import TrainConfig, Trainer, compute_losses, recalibrate


def play_records(games: int = 16, seed: int = 1) -> list[bytes]:
    params = tiny_params("selfplay")
    config = selfplay_config(
        size=SIZE,
        rules=params["rules"],
        search=params["search"],
        games=params["selfplay"],
        count=games,
        first_game=0,
        seed=seed,
    )
    records: list[bytes] = []
    over = drive(Pool(config), [CpuEvaluator(tiny_net(), 8)], groups=2, workers=2, on_records=records.extend)
    assert over and len(records) == games
    return records


@pytest.fixture(scope="module")
def records() -> list[bytes]:
    return play_records()


@pytest.fixture
def window(records: list[bytes]) -> Window:
    window = Window(SIZE, 4000)
    window.add(records)
    return window


def random_batch(rows: int = 6) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "planes": torch.rand(rows, NUM_PLANES, SIZE, SIZE, generator=generator),
        "policy": torch.softmax(torch.rand(rows, SIZE * SIZE + 1, generator=generator), dim=1),
        "policy_weight": torch.ones(rows),
        "value": torch.rand(rows, generator=generator).round(),
        "value_weight": torch.ones(rows),
        "score": torch.randn(rows, generator=generator) * 5,
        "ownership": torch.randint(-1, 2, (rows, SIZE * SIZE), generator=generator).float(),
    }


@pytest.mark.parametrize(
    "weight, names", [("policy_weight", {"policy", "agreement"}), ("value_weight", {"value", "score", "ownership"})]
)
def test_rows_without_weight_do_not_matter(weight: str, names: set[str]) -> None:
    net = tiny_net().eval()
    batch = random_batch()
    batch[weight][3:] = 0
    before = compute_losses(net, batch)
    for name in ("policy", "value", "score", "ownership"):
        batch[name] = batch[name].clone()
        batch[name][3:] = batch[name][3:].flip(-1) if batch[name].ndim > 1 else 1 - batch[name][3:]
    after = compute_losses(net, batch)
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same >= names and "policy" in set(before) and not same >= set(before)


def test_losses_by_hand() -> None:
    net = tiny_net().eval()
    batch = random_batch(2)
    out = net(batch["planes"])
    losses = compute_losses(net, batch)
    value = torch.sigmoid(out.value_B)
    by_hand = -(batch["value"] * value.log() + (1 - batch["value"]) * (1 - value).log()).mean()
    torch.testing.assert_close(losses["value"], by_hand)
    policy = -(batch["policy"] * torch.softmax(out.policy_BA, dim=1).log()).sum(dim=1).mean()
    torch.testing.assert_close(losses["policy"], policy)


def test_a_batch_without_any_target_has_no_gradient() -> None:
    net = tiny_net()
    batch = random_batch()
    batch["policy_weight"].zero_()
    batch["value_weight"].zero_()
    losses = compute_losses(net, batch)
    sum(losses[name] for name in ("policy", "value", "score", "ownership")).backward()  # type: ignore[union-attr]
    assert all(p.grad is None or float(p.grad.abs().max()) == 0 for p in net.parameters())


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_it_learns(window: Window, optimizer: str) -> None:
    lr = 3e-3 if optimizer == "adamw" else 0.05
    trainer = Trainer(tiny_net(), TrainConfig(batch=32, optimizer=optimizer, lr=lr, warmup_steps=5), seed=0)
    losses = [trainer.step(window)["loss.total"] for _ in range(60)]
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.1


def test_a_resume_goes_on_bit_for_bit(window: Window) -> None:
    config = TrainConfig(batch=16, lr=1e-3, final_lr=1e-4)
    straight = Trainer(tiny_net(), config, seed=3)
    for i in range(12):
        straight.step(window, fraction_done=i / 12)
    first = Trainer(tiny_net(), config, seed=3)
    for i in range(7):
        first.step(window, fraction_done=i / 12)
    buffer = io.BytesIO()
    torch.save(first.state(), buffer)
    buffer.seek(0)
    second = Trainer(tiny_net(9), config, seed=3)
    second.net.load_state_dict(first.net.state_dict())
    second.load_state(torch.load(buffer, weights_only=True))
    for i in range(7, 12):
        second.step(window, fraction_done=i / 12)
    for a, b in zip(straight.net.state_dict().values(), second.net.state_dict().values()):
        assert torch.equal(a, b)


def test_rows_per_new_row_is_limited() -> None:
    with pytest.raises(ValueError, match="at most 8"):
        Trainer(tiny_net(), TrainConfig(rows_per_new_row=8.5), seed=0)
    trainer = Trainer(tiny_net(), TrainConfig(batch=100, rows_per_new_row=8), seed=0)
    assert [trainer.steps_due(rows) for rows in (0, 12, 13, 1000)] == [0, 0, 1, 80]


def test_learning_rate() -> None:
    trainer = Trainer(tiny_net(), TrainConfig(lr=1.0, final_lr=0.0, warmup_steps=9), seed=0)
    assert math.isclose(trainer.learning_rate(0), 0.1)
    trainer.steps = 100
    assert [trainer.learning_rate(f) for f in (0, 0.5, 1, 2)] == [1.0, 0.5, 0.0, 0.0]


def test_recalibrate_moves_statistics_only(window: Window) -> None:
    net = tiny_net()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    recalibrate(net, window, batch=32, seed=0)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]) != ("running" in name or "num_batches" in name)
    assert all(m.momentum == 0.1 for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d))


def test_shards_and_manifest(tmp_path: Path, records: list[bytes]) -> None:
    writer = ShardWriter(tmp_path / "a", games_per_shard=6)
    assert len(writer.add(records)) == 2 and writer.games == 12
    again = ShardWriter(tmp_path / "a", games_per_shard=6)
    assert again.games == 12  # what waited for a full shard was never accepted
    again.add(records[12:])
    again.flush()
    assert list(read_games(tmp_path / "a")) == records
    carry_over(tmp_path / "a", tmp_path / "b")
    assert list(read_games(tmp_path / "b")) == records
    window = Window(SIZE, 0)
    assert window.add_folder(tmp_path / "b") == 3 and window.rows == again.rows > 0
    with open(tmp_path / "b" / "manifest.jsonl", "ab") as file:
        file.write(b'{"path": "shard-0')  # a crash in mid-line
    assert len(read_manifest(tmp_path / "b")) == 3
    later = ShardWriter(tmp_path / "b", games_per_shard=6)
    later.add(records[:6])
    assert [entry["games"] for entry in read_manifest(tmp_path / "b")] == [6, 6, 4, 6]


def test_damaged_shards_are_refused_with_their_path(tmp_path: Path, records: list[bytes]) -> None:
    writer = ShardWriter(tmp_path, games_per_shard=8)
    path = writer.add(records)[0]
    good = path.read_bytes()
    path.write_bytes(good[:-1])
    with pytest.raises(RecordError, match=r"shard-00000000\.rec: damaged"):
        Window(SIZE, 0).add_folder(tmp_path)
    path.unlink()
    with pytest.raises(RecordError, match=r"shard-00000000\.rec: cannot read"):
        list(read_games(tmp_path))
    (tmp_path / "manifest.jsonl").write_text("{}\n")
    with pytest.raises(RecordError, match=r"manifest\.jsonl:1"):
        read_manifest(tmp_path)
    for key, value in (("path", 3), ("path", "../shard-00000000.rec"), ("games", "8"), ("rows", None), ("sha256", 1)):
        (tmp_path / "manifest.jsonl").write_text(json.dumps(writer.entries[0] | {key: value}) + "\n")
        with pytest.raises(RecordError, match=r"manifest\.jsonl:1: not a shard's entry"):
            Window(SIZE, 0).add_folder(tmp_path)
    with pytest.raises(RecordError, match="somewhere: game 1"):
        Window(SIZE, 0).add([records[0], records[1][:-3]], "somewhere")
    assert write_shard(records[:8]) == good
