"""Deterministic stand-ins for a net, and a loop that drives a pool with them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gocore._core import Pool

FloatArray = NDArray[np.float32]
PLAYER_KEYS = {
    *("visits", "cheap_visits", "full_probability", "c_puct", "fpu_reduction", "root_fpu_reduction"),
    *("noise_weight", "noise_total_alpha", "tree_reuse", "prune_pass_alive"),
}
Net = Callable[[FloatArray], tuple[FloatArray, FloatArray]]


def hash_net(planes_BCSS: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Random-looking logits and values; each row depends on its own planes alone."""
    size = planes_BCSS.shape[-1]
    draws = [np.random.Generator(np.random.PCG64(zlib.crc32(row.tobytes()))) for row in planes_BCSS]
    logits = np.stack([rng.standard_normal(size * size + 1) for rng in draws]).astype(np.float32)
    return logits, np.array([rng.uniform(0.3, 0.7) for rng in draws], np.float32)


def flat_net(planes_BCSS: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Knows nothing: every move alike, every position even."""
    rows, size = planes_BCSS.shape[0], planes_BCSS.shape[-1]
    return np.zeros((rows, size * size + 1), np.float32), np.full(rows, 0.5, np.float32)


def radial_net(planes_BCSS: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Like hash_net, but turning the board turns the answer: depends on distances from the centre alone."""
    rows, size = planes_BCSS.shape[0], planes_BCSS.shape[-1]
    axis = np.arange(size) * 2 - (size - 1)
    distance_SS = axis[:, None] ** 2 + axis[None, :] ** 2
    weights = 1 + 7 * distance_SS
    logits = np.zeros((rows, size * size + 1), np.float32)
    values = np.zeros(rows, np.float32)
    for row in range(rows):
        sums = (planes_BCSS[row].astype(np.float64) * weights).sum(axis=(1, 2)).round(6)
        rng = np.random.default_rng(zlib.crc32((sums + 0.0).tobytes()))
        by_distance = rng.standard_normal(int(distance_SS.max()) + 2)
        logits[row, :-1] = by_distance[distance_SS.ravel()]
        logits[row, -1] = by_distance[-1]
        values[row] = rng.uniform(0.2, 0.8)
    return logits, values


def drive(
    config: dict[str, Any], nets: Sequence[Net] = (hash_net,), order: Sequence[int] | None = None
) -> tuple[list[bytes], dict[str, Any]]:
    """Play all games of a pool; `order`: in which order its groups are collected."""
    pool = Pool(config)
    groups = order if order is not None else range(config.get("groups", min(2, config["slots"])))
    records: list[bytes] = []
    while not pool.done():
        for group in groups:
            for net, rows in pool.collect(group).items():
                planes = pool.planes(group, net)
                assert planes.shape[0] == rows
                pool.supply(group, net, *nets[net](planes))
        records += pool.take_records()
    return records, pool.stats()


def selfplay(size: int = 4, games: int = 4, **search: Any) -> dict[str, Any]:
    """A small self-play configuration; keys of a player go to the player, the others to the pool."""
    player = {"kind": "net", "visits": 12}
    config: dict[str, Any] = {"size": size, "games": games, "slots": 4, "groups": 2, "seed": 7, "komi": 3.5}
    for key, value in search.items():
        (player if key in PLAYER_KEYS else config)[key] = value
    return config | {"players": search.get("players", [player])}


def stone_net(planes_BCSS: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Every move alike; whoever has more stones, and fewer of them in atari, is better off."""
    rows, size = planes_BCSS.shape[0], planes_BCSS.shape[-1]
    mine, theirs, atari = (planes_BCSS[:, plane] for plane in (1, 2, 3))
    lead = (mine - theirs - 0.5 * atari * (mine - theirs)).sum(axis=(1, 2))
    value = 1 / (1 + np.exp(-lead / size))
    return np.zeros((rows, size * size + 1), np.float32), value.astype(np.float32)
