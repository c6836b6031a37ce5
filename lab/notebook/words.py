"""Numbers, rates and tables as a note words them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lab.stats import Interval, Metric, elo_interval

__all__ = ["elo_text", "metric_text", "number", "percent", "rate_text", "table"]


def number(value: float) -> str:
    """A number with four significant digits, and no exponent below a million millions."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if (float(value).is_integer() or abs(value) >= 1000) and abs(value) < 1e12:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.4g}"


def percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f} %"


def rate_text(rate: Interval) -> str:
    """A rate with its interval, and nothing pretended about no games."""
    if not rate.n:
        return "no games"
    return f"{percent(rate.value)} ({percent(rate.low)[:-2]} to {percent(rate.high)})"


def elo_text(rate: Interval) -> str:
    """The Elo difference with its interval; one-sided where no game was lost (or won)."""
    if not rate.n:
        return "–"
    value, low, high = elo_interval(rate)
    if math.isinf(value):
        return f"> {low:+.0f}" if value > 0 else f"< {high:+.0f}"
    return f"{value:+.0f} ({low:+.0f} to {high:+.0f})"


def metric_text(metric: Metric, name: str = "") -> str:
    """A metric with its interval and n, as far as they are known."""
    show = percent if "winrate" in name or name.endswith("_rate") else number
    text = {"lower": "at least ", "upper": "at most "}.get(metric.bound, "") + show(metric.value)
    extra = []
    if metric.ci_low is not None and metric.ci_high is not None:
        extra.append(f"95 % interval {show(metric.ci_low)} to {show(metric.ci_high)}")
    if metric.n is not None:
        extra.append(f"n = {metric.n}")
    return f"{text} ({', '.join(extra)})" if extra else text


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """A markdown table; cells cannot break it."""

    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return [line(header), "|" + "---|" * len(header), *(line(row) for row in rows)]
