"""The arms of a sweep: matrix, exclude, include, and the same seeds in every arm."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.protocol import Protocol, Sweep

MAX_ARMS = 10_000
MAX_SLUG_CHARS = 36
SEED = "seed"  # the dimension that every arm has
_NOT_SLUG = re.compile(r"[^a-z0-9]+")


class SweepError(ValueError):
    """A sweep without sense; `loc` is relative to the sweep."""

    def __init__(self, message: str, loc: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.loc = loc


@dataclass(frozen=True)
class Arm:
    """One point of the sweep: a value for every key, and a seed."""

    coords: dict[str, Any]
    seed: int
    slug: str  # "" where there is nothing to tell apart


def arms(protocol: Protocol) -> list[Arm]:
    """All arms in a fixed order: matrix keys as written, the last varying fastest, then seeds."""
    return arms_of(protocol.sweep, protocol.seed)


def arms_of(sweep: Sweep, base_seed: int) -> list[Arm]:
    """As `arms`, of the parts; SweepError says what is wrong where."""
    seeds = seed_list(sweep.seeds, base_seed)
    points = _points(sweep)
    if len(points) * len(seeds) > MAX_ARMS:
        raise SweepError(f"{len(points)} points x {len(seeds)} seeds are more than {MAX_ARMS} arms")
    varied = sweep_keys(sweep)
    return [
        Arm(dict(point), seed, arm_slug({**point, **({SEED: seed} if len(seeds) > 1 else {})}, [*varied, SEED]))
        for point in points
        for seed in seeds
    ]


def sweep_keys(sweep: Sweep) -> list[str]:
    """The sweep's dimensions besides the seed, in the order written."""
    return list(sweep.matrix) or (list(sweep.include[0]) if sweep.include else [])


def seed_list(seeds: int | Sequence[int] | None, base: int) -> list[int]:
    """`5` is five seeds from the base on; a list is itself; nothing is the base alone."""
    if seeds is None:
        return [base]
    if isinstance(seeds, int):
        return list(range(base, base + seeds))
    if len(set(seeds)) != len(seeds):
        raise SweepError("the same seed twice", ("seeds",))
    return list(seeds)


def _points(sweep: Sweep) -> list[dict[str, Any]]:
    keys = sweep_keys(sweep)
    count = 1
    for key, values in sweep.matrix.items():
        if len({_canonical(value) for value in values}) != len(values):
            raise SweepError(f"the same value twice under {key}", ("matrix", key))
        count *= len(values)
        if count > MAX_ARMS:
            raise SweepError(f"more than {MAX_ARMS} combinations", ("matrix",))
    points: list[dict[str, Any]] = []
    if sweep.matrix:
        points = [dict(zip(keys, values)) for values in itertools.product(*sweep.matrix.values())]
    for index, partial in enumerate(sweep.exclude):
        for key in partial:
            if key not in keys:
                raise SweepError(f"{key} is not a key of the matrix", ("exclude", index, key))
        left = [point for point in points if not _matches(point, partial)]
        if len(left) == len(points):
            raise SweepError("excludes nothing", ("exclude", index))
        points = left
    for index, extra in enumerate(sweep.include):
        if set(extra) != set(keys):
            raise SweepError(f"must give each of {', '.join(keys)}, and nothing else", ("include", index))
        if any(_matches(point, extra) for point in points):
            raise SweepError("is in the sweep already", ("include", index))
        points.append({key: extra[key] for key in keys})
    if not points:
        if sweep.exclude:
            raise SweepError("nothing is left after exclude", ("exclude",))
        points = [{}]
    return points


def _matches(point: Mapping[str, Any], partial: Mapping[str, Any]) -> bool:
    return all(_canonical(point[key]) == _canonical(value) for key, value in partial.items())


def _canonical(value: Any) -> str:
    """Text that is equal for equal values only: 1, 1.0, true and "1" differ."""
    return json.dumps(value, sort_keys=True)


def project(arm: Arm, dims: Iterable[str]) -> dict[str, Any]:
    """The arm's coordinates (seed included) on some dimensions."""
    point = {**arm.coords, SEED: arm.seed}
    return {dim: point[dim] for dim in point if dim in set(dims)}


def arm_slug(point: Mapping[str, Any], order: Sequence[str]) -> str:
    """A short readable name of a point, at most MAX_SLUG_CHARS; uniqueness is the job hash's business."""
    words: list[str] = []
    for key in order:
        if key not in point:
            continue
        value = point[key]
        if key == SEED:
            words.append(f"s{value}")
        elif isinstance(value, str):
            words.append(slugify(value))
        elif isinstance(value, (dict, list)) or value is None:
            words.append(slugify(key))
        else:
            words.append(slugify(f"{key}{str(value).lower()}"))
    return "-".join(word for word in words if word)[:MAX_SLUG_CHARS].strip("-")


def slugify(text: str) -> str:
    """Lower case letters, digits and single hyphens; may be empty."""
    return _NOT_SLUG.sub("-", text.lower()).strip("-")
