"""Recompute the numbers a note stands on: win rates, intervals and Elo, from counts alone.

The instrument that played the games reports its own figures; the lab never copies them. It counts again with the
functions below, and a disagreement makes the verdict `invalid` (lab/verdict.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Z95",
    "Interval",
    "MatchCount",
    "Metric",
    "disagreements",
    "elo",
    "elo_interval",
    "metrics_of",
    "read_match",
    "wilson",
    "winrate",
]

Z95 = 1.959963984540054  # two-sided 95 %
RATE_TOLERANCE = 1e-3  # the task may print its rates with three decimals
ELO_TOLERANCE = 1.0
COMPARED = ("winrate", "winrate_black", "winrate_white", "elo", "elo_diff")


@dataclass(frozen=True, slots=True)
class Interval:
    """A share of `n` trials with its 95 % interval; every field is in 0..1 but `n`."""

    value: float
    low: float
    high: float
    n: int


def wilson(k: float, n: int, z: float = Z95) -> tuple[float, float]:
    """Return Wilson's score interval for `k` successes in `n` trials (draws may make `k` a half).

    Nothing is known from no trials: `n == 0` gives (0, 1).
    """
    if n < 0 or not 0 <= k <= n:
        raise ValueError(f"wilson: {k} successes in {n} trials")
    if n == 0:
        return 0.0, 1.0
    p = k / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At k = 0 and k = n the closed form is exactly 0 and 1; rounding must not leave the unit interval.
    low = 0.0 if k == 0 else max(0.0, centre - half)
    high = 1.0 if k == n else min(1.0, centre + half)
    return low, high


def winrate(wins: int, losses: int, draws: int, z: float = Z95) -> Interval:
    """Return the expected result per game, a draw counted as half a win, with its Wilson interval.

    With draws the interval is a little wide (a draw has less variance than a win or a loss): the safe side.
    """
    n = wins + losses + draws
    score = wins + 0.5 * draws
    low, high = wilson(score, n, z)
    return Interval(score / n if n else math.nan, low, high, n)


def elo(p: float) -> float:
    """Return the Elo difference that expects the result `p`; infinite at 0 and 1."""
    if math.isnan(p):
        return math.nan
    if p <= 0:
        return -math.inf
    if p >= 1:
        return math.inf
    return -400 * math.log10(1 / p - 1)


def elo_interval(rate: Interval) -> tuple[float, float, float]:
    """Return (value, low, high) in Elo: the win rate's interval, mapped."""
    return elo(rate.value), elo(rate.low), elo(rate.high)


# --- what a task reported ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Metric:
    """One final number of a job, with its uncertainty where the task gave one."""

    value: float
    n: int | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    method: str = ""
    unit: str = ""
    bound: str = ""  # "lower" or "upper": the value is only that end of what the data support

    @classmethod
    def read(cls, raw: Any) -> Metric | None:
        """Read a metric as it stands in result.json: a bare number or an object with `value`; None if neither."""
        if isinstance(raw, bool) or raw is None:
            return None
        if isinstance(raw, (int, float)):
            return cls(float(raw))
        if not isinstance(raw, Mapping) or not _is_number(raw.get("value")):
            return None
        return cls(
            value=float(raw["value"]),
            n=int(raw["n"]) if _is_number(raw.get("n")) and math.isfinite(raw["n"]) else None,
            ci_low=float(raw["ci_low"]) if _is_number(raw.get("ci_low")) else None,
            ci_high=float(raw["ci_high"]) if _is_number(raw.get("ci_high")) else None,
            method=str(raw.get("method") or ""),
            unit=str(raw.get("unit") or ""),
            bound=str(raw.get("bound") or ""),
        )


def metrics_of(task_result: Mapping[str, Any]) -> dict[str, Metric]:
    """Return the readable metrics of a task's result.json by name; anything that is no number is left out."""
    raw = task_result.get("metrics")
    if not isinstance(raw, Mapping):
        return {}
    read = {str(name): Metric.read(value) for name, value in raw.items()}
    return {name: metric for name, metric in read.items() if metric is not None}


@dataclass(frozen=True, slots=True)
class MatchCount:
    """A match recounted: games of `player` against `opponent` by colour."""

    player: str
    opponent: str
    games: int
    no_result: int
    black: tuple[int, int, int]  # wins, losses, draws of `player` as Black
    white: tuple[int, int, int]
    pairs: tuple[tuple[float, int], ...] = ()  # (score of a colour-swapped pair, how often)
    conditions: str = ""

    @property
    def wins(self) -> int:
        return self.black[0] + self.white[0]

    @property
    def losses(self) -> int:
        return self.black[1] + self.white[1]

    @property
    def draws(self) -> int:
        return self.black[2] + self.white[2]

    @property
    def rate(self) -> Interval:
        return winrate(self.wins, self.losses, self.draws)

    @property
    def rate_black(self) -> Interval:
        return winrate(*self.black)

    @property
    def rate_white(self) -> Interval:
        return winrate(*self.white)

    def problems(self) -> list[str]:
        """Say where the counts contradict one another."""
        found = []
        decided = sum(self.black) + sum(self.white)
        if decided + self.no_result != self.games:
            found.append(f"{self.games} games, but {decided} results by colour and {self.no_result} without result")
        if self.pairs:
            score = self.wins + 0.5 * self.draws
            pair_score = sum(value * count for value, count in self.pairs)
            pair_games = 2 * sum(count for _, count in self.pairs)
            if pair_games > self.games:
                found.append(f"{pair_games} games in pairs, but only {self.games} games")
            elif pair_games == decided and abs(pair_score - score) > 1e-9:
                found.append(f"the pairs score {pair_score:g} points, the games {score:g}")
        return found


def read_match(raw: Mapping[str, Any]) -> MatchCount:
    """Read one entry of `matches`; raises ValueError that says what is wrong with it."""

    def count(source: Mapping[str, Any], key: str) -> int:
        value = source.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"match: {key} is {value!r}, not a count")
        return value

    def colour(key: str) -> tuple[int, int, int]:
        side = raw.get(key)
        if not isinstance(side, Mapping):
            raise ValueError(f"match: no counts for {key}")
        return count(side, "wins"), count(side, "losses"), count(side, "draws")

    raw_pairs = raw.get("pairs")
    pairs: list[tuple[float, int]] = []
    if isinstance(raw_pairs, Mapping):
        pairs = sorted(((float(score), count(raw_pairs, score)) for score in raw_pairs), reverse=True)
    return MatchCount(
        player=str(raw.get("player", "?")),
        opponent=str(raw.get("opponent", "?")),
        games=count(raw, "games"),
        no_result=count(raw, "no_result"),
        black=colour("black"),
        white=colour("white"),
        pairs=tuple(pairs),
        conditions=str(raw.get("conditions") or ""),
    )


def disagreements(task_result: Mapping[str, Any]) -> list[str]:
    """Recount every match of a task's result and say where its own figures differ from ours.

    The job-level metrics (`COMPARED`) are compared when the job played exactly one match (only then is it clear which
    one they speak of); figures inside a match entry always.
    """
    found: list[str] = []
    raw_matches = task_result.get("matches")
    if not isinstance(raw_matches, list):
        return found
    for raw in raw_matches:
        if not isinstance(raw, Mapping):
            found.append("a match entry is not an object")
            continue
        try:
            match = read_match(raw)
        except ValueError as error:
            found.append(str(error))
            continue
        label = f"{match.player} against {match.opponent}"
        found += [f"{label}: {problem}" for problem in match.problems()]
        claimed = metrics_of({"metrics": {key: raw.get(key) for key in COMPARED}})
        if len(raw_matches) == 1:
            claimed = {**metrics_of(task_result), **claimed}
        found += [f"{label}: {problem}" for problem in _compare(claimed, match)]
    return found


def _compare(claimed: Mapping[str, Metric], match: MatchCount) -> list[str]:
    """Compare the claimed win rates and Elo with the recount."""
    found = []
    for name, what, rate in (
        ("winrate", "win rate", match.rate),
        ("winrate_black", "win rate as Black", match.rate_black),
        ("winrate_white", "win rate as White", match.rate_white),
    ):
        if (theirs := claimed.get(name)) is not None:
            found += _differ(what, theirs, rate.value, rate.low, rate.high, RATE_TOLERANCE)
            if theirs.n is not None and theirs.n != rate.n:
                found.append(f"the task counts {theirs.n} games in its {what}, the recount {rate.n}")
    for name in ("elo", "elo_diff"):
        if (theirs := claimed.get(name)) is not None:
            found += _differ("Elo", theirs, *elo_interval(match.rate), ELO_TOLERANCE)
    return found


def _differ(what: str, theirs: Metric, value: float, low: float, high: float, tolerance: float) -> list[str]:
    found = []
    pairs: list[tuple[str, float | None, float]] = [("value", theirs.value, value)]
    if "wilson" in theirs.method:  # another kind of interval (by pairs, say) is not ours to check
        pairs += [("lower bound", theirs.ci_low, low), ("upper bound", theirs.ci_high, high)]
    for part, claimed, ours in pairs:
        # An infinite Elo may be written as null or cut off by the task: nothing to compare.
        if claimed is None or not math.isfinite(claimed) or not math.isfinite(ours):
            continue
        if abs(claimed - ours) > tolerance:
            found.append(f"the task's {what} {part} is {claimed:.4g}, the recount {ours:.4g}")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
