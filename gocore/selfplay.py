"""Drives the C++ pool with evaluators: walks one group of games while the nets look at the leaves of others."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

from gocore._core import Pool
from gocore.evaluator import Evaluation, Evaluator
from gocore.types import Json

_SEARCH_KEYS = (
    "visits",
    "cheap_visits",
    "full_probability",
    "c_puct",
    "fpu_reduction",
    "root_fpu_reduction",
    "noise_weight",
    "noise_total_alpha",
    "tree_reuse",
)


def net_player(search: Json, net: int = 0) -> Json:
    """Describe a searching player to the pool. `search` may leave out what only self-play uses."""
    player: dict[str, Any] = {"kind": "net", "net": net} | {k: search[k] for k in _SEARCH_KEYS if k in search}
    if player.get("full_probability", 1) == 1:
        player.pop("cheap_visits", None)  # every search is a full one
    return player


def selfplay_config(
    *,
    size: int,
    rules: Json,
    search: Json,
    games: Json,
    count: int,
    first_game: int,
    seed: int,
    walk_threads: int = 1,
) -> dict[str, Any]:
    """Build the pool's configuration for `count` games of self-play from a task's tables."""
    # The split into groups fixes the batch shapes, so it must not depend on how many games are left.
    config: dict[str, Any] = {
        "size": size,
        "komi": rules["komi"],
        "ko": rules["ko"],
        "suicide": rules["suicide"],
        "games": count,
        "first_game": first_game,
        "slots": games["slots"],
        "groups": games["groups"],
        "threads": walk_threads,
        "seed": seed,
        "komi_stdev": games["komi_stdev"],
        "opening_moves": games["opening_moves"],
        "temperature_moves": games["temperature_moves"],
        "temperature": games["temperature"],
        "final_temperature": games["final_temperature"],
        "players": [net_player(search)],
    }
    if games["move_cap"] is not None:
        config["move_cap"] = games["move_cap"]
    return config


def drive(
    pool: Pool,
    evaluators: Sequence[Evaluator],
    *,
    groups: int,
    workers: int = 1,
    on_records: Callable[[list[bytes]], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Run a pool until its games are over (True) or `should_stop` says so (False; unfinished games are dropped).

    `workers` threads run the nets, each on one core (`one_core_each`). The pool is called from this thread
    alone and in a fixed order, group after group, so what is played does not depend on how fast anything is.
    """
    waiting: list[list[tuple[int, Future[Evaluation]]]] = [[] for _ in range(groups)]
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="evaluator") as executor:
        try:
            while not pool.done():
                if should_stop():
                    return False
                for group in range(groups):
                    for net, future in waiting[group]:
                        seen = future.result()
                        pool.supply(group, net, seen.policy_BA, seen.value_B, seen.score_B)
                    rows = pool.collect(group)
                    waiting[group] = [
                        (net, executor.submit(evaluators[net].evaluate, pool.planes(group, net)))
                        for net in sorted(rows)
                    ]
                if records := pool.take_records():
                    on_records(records)
                if not any(waiting) and not pool.done():
                    raise RuntimeError("the pool has games left but asks for nothing")
            if records := pool.take_records():
                on_records(records)
            return True
        finally:
            # The pool's buffers must outlive every evaluation that reads them.
            for pending in waiting:
                for _, future in pending:
                    future.cancel() or future.exception()


@contextlib.contextmanager
def one_core_each() -> Iterator[None]:
    """Let each thread compute on one core while nets run in parallel threads; restores torch's setting."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def choose_walk_threads(asked: int | None, *, threads: int, device: str) -> int:
    """Say how many threads walk trees: the one asked for, or all beside a GPU; on a CPU the nets need the cores."""
    if asked is not None:
        return asked
    return threads if device == "cuda" else 1


def batch_rows(slots: int, groups: int) -> int:
    """Give the largest number of rows a group can ask for."""
    return -(-slots // groups)
