"""Draw a note's figures: learning curves, win rates by colour, and where the time went; each with its data as CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.notebook.theme import COLOURS, GREY, figure_theme, save, style
from lab.stats import MatchCount

__all__ = ["Bar", "Curve", "Figure", "draw_curves", "draw_times", "draw_winrates"]

MAX_PANELS = 6


@dataclass(frozen=True, slots=True)
class Figure:
    """A finished figure: files to write and the caption for the note."""

    name: str  # file name without its ending
    title: str
    caption: str
    svg: bytes
    png: bytes
    csv: str


@dataclass(frozen=True, slots=True)
class Curve:
    """One job's rows of a curve that its task declared in result.json."""

    label: str  # arm and seed, or "" if the experiment has only one
    group: str  # the arm without the seed
    rows: Sequence[Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Bar:
    """One job's time: seconds from the experiment's first start, and CPU seconds spent."""

    label: str
    start_s: float
    wall_s: float
    cpu_s: float


def draw_curves(name: str, spec: Mapping[str, Any], curves: Sequence[Curve], salt: str) -> Figure | None:
    """Draw a curve's series: one panel each (their scales differ), or all in one frame where the task says so.

    Runs of several seeds are thin, their mean thick; a single run gets its interval shaded.
    """
    x_name = str(spec.get("x", "step"))
    raw_names = spec.get("y", [])
    y_names = [raw_names] if isinstance(raw_names, str) else [str(item) for item in raw_names]
    columns = {y: [_points(curve.rows, x_name, y) for curve in curves] for y in y_names[:MAX_PANELS]}
    drawn = [y for y, per_arm in columns.items() if any(per_arm)]
    if not drawn:
        return None
    labels, bands = _table(spec.get("labels")), _table(spec.get("band"))
    title = str(spec.get("title") or "Learning curve")
    same_axis = spec.get("same_axis") is True
    together = same_axis and len(curves) == 1 and len(drawn) > 1
    panels = 1 if together else len(drawn)
    panels_wide = min(3, panels)
    panels_high = math.ceil(panels / panels_wide)
    most_points = max(len(points) for y in drawn for points in columns[y])
    with figure_theme(salt) as plt:
        size = (3.2 * panels_wide if panels_wide > 1 else 5.2, 2.7 * panels_high)
        figure, axes = plt.subplots(
            panels_high, panels_wide, figsize=size, squeeze=False, sharex=True, sharey=same_axis
        )
        flat = list(axes.flat)
        for index, y in enumerate(drawn):
            ax = flat[0 if together else index]
            if panels > 1:
                ax.set_title(str(labels.get(y) or y), fontsize=9)
            _panel(ax, columns[y], curves, index, str(labels.get(y) or y) if together else None)
            if len(curves) == 1:
                _shade(ax, curves[0].rows, x_name, bands.get(y), index)
            ax.set_xlabel(str(spec.get("xlabel") or x_name))
        if len(drawn) == 1 or spec.get("ylabel"):
            flat[0].set_ylabel(str(spec.get("ylabel") or labels.get(drawn[0]) or drawn[0]))
        for unused in flat[panels:]:
            unused.set_visible(False)
        handles, legend = flat[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, legend, loc="outside upper center", ncols=min(4, len(handles)))
        svg, png = save(figure)
    runs = len(curves)
    caption = f"{title}: {', '.join(str(labels.get(y) or y) for y in drawn)} over {spec.get('xlabel') or x_name}; "
    caption += f"n = {runs} {'run' if runs == 1 else 'runs'}, up to {most_points} points each"
    caption += "." if runs == 1 else "; thin lines are the runs, thick ones the mean of an arm's seeds."
    if runs == 1 and any(y in bands for y in drawn):
        caption += " Shaded: the 95 % interval of each point."
    return Figure(name, title, caption, svg, png, _curves_csv(x_name, [*drawn, *_ends(bands, drawn)], curves))


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _ends(bands: Mapping[str, Any], drawn: Sequence[str]) -> list[str]:
    """The names of the interval ends of the drawn series, for the data beside the figure."""
    pairs = [bands[y] for y in drawn if y in bands]
    return [str(name) for pair in pairs if isinstance(pair, list) and len(pair) == 2 for name in pair]


def _shade(ax: Any, rows: Sequence[Mapping[str, float]], x_name: str, band: Any, index: int) -> None:
    """Shade between two named series of one run: the interval of each of its points."""
    if not (isinstance(band, list) and len(band) == 2):
        return
    low, high = (dict(_points(rows, x_name, str(end))) for end in band)
    xs = sorted(set(low) & set(high))
    if not xs:
        return
    lows, highs = [low[x] for x in xs], [high[x] for x in xs]
    ax.fill_between(xs, lows, highs, color=style(index)["color"], alpha=0.18, linewidth=0)
    if min(lows) >= 0 and max(highs) <= 1:  # a rate: show the whole of its range
        ax.set_ylim(-0.03, 1.03)


def _panel(
    ax: Any, per_run: list[list[tuple[float, float]]], curves: Sequence[Curve], index: int, name: str | None
) -> None:
    """Draw one series: a single run with its points, or each group's runs thin and their mean thick."""
    groups = list(dict.fromkeys(curve.group for curve in curves))
    for number, group in enumerate(groups):
        runs = [points for curve, points in zip(curves, per_run, strict=True) if curve.group == group and points]
        if not runs:
            continue
        look = style(index if len(groups) == 1 else number)
        label = (group or "all runs") if len(groups) > 1 else name
        if len(runs) == 1:
            xs, ys = zip(*runs[0], strict=True)
            look["marker"] = look["marker"] if len(xs) <= 40 else None
            ax.plot(xs, ys, label=label, **look)
            continue
        for points in runs:
            ax.plot(*zip(*points, strict=True), color=look["color"], linewidth=0.8, alpha=0.45)
        mean_x, mean_y = _mean(runs)
        ax.plot(mean_x, mean_y, label=label, color=look["color"], linestyle=look["linestyle"], linewidth=2.4)
    # Whole steps deserve whole ticks.
    if all(float(x).is_integer() for points in per_run for x, _ in points):
        ax.xaxis.get_major_locator().set_params(integer=True)


def _mean(per_arm: Iterable[Sequence[tuple[float, float]]]) -> tuple[list[float], list[float]]:
    """Average over arms at each x that every arm with data has."""
    arms = [dict(points) for points in per_arm if points]
    shared = sorted(set.intersection(*(set(arm) for arm in arms)))
    return shared, [sum(arm[x] for arm in arms) / len(arms) for x in shared]


def draw_winrates(
    name: str, matches: Sequence[tuple[str, MatchCount]], bounds: Mapping[int, float], salt: str
) -> Figure | None:
    """Draw each match's win rate (all games, as Black, as White) with its interval.

    `bounds` maps the index of a match to the bound that the frozen rule sets for it.
    """
    if not matches:
        return None
    parts = (("all games", "rate"), ("as Black", "rate_black"), ("as White", "rate_white"))
    rows: list[tuple[str, str, Any]] = []
    with figure_theme(salt) as plt:
        height = 0.75 + 0.92 * len(matches)
        figure, ax = plt.subplots(figsize=(7.2, height + 0.45))
        ax.axvline(0.5, color=GREY, linewidth=0.9, linestyle=(0, (2, 2)))
        for index, (label, match) in enumerate(matches):
            base = -float(index)
            for part, (part_name, attribute) in enumerate(parts):
                rate = getattr(match, attribute)
                rows.append((label, part_name, rate))
                if not rate.n:
                    continue
                y = base + 0.24 - 0.24 * part
                colour = COLOURS[0] if part == 0 else ("#000000" if part == 1 else GREY)
                ax.plot([rate.low, rate.high], [y, y], color=colour, linewidth=2.0 if part == 0 else 1.2)
                ax.plot([rate.value], [y], marker="o" if part == 0 else "s", markersize=7 if part == 0 else 5,
                        linestyle="", markeredgecolor=colour, markeredgewidth=1.2,
                        markerfacecolor=colour if part < 2 else "white",
                        label=part_name if index == 0 else None)  # fmt: skip
                ax.annotate(f"{100 * rate.value:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}]  n = {rate.n}",
                            (1.02, y), xycoords=("axes fraction", "data"), va="center", fontsize=7.5,
                            color="#000000" if part == 0 else GREY)  # fmt: skip
            if index in bounds:
                first = index == min(bounds)
                ax.plot([bounds[index]] * 2, [base - 0.4, base + 0.4], color=COLOURS[1], linewidth=1.6,
                        linestyle="--", label="bound of the rule" if first else None)  # fmt: skip
        ax.set_yticks([-float(i) for i in range(len(matches))], [label for label, _ in matches])
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="y", visible=False)
        ax.set_ylim(-len(matches) + 0.45, 0.55)
        ax.set_xlim(-0.01, 1.01)
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        ax.set_xlabel("win rate (a draw counts one half)")
        figure.legend(loc="outside upper center", ncols=4, handletextpad=0.5, columnspacing=1.6)
        svg, png = save(figure)
    total = sum(rate.n for _, part_name, rate in rows if part_name == "all games")
    caption = f"Win rates with 95 % Wilson intervals, over all games and by colour; n = {total} games in "
    caption += f"{len(matches)} {'match' if len(matches) == 1 else 'matches'}."
    if bounds:
        caption += " The dashed line is what the frozen rule asks of the blue interval's lower end."
    table = [("match", "games", "n", "winrate", "ci_low", "ci_high")]
    table += [(label, part, r.n, _number(r.value), _number(r.low), _number(r.high)) for label, part, r in rows]
    return Figure(name, "Win rates by colour", caption, svg, png, _csv(table))


def draw_times(name: str, bars: Sequence[Bar], salt: str) -> Figure | None:
    """Draw when each job ran, with its wall and CPU time."""
    if not bars:
        return None
    end = max(bar.start_s + bar.wall_s for bar in bars)
    scale, unit = (60.0, "minutes") if end >= 180 else (1.0, "seconds")
    if end >= 3 * 3600:
        scale, unit = 3600.0, "hours"
    with figure_theme(salt) as plt:
        figure, ax = plt.subplots(figsize=(6.4, 1.0 + 0.34 * len(bars)))
        for index, bar in enumerate(bars):
            ax.barh(-index, bar.wall_s / scale, left=bar.start_s / scale, height=0.62, color=COLOURS[0])
            text = f"{bar.wall_s / scale:.2f} wall, {bar.cpu_s / scale:.2f} CPU"
            centre = (bar.start_s + bar.wall_s / 2) / end
            # Beside the bar, on the side with more room.
            if centre <= 0.5:
                ax.annotate(text, ((bar.start_s + bar.wall_s) / scale, -index), xytext=(5, 0), ha="left",
                            textcoords="offset points", va="center", fontsize=8)  # fmt: skip
            else:
                ax.annotate(text, (bar.start_s / scale, -index), xytext=(-5, 0), ha="right",
                            textcoords="offset points", va="center", fontsize=8)  # fmt: skip
        ax.set_yticks([-i for i in range(len(bars))], [bar.label for bar in bars])
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="y", visible=False)
        ax.set_ylim(-len(bars) + 0.4, 0.6)
        # A long bar in the middle leaves room on neither side: widen the axis for its text.
        crowded = any(b.wall_s / end > 0.62 for b in bars)
        ax.set_xlim(0, end / scale * (1.42 if crowded else 1.02))
        ax.set_xlabel(f"{unit} since the first start")
        svg, png = save(figure)
    caption = f"When each job ran, with its wall and CPU time in {unit}; n = {len(bars)} jobs (accepted attempts)."
    table: list[tuple[Any, ...]] = [("job", "start_s", "wall_s", "cpu_s")]
    table += [(bar.label, _number(bar.start_s), _number(bar.wall_s), _number(bar.cpu_s)) for bar in bars]
    return Figure(name, "Where the time went", caption, svg, png, _csv(table))


def slug(text: str) -> str:
    """Return text as a file name: lower-case letters, digits and single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "figure"


def _points(rows: Sequence[Mapping[str, float]], x_name: str, y_name: str) -> list[tuple[float, float]]:
    points = []
    for row in rows:
        x, y = row.get(x_name), row.get(y_name)
        if _finite(x) and _finite(y):
            points.append((float(x), float(y)))  # type: ignore[arg-type]
    return sorted(points)


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _curves_csv(x_name: str, y_names: Sequence[str], curves: Sequence[Curve]) -> str:
    table: list[Sequence[Any]] = [("run", x_name, *y_names)]
    for curve in curves:
        for row in curve.rows:
            if any(y in row for y in y_names):
                table.append((curve.label, row.get(x_name, ""), *(_number(row.get(y)) for y in y_names)))
    return _csv(table)


def _csv(table: Sequence[Sequence[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(table)
    return out.getvalue()


def _number(value: Any) -> str:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return ""
    return f"{value:.10g}"
