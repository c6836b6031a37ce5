"""Draw a StatusSnapshot: tables on a terminal, tab-separated rows in a pipe. Nothing here reads the lab."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lab.job import JobState
from lab.status import Running, StatusSnapshot
from lab.units import format_duration

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["plain_lines", "screen", "screen_of_running"]

# A worker's state has a word, a symbol and a colour, as a job's has.
WORKER_LOOK = {
    "up": ("●", "*", "#009E73"),
    "draining": ("◌", ".", "#CC79A7"),
    "late": ("!", "!", "#E69F00"),
    "stale": ("?", "?", "#D55E00"),
    "left": ("◌", ".", "#666666"),
    "gone": ("?", "?", "#D55E00"),
}
COUNTED = ("running", "ready", "waiting", "delayed", "held", "done", "failed", "quarantine", "cancelled")
NARROW, WIDE = 110, 150  # columns


def duration(seconds: float | None) -> str:
    """A duration with its two largest units; a dash for what is not known."""
    return "–" if seconds is None else format_duration(seconds, 2)


def amount(value: float) -> str:
    """A count or rate in at most four digits."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / {'G': 1e9, 'M': 1e6, 'k': 1e3}[unit]:.3g}{unit}"
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.3g}"


def bar(share: float | None, width: int, unicode: bool) -> str:
    """A bar of `width` cells; blank if the share is unknown, never a guess."""
    if share is None:
        return " " * width
    full = round(max(0.0, min(1.0, share)) * width)
    return ("█" * full + "░" * (width - full)) if unicode else ("#" * full + "." * (width - full))


def progress_text(row: Running) -> str:
    if row.done is None:
        return "no progress yet"
    total = f"/{amount(row.total)}" if row.total is not None else ""
    return f"{amount(row.done)}{total} {row.unit}".strip()


def metric_text(row: Running) -> str:
    return "–" if row.metric is None else f"{row.metric[0]} {row.metric[1]:.4g}"


def rate_text(row: Running) -> str:
    return "–" if row.rate is None else f"{amount(row.rate)} {row.unit or 'units'}/s"


def time_text(row: Running) -> str:
    return f"{duration(row.elapsed_s)} / {duration(row.time_limit_s)}"


# --- a pipe --------------------------------------------------------------------------------------


def plain_lines(snapshot: StatusSnapshot) -> Iterator[str]:
    """Yield the snapshot as tab-separated sections, each with a header; nothing is cut."""
    yield f"LAB\t{snapshot.lab}"
    yield f"AT\t{snapshot.at}"
    for word in COUNTED:
        yield f"{word.upper()}\t{snapshot.counts.get(word, 0)}"
    yield f"OLDEST_WAIT_S\t{_plain(snapshot.oldest_wait_s)}"
    yield from _section(
        ("GPU", "NAME", "HOLDER", "EPOCH", "WORKER", "AGE_S", "UTIL_PCT", "MEM_USED", "MEM_TOTAL", "TEMP_C"),
        [
            (f"{g.host}:{g.index}", g.name, g.holder or "free", g.epoch, g.worker_state, g.age_s, g.util_pct,
             g.mem_used_bytes, g.mem_total_bytes, g.temp_c)
            for g in snapshot.gpus
        ],
        "no GPUs",
    )  # fmt: skip
    yield from _section(
        ("WORKER", "STATE", "AGE_S", "CPUS_USED", "CPUS_TOTAL", "JOBS"),
        [(w.inc, w.state, w.age_s, w.cpus_used, w.cpus_total, w.jobs) for w in snapshot.workers],
        "no workers",
    )
    yield from _section(
        ("RUNNING", "EXPERIMENT", "WORKER", "PROGRESS", "RATE", "ELAPSED_S", "LIMIT_S", "ETA_S", "METRIC"),
        [
            (r.job, r.exp, f"{r.host} ({r.worker_state})", progress_text(r), rate_text(r), r.elapsed_s, r.time_limit_s,
             r.eta_s, metric_text(r))
            for r in snapshot.running
        ],
        "nothing runs",
    )  # fmt: skip
    yield from _section(
        ("PENDING", "EXPERIMENT", "STATE", "WAITED_S", "REASON"),
        [(p.job, p.exp, p.state, p.waited_s, p.reason) for p in snapshot.pending],
        "nothing is pending",
    )
    yield from _section(
        ("ENDED", "EXPERIMENT", "STATE", "AT", "CAUSE", "LOG"),
        [(e.job, e.exp, e.state, e.at, e.cause, e.path) for e in snapshot.ends],
        "nothing has ended",
    )


def _section(header: Sequence[str], rows: Sequence[Sequence[Any]], empty: str) -> Iterator[str]:
    yield ""
    if not rows:
        yield empty
        return
    yield "\t".join(header)
    for row in rows:
        yield "\t".join(_plain(cell).replace("\t", " ").replace("\n", " ") for cell in row)


def _plain(cell: Any) -> str:
    if cell is None or cell == "":
        return "-"  # an empty cell is easily lost by whoever splits at blanks
    return f"{cell:.1f}".removesuffix(".0") if isinstance(cell, float) else str(cell)


# --- a terminal ----------------------------------------------------------------------------------


def screen(
    snapshot: StatusSnapshot, width: int, *, unicode: bool = True, rows: int = 20, footer: str = ""
) -> RenderableType:
    """Return the whole screen for rich; `rows` bounds each of the long lists."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = [_header(snapshot, unicode)]
    # One share per list, so that a long one never pushes another off the screen.
    if snapshot.gpus:
        parts += [_title("GPUs", len(snapshot.gpus)), _gpu_table(snapshot, width, unicode)]
    if snapshot.workers:
        parts += [_title("Workers", len(snapshot.workers)), _worker_table(snapshot, unicode, rows)]
        if not snapshot.gpus:
            parts.append(Text("no GPUs", style="dim"))
    else:
        parts += [_title("Workers", 0), Text("none is up: lab worker starts one")]
    if snapshot.running:
        parts += [_title("Running", len(snapshot.running)), _running_table(snapshot, width, unicode, rows)]
    if snapshot.pending:
        parts += [_title("Pending", len(snapshot.pending)), _pending_table(snapshot, unicode, rows)]
        if len(snapshot.pending) > rows:
            parts.append(Text(f"and {len(snapshot.pending) - rows} more: lab job list", style="dim"))
    if snapshot.ends:
        parts += [_title("Recent ends", None), _ends_table(snapshot, unicode)]
        if any(end.state in ("failed", "quarantine") for end in snapshot.ends):
            parts.append(Text("lab job log JOB shows why one failed", style="dim"))
    if not (snapshot.running or snapshot.pending or snapshot.ends):
        parts += [Text(), Text("The queue is empty: lab submit FILE fills it.")]
    if footer:
        parts += [Text(), Text(footer, style="dim")]
    return Group(*parts)


def screen_of_running(snapshot: StatusSnapshot, head: str, width: int, *, unicode: bool) -> RenderableType:
    """Return a heading over the running jobs, for a command that waits for one experiment."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = [Text(head, style="bold")]
    if snapshot.running:
        parts.append(_running_table(snapshot, width, unicode, 12))
    return Group(*parts)


def _header(snapshot: StatusSnapshot, unicode: bool) -> Any:
    from rich.text import Text

    up = sum(worker.state in ("up", "late", "draining") for worker in snapshot.workers)
    stale = len(snapshot.workers) - up
    line = Text()
    line.append(snapshot.lab, style="bold")
    line.append(f"  {snapshot.at}  workers {up} up")
    if stale:
        line.append(f", {stale} stale", style="#D55E00")
    line.append("\n")
    shown = [word for word in COUNTED if snapshot.counts.get(word)] or ["done"]
    for index, word in enumerate(shown):
        state = JobState.from_word(word)
        line.append("  " if index else "")
        line.append(f"{state.symbol if unicode else state.ascii_symbol} ", style=state.colour)
        line.append(f"{word} {snapshot.counts.get(word, 0)}")
    if snapshot.oldest_wait_s is not None:
        line.append(f"  oldest wait {duration(snapshot.oldest_wait_s)}")
    return line


def _title(name: str, count: int | None) -> Any:
    from rich.text import Text

    text = Text("\n")
    text.append(name, style="bold")
    if count:
        text.append(f" {count}", style="dim")
    return text


def _table(*columns: tuple[str, bool]) -> Any:
    """A table of (heading, may fold) columns."""
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=False)
    for heading, folds in columns:
        drawn.add_column(heading, no_wrap=not folds, overflow="fold")
    return drawn


def _state(word: str, unicode: bool) -> Any:
    from rich.text import Text

    state = JobState.from_word(word)
    return Text(f"{state.symbol if unicode else state.ascii_symbol} {word}", style=state.colour)


def _worker_state(word: str, unicode: bool) -> Any:
    from rich.text import Text

    symbol, plain, colour = WORKER_LOOK.get(word, ("?", "?", ""))
    return Text(f"{symbol if unicode else plain} {word}", style=colour)


def _load(share: float | None, width: int, unicode: bool) -> Any:
    """A load bar; the colour only repeats what the length says."""
    from rich.text import Text

    colour = "#0072B2" if share is None or share < 0.8 else "#E69F00"
    return Text(bar(share, width, unicode), style=colour)


def _worker_table(snapshot: StatusSnapshot, unicode: bool, rows: int) -> Any:
    drawn = _table(("host", False), ("state", False), ("beat", False), ("cpus", False), ("", False), ("jobs", False))
    order = {"up": 0, "draining": 1, "late": 2, "stale": 3}
    workers = sorted(snapshot.workers, key=lambda w: (order.get(w.state, 4), w.age_s or 0.0, w.inc))
    for worker in workers[:rows]:
        share = worker.cpus_used / worker.cpus_total if worker.cpus_total else None
        age = "never" if worker.age_s is None else f"{duration(worker.age_s)} ago"
        drawn.add_row(
            worker.host, _worker_state(worker.state, unicode), age, _load(share, 8, unicode),
            f"{worker.cpus_used}/{worker.cpus_total}", str(worker.jobs),
        )  # fmt: skip
    return drawn


def _gpu_table(snapshot: StatusSnapshot, width: int, unicode: bool) -> Any:
    wide = width >= NARROW
    columns = [("gpu", False), ("holder", True), ("epoch", False), ("beat", False), ("use", False), ("", False)]
    columns += [("memory", False), ("temp", False), ("name", True)] if wide else [("memory", False)]
    drawn = _table(*columns)
    for gpu in snapshot.gpus:
        share = None if gpu.util_pct is None else gpu.util_pct / 100
        memory = "–"
        if gpu.mem_used_bytes is not None and gpu.mem_total_bytes:
            memory = f"{gpu.mem_used_bytes / 2**30:.1f}/{gpu.mem_total_bytes / 2**30:.0f} GiB"
        cells = [
            f"{gpu.host}:{gpu.index}", gpu.holder or "free", "–" if gpu.epoch is None else str(gpu.epoch),
            _worker_state(gpu.worker_state, unicode), _load(share, 10, unicode),
            "–" if gpu.util_pct is None else f"{gpu.util_pct:.0f} %", memory,
        ]  # fmt: skip
        if wide:
            cells += [
                "–" if gpu.temp_c is None else f"{gpu.temp_c:.0f} °C" if unicode else f"{gpu.temp_c:.0f} C",
                gpu.name,
            ]
        drawn.add_row(*cells)
    return drawn


def _running_table(snapshot: StatusSnapshot, width: int, unicode: bool, rows: int) -> Any:
    shown = snapshot.running[:rows]
    # A worker that is late or gone matters more than the rate.
    odd = any(row.worker_state != "up" for row in shown)
    columns = [("job", False), ("", False), ("progress", width < WIDE), ("elapsed / limit", False), ("eta", False)]
    if odd or width >= WIDE:
        columns.append(("worker", False))
    if width >= NARROW and (not odd or width >= WIDE):
        columns.append(("rate", False))
    if width >= NARROW:
        columns.append(("last metric", width < WIDE))
    if width >= WIDE:
        columns += [("host", False), ("experiment", True)]
    drawn = _table(*columns)
    bar_width = 8 if width < WIDE else 16
    for row in shown:
        share = row.done / row.total if row.done is not None and row.total else None
        cells = {"job": row.job, "": _load(share, bar_width, unicode) if share is not None else "",
                 "progress": progress_text(row), "elapsed / limit": time_text(row), "eta": duration(row.eta_s),
                 "worker": _worker_state(row.worker_state, unicode), "rate": rate_text(row),
                 "last metric": metric_text(row), "host": row.host, "experiment": row.exp}  # fmt: skip
        drawn.add_row(*(cells[heading] for heading, _ in columns))
    _never_cut(drawn, [row.job for row in shown])
    return drawn


def _never_cut(drawn: Any, ids: Sequence[str]) -> None:
    """Keep the first column as wide as its longest id: a cut id cannot be typed."""
    drawn.columns[0].min_width = max((len(item) for item in ids), default=0)


def _pending_table(snapshot: StatusSnapshot, unicode: bool, rows: int) -> Any:
    drawn = _table(("job", False), ("state", False), ("since", False), ("why", True))
    for row in snapshot.pending[:rows]:
        drawn.add_row(row.job, _state(row.state, unicode), duration(row.waited_s), row.reason)
    _never_cut(drawn, [row.job for row in snapshot.pending[:rows]])
    return drawn


def _ends_table(snapshot: StatusSnapshot, unicode: bool) -> Any:
    drawn = _table(("job", False), ("state", False), ("at", False), ("cause", True))
    for end in snapshot.ends:
        at = end.at[11:19] if end.at[:10] == snapshot.at[:10] else end.at[:16].replace("T", " ")
        drawn.add_row(end.job, _state(end.state, unicode), at or "–", end.cause)
    _never_cut(drawn, [end.job for end in snapshot.ends])
    return drawn
