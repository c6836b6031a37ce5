"""Win rates, Elo differences and their intervals from the counts of a match."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Z_95 = 1.959963984540054  # two-sided 95 %
PAIR_SCORES = (2.0, 1.5, 1.0, 0.5, 0.0)  # points of a colour-swapped pair, as in formats.md


def wilson(points: float, n: int, z: float = Z_95) -> tuple[float, float]:
    """Give the Wilson interval of a rate: `points` (draws are halves) out of `n`. (0, 1) when n is 0."""
    if not 0 <= points <= n:
        raise ValueError(f"{points} points out of {n} games")
    if n == 0:
        return 0.0, 1.0
    p = points / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # The ends are exact there; rounding must not move them inside.
    low = 0.0 if points == 0 else max(0.0, centre - half)
    high = 1.0 if points == n else min(1.0, centre + half)
    return low, high


def elo(rate: float) -> float:
    """Turn an expected result into an Elo difference; infinite at 0 and 1."""
    if not 0 <= rate <= 1:
        raise ValueError(f"{rate} is not a rate")
    if rate in (0.0, 1.0):
        return math.inf if rate else -math.inf
    return 400 * math.log10(rate / (1 - rate))


def winrate_metric(points: float, n: int) -> dict[str, Any]:
    """Describe a win rate as formats.md wants it."""
    low, high = wilson(points, n)
    value = points / n if n else None
    return {"value": value, "n": n, "ci_low": low, "ci_high": high, "method": "wilson", "unit": "of games"}


def elo_metric(points: float, n: int) -> dict[str, Any]:
    """Describe an Elo difference with the interval that follows from Wilson's.

    Nobody's rating is infinite: where every game was won (or lost), `value` is the end of the interval that the
    games do support, `bound` says which one it is, and the other end is null.
    """
    low, high = (elo(end) for end in wilson(points, n))
    metric: dict[str, Any] = {
        "n": n,
        "ci_low": low if math.isfinite(low) else None,
        "ci_high": high if math.isfinite(high) else None,
        "method": "wilson",
        "unit": "Elo",
    }
    if n == 0:
        return metric | {"value": None}
    if points == n:
        return metric | {"value": low, "bound": "lower"}
    if points == 0:
        return metric | {"value": high, "bound": "upper"}
    return metric | {"value": elo(points / n)}


@dataclass
class Tally:
    """The results of one player's games with one colour."""

    wins: int = 0
    losses: int = 0
    draws: int = 0

    def add(self, points: float) -> None:
        """Count a game by the player's points: 1, 0.5 or 0."""
        if points == 1.0:
            self.wins += 1
        elif points == 0.0:
            self.losses += 1
        elif points == 0.5:
            self.draws += 1
        else:
            raise ValueError(f"a game cannot give {points} points")

    @property
    def games(self) -> int:
        return self.wins + self.losses + self.draws

    @property
    def points(self) -> float:
        return self.wins + self.draws / 2

    def to_json(self) -> dict[str, int]:
        return {"wins": self.wins, "losses": self.losses, "draws": self.draws}


def pentanomial(pair_points: Iterable[float]) -> dict[str, int]:
    """Count colour-swapped pairs by the points the player took in both games; keys "2" .. "0"."""
    counts = {f"{score:g}": 0 for score in PAIR_SCORES}
    for points in pair_points:
        key = f"{points:g}"
        if key not in counts:
            raise ValueError(f"a pair cannot give {points} points")
        counts[key] += 1
    return counts
