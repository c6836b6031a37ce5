"""Small nets, jobs and reporters that several tests of gocore share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gocore._core import NUM_PLANES
from gocore.net import Net, NetConfig, make_net
from gocore.tasks.harness import Context, StopFlag
from gocore.tasks.specs import TASKS

SIZE = 5

# Nets this small gain nothing from a second core, and lose a lot where another process has it.
torch.set_num_threads(1)


def tiny_net(seed: int = 0, size: int = SIZE) -> Net:
    return make_net(NetConfig(size=size, planes=NUM_PLANES, blocks=2, channels=16, head_channels=8), seed)


def tiny_params(task: str, **changes: Any) -> dict[str, Any]:
    """Parameters of a task that runs in a second or two, with defaults filled in."""
    params: dict[str, Any] = {
        "loop": {
            "size": SIZE,
            "net": {"blocks": 1, "channels": 16},
            "iterations": 2,
            "games": 24,
            "search": {"visits": 12, "cheap_visits": 4, "full_probability": 0.5},
            "selfplay": {"slots": 16, "groups": 2, "games_per_shard": 10},
            "training": {"batch": 16, "window": 4000},
            "health": {"capped_max": None, "early_pass_max": None},
        },
        "selfplay": {
            "size": SIZE,
            "net": {"blocks": 1, "channels": 16},
            "games": 24,
            "search": {"visits": 12, "cheap_visits": 4, "full_probability": 0.5},
            "selfplay": {"slots": 16, "groups": 2, "games_per_shard": 10},
        },
        "match": {
            "size": SIZE,
            "player": {"kind": "untrained", "net": {"blocks": 1, "channels": 16}, "visits": 12},
            "opponent": {"kind": "random"},
            "pairs": 6,
            "slots": 4,
            "groups": 2,
            "opening_moves": 3,
        },
        "train": {"size": SIZE, "net": {"blocks": 1, "channels": 16}, "training": {"batch": 16}},
    }[task]
    params = json.loads(json.dumps(params)) | changes
    assert TASKS[task].check(params) == []
    return TASKS[task].fill(params)


class StopAfter(StopFlag):
    """Becomes true after it has been looked at `looks` times, as if SIGTERM came then."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def set(self) -> bool:  # type: ignore[override]
        self.looks -= 1
        return self.looks < 0


def context(out: Path, params: dict[str, Any], *, seed: int = 1, **more: Any) -> Context:
    return Context(params=params, out=out, seed=seed, cpus=1, clock=ticking(), **more)


def ticking() -> Callable[[], float]:
    """A clock that moves a second each time it is read."""
    now = 0.0

    def read() -> float:
        nonlocal now
        now += 1.0
        return now

    return read


def result_of(out: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((out / "result.json").read_bytes())
    return loaded


def metric_lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
