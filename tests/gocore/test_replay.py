"""Training batches: the targets of the records, masked where unknown, turned together."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from fakenet import drive, flat_net, selfplay
from test_features import turn

import gocore
from gocore._core import NUM_PLANES, RecordError, Replay, decode_record, encode

KEYS = {"planes", "policy", "policy_weight", "value", "value_weight", "score", "ownership"}


@functools.cache
def some_records(size: int = 4, **changes: Any) -> tuple[bytes, ...]:
    pcr = {"visits": 14, "cheap_visits": 4, "full_probability": 0.5, "noise_weight": 0.25}
    return tuple(drive(selfplay(size=size, games=8, temperature_moves=6, **(pcr | changes)))[0])


def window(records: tuple[bytes, ...], size: int = 4, **options: int) -> Replay:
    replay = Replay(size, **options)
    for record in records:
        replay.add(record)
    return replay


def expected_rows(records: tuple[bytes, ...]) -> dict[bytes, list[dict[str, Any]]]:
    """What each position with a target should look like, by its unturned planes."""
    rows: dict[bytes, list[dict[str, Any]]] = {}
    for record in map(decode_record, records):
        size = record["size"]
        game = gocore.Game(size, gocore.Rules(komi=record["komi"]))
        for move, policy in zip(record["moves"], record["policy"]):
            black = game.color_to_play == 1
            sign = 1 if black else -1
            if policy is not None:
                settled = record["settled"]
                row = {
                    "policy": policy,
                    "value_weight": float(settled),
                    "value": 0.5 if not settled else record["result"] if black else 1 - record["result"],
                    "score": sign * record["score"] if settled else 0.0,
                    "ownership": sign * record["ownership"].astype(np.float32) * settled,
                }
                rows.setdefault(encode(game).tobytes(), []).append(row)
            game.play_point(int(move))
    return rows


def agrees(row: dict[str, Any], batch: dict[str, Any], i: int, size: int, symmetry: int) -> bool:
    board = turn(row["policy"][:-1].reshape(size, size), symmetry).ravel()
    return bool(
        np.allclose(batch["policy"][i][:-1], board, atol=1e-6)
        and np.isclose(batch["policy"][i][-1], row["policy"][-1], atol=1e-6)
        and np.array_equal(batch["ownership"][i], turn(row["ownership"].reshape(size, size), symmetry).ravel())
        and batch["value"][i] == row["value"]
        and batch["value_weight"][i] == row["value_weight"]
        and batch["score"][i] == row["score"]
    )


@pytest.mark.parametrize("changes", [{}, {"move_cap": 12}])
def test_rows_are_the_records_turned_as_one(changes: dict[str, int]) -> None:
    records = some_records(**changes)
    rows = expected_rows(records)
    by_planes: dict[bytes, list[tuple[int, dict[str, Any]]]] = {
        turn(np.frombuffer(planes, np.float32).reshape(NUM_PLANES, 4, 4), symmetry).tobytes(): []
        for planes in rows
        for symmetry in range(8)
    }
    for planes, targets in rows.items():
        for symmetry in range(8):
            turned = turn(np.frombuffer(planes, np.float32).reshape(NUM_PLANES, 4, 4), symmetry).tobytes()
            by_planes[turned] += [(symmetry, target) for target in targets]
    batch = window(records).sample(400, seed=1, step=2)
    assert set(batch) == KEYS and all(array.dtype == np.float32 for array in batch.values())
    assert batch["planes"].shape == (400, NUM_PLANES, 4, 4) and batch["ownership"].shape == (400, 16)
    for i in range(400):
        candidates = by_planes[batch["planes"][i].tobytes()]
        assert any(agrees(target, batch, i, 4, symmetry) for symmetry, target in candidates)
    assert (batch["policy_weight"] == 1).all()
    np.testing.assert_allclose(batch["policy"].sum(axis=1), 1, atol=1e-5)
    assert (0 in batch["value_weight"]) == bool(changes)


def test_all_symmetries_come_up_and_can_be_switched_off() -> None:
    """One row: the eight turns of it, about equally often."""
    record = drive(selfplay(size=5, games=1, slots=1, groups=1, move_cap=4, opening_moves=3), [flat_net])[0][0]
    replay = window((record,), 5)
    assert replay.rows == 1
    batch = replay.sample(800, seed=3, step=0)
    kinds, counts = np.unique(batch["planes"].reshape(800, -1), axis=0, return_counts=True)
    assert len(kinds) == 8 and counts.min() > 60
    still = replay.sample(20, seed=3, step=0, symmetry=False)
    game = gocore.Game(5, gocore.Rules(komi=3.5))
    for move in decode_record(record)["moves"][:3]:
        game.play_point(int(move))
    assert all(np.array_equal(planes, encode(game)) for planes in still["planes"])


def test_sampling_is_uniform_over_rows_and_keyed() -> None:
    records = some_records()
    replay = window(records)
    batch = replay.sample(64, seed=5, step=9)
    again = window(records, threads=3).sample(64, seed=5, step=9)
    assert all(np.array_equal(batch[key], again[key]) for key in KEYS)
    other = replay.sample(64, seed=5, step=10)
    assert not np.array_equal(batch["planes"], other["planes"])
    many = replay.sample(200 * replay.rows, seed=0, step=0, symmetry=False)
    _, counts = np.unique(many["planes"].reshape(len(many["planes"]), -1), axis=0, return_counts=True)
    expected = sorted(len(targets) for targets in expected_rows(records).values())
    assert len(counts) == len(expected)
    np.testing.assert_allclose(sorted(counts / 200), expected, rtol=0.35)


def test_oldest_games_leave_the_window() -> None:
    records = some_records()
    decoded = [decode_record(record) for record in records]
    replay = Replay(4, max_positions=60)
    for i, record in enumerate(records):
        gained = replay.add(record)
        assert gained == sum(policy is not None for policy in decoded[i]["policy"])
        kept = i
        while kept > 0 and sum(len(game["moves"]) for game in decoded[kept - 1 : i + 1]) <= 60:
            kept -= 1
        inside = decoded[kept : i + 1]
        assert replay.games == len(inside)
        assert replay.positions == sum(len(game["moves"]) for game in inside)
        assert replay.rows == sum(policy is not None for game in inside for policy in game["policy"])
    rows = expected_rows(records[-replay.games :])
    batch = replay.sample(100, seed=0, step=0, symmetry=False)
    assert all(planes.tobytes() in rows for planes in batch["planes"])


def test_wrong_sizes_and_empty_windows_are_refused() -> None:
    replay = Replay(5)
    with pytest.raises(RecordError, match="4x4"):
        replay.add(some_records()[0])
    assert replay.games == replay.rows == 0
    with pytest.raises(ValueError, match="policy target"):
        replay.sample(4, seed=0, step=0)
    for bad in ({"size": 0}, {"size": 20}, {"size": 4, "max_positions": -1}):
        with pytest.raises(ValueError):
            Replay(**bad)
    with pytest.raises(ValueError, match="batch"):
        window(some_records()).sample(0, seed=0, step=0)
