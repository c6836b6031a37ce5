"""Records and shards: what is in them, and that no damaged byte gets past the reader."""

from __future__ import annotations

import functools
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from fakenet import drive, hash_net, selfplay
from hypothesis import given, settings
from hypothesis import strategies as st

import gocore
from gocore._core import RECORD_VERSION, RecordError, Replay, decode_record, read_shard, write_shard

PCR = {"visits": 14, "cheap_visits": 4, "full_probability": 0.5, "noise_weight": 0.25}


@functools.cache
def some_records() -> tuple[bytes, ...]:
    return tuple(drive(selfplay(size=4, games=6, opening_moves=2, temperature_moves=6, **PCR))[0])


def sealed(body: bytes) -> bytes:
    """Give changed bytes a right checksum, so that the checks behind it are reached."""
    return body + struct.pack("<I", zlib.crc32(body))


def replayed(record: dict[str, Any]) -> gocore.Game:
    game = gocore.Game(record["size"], gocore.Rules(ko=record["ko"], suicide=record["suicide"], komi=record["komi"]))
    for move in record["moves"]:
        game.play_point(int(move))
    return game


def test_record_tells_the_game() -> None:
    for number, data in enumerate(some_records()):
        record = decode_record(data)
        count = len(record["moves"])
        assert record["version"] == RECORD_VERSION and record["game_id"] == number and record["seed"] == 7
        assert record["size"] == 4 and record["komi"] == 3.5 and record["opening_moves"] == 2
        assert record["moves"].dtype == np.int16 and record["visits"].dtype == np.int32
        assert record["full"].dtype == np.bool_ and record["root_value"].dtype == np.float32
        assert all(len(record[key]) == count for key in ("full", "visits", "root_visits", "root_value", "policy"))
        assert np.isnan(record["root_value"][:2]).all() and (record["visits"][:2] == 0).all()
        assert ((record["root_value"][2:] >= 0) & (record["root_value"][2:] <= 1)).all()
        assert record["net_ranges"] == [(0, -1), (2, 0)]
        assert record["policy_kind"] == "visits"
        game = replayed(record)
        assert game.hash == record["hash"]
        assert record["score"] == game.area_score("pass_dead_removed")
        owner = game.area_owner().ravel()
        np.testing.assert_array_equal(record["ownership"], np.where(owner == 2, -1, owner))
        if record["finished"] == "two_passes":
            assert game.is_over and record["settled"]
            assert record["result"] == (record["score"] > 0)
        else:
            assert record["finished"] == "move_cap" and count == 32 and not record["settled"]


def test_policy_targets_are_the_visits() -> None:
    for record in map(decode_record, some_records()):
        game = gocore.Game(4, gocore.Rules(komi=record["komi"]))
        for move, full, policy in zip(record["moves"], record["full"], record["policy"]):
            if full:
                assert policy.dtype == np.float32 and policy.shape == (17,)
                assert not policy[~game.legal_mask()].any()
                np.testing.assert_allclose(policy * 13, np.round(policy * 13), atol=1e-4)
            game.play_point(int(move))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    for read in (decode_record, read_shard, Replay(4).add):
        with pytest.raises(RecordError):
            read(data)
        with pytest.raises(RecordError):
            read(sealed(b"GREC" + data))


@settings(max_examples=300, deadline=None)
@given(which=st.integers(0, 5), at=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_a_changed_byte_is_refused(which: int, at: int, flip: int) -> None:
    data = bytearray(some_records()[which])
    data[at % len(data)] ^= flip
    with pytest.raises(RecordError):
        decode_record(bytes(data))


@settings(max_examples=500, deadline=None)
@given(which=st.integers(0, 5), at=st.integers(0, 10**6), value=st.binary(min_size=1, max_size=8))
def test_changes_behind_a_right_checksum_never_crash(which: int, at: int, value: bytes) -> None:
    body = bytearray(some_records()[which][:-4])
    at %= len(body)
    body[at : at + len(value)] = value
    data = sealed(bytes(body))
    window = Replay(4)
    try:
        record = decode_record(data)
    except RecordError:
        with pytest.raises(RecordError):
            window.add(data)
    else:
        assert replayed(record).hash == record["hash"]
        window.add(data)
        if window.rows:
            window.sample(8, 0, 0)


def test_every_truncation_is_refused() -> None:
    data = some_records()[0]
    for length in range(len(data)):
        with pytest.raises(RecordError):
            decode_record(data[:length])
    with pytest.raises(RecordError):
        decode_record(data + b"\0")


def test_a_newer_version_is_named() -> None:
    body = bytearray(some_records()[0][:-4])
    body[4:6] = struct.pack("<H", 77)
    with pytest.raises(RecordError, match="version 77"):
        decode_record(sealed(bytes(body)))


def test_a_policy_target_needs_a_full_search() -> None:
    data = some_records()[0]
    record = decode_record(data)
    at = 4 + 2 + 8 + 8 + 24 + 6 + len(record["net_ranges"]) * 10 + 16  # the first move
    for full, policy in zip(record["full"], record["policy"]):
        if policy is not None:
            break
        assert data[at + 2] == full
        at += 15
    body = bytearray(data[:-4])
    assert body[at + 2] == 0b11
    body[at + 2] = 0b10
    with pytest.raises(RecordError, match="policy target without a full search"):
        decode_record(sealed(bytes(body)))


def test_record_error_is_a_value_error() -> None:
    assert issubclass(RecordError, ValueError)


def test_net_ids_are_recorded_by_move_range() -> None:
    from gocore._core import Pool

    pool = Pool(selfplay(size=5, games=1, slots=1, groups=1, visits=2, tree_reuse=False))
    pool.set_net_id(0, 10**12)
    asked = 0
    while pool.collect(0):
        planes = pool.planes(0, 0)
        asked += 1
        if asked == 10:
            pool.set_net_id(0, 5)
        pool.supply(0, 0, *hash_net(planes))
    (data,) = pool.take_records()
    assert decode_record(data)["net_ranges"] == [(0, 10**12), (4, 5)]
    with pytest.raises(ValueError, match="net"):
        pool.set_net_id(1, 0)


def test_shard_round_trip() -> None:
    records = list(some_records())
    assert read_shard(write_shard(records)) == records
    assert read_shard(write_shard([])) == []


def test_any_damage_to_a_shard_is_refused() -> None:
    data = write_shard(list(some_records()[:2]))
    for length in range(0, len(data), 7):
        with pytest.raises(RecordError):
            read_shard(data[:length])
    for at in range(len(data)):
        if at in (6, 7):
            continue  # reserved, but under the checksum at the end
        broken = bytearray(data)
        broken[at] ^= 0x10
        with pytest.raises(RecordError):
            read_shard(bytes(broken))
    with pytest.raises(RecordError):
        read_shard(data + data)
