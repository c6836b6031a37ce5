"""lab status [--watch [2s]] [--json]: one screen on who runs what, where, since when, and why the rest waits."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select as selecting
import sys
from collections.abc import Iterator
from typing import Any

from lab.cli.common import CLOCK, FS, add_command, console, emit, is_terminal, lab_of, symbols_fit
from lab.errors import UsageError
from lab.paths import LabPaths
from lab.status import StatusSnapshot, take_snapshot
from lab.tui import plain_lines, screen
from lab.units import parse_duration

__all__ = ["register"]

MIN_WATCH_S = 0.2


def register(subparsers: Any) -> None:
    parser = add_command(subparsers, "status", "show workers, running, pending and ended jobs", run, data=True)
    parser.add_argument(
        "--watch", "-w", nargs="?", const="2s", metavar="TIME", help="keep the screen up to date (2s); q leaves"
    )


def run(args: argparse.Namespace) -> int:
    paths = lab_of(args)
    if args.watch is not None:
        try:
            every_s = max(MIN_WATCH_S, parse_duration(args.watch))
        except ValueError as error:
            raise UsageError(f"--watch: {error}") from None
        return _watch_json(paths, every_s) if args.json else _watch(args, paths, every_s)
    snapshot = take_snapshot(FS, paths, CLOCK)
    if args.json:
        print(json.dumps(snapshot.to_json(), indent=2, allow_nan=False))
    elif is_terminal(args):
        out = console(args)
        out.print(screen(snapshot, out.width, unicode=symbols_fit(), rows=rows_that_fit(snapshot, out.height)))
    else:
        emit(plain_lines(snapshot))
    return 0


def rows_that_fit(snapshot: StatusSnapshot, height: int) -> int:
    """How many rows each long list may have so that the screen needs no scrolling."""
    fixed = 23 + len(snapshot.gpus) + len(snapshot.ends)
    lists = [len(snapshot.workers), len(snapshot.running), len(snapshot.pending)]
    rows = 3
    while rows < 100 and sum(min(count, rows + 1) for count in lists) <= height - fixed:
        rows += 1
    return rows


def _watch_json(paths: LabPaths, every_s: float) -> int:
    """One line for each change (times that only run on are no change)."""
    last = None
    while True:
        snapshot = take_snapshot(FS, paths, CLOCK)
        key = _key(snapshot)
        if key != last:
            print(json.dumps(snapshot.to_json(), allow_nan=False), flush=True)
            last = key
        CLOCK.sleep(every_s)


def _key(snapshot: StatusSnapshot) -> str:
    return json.dumps(
        [snapshot.counts, [(r.job, r.epoch, r.done) for r in snapshot.running],
         [(w.inc, w.state) for w in snapshot.workers], [(p.job, p.state) for p in snapshot.pending]]
    )  # fmt: skip


def _watch(args: argparse.Namespace, paths: LabPaths, every_s: float) -> int:
    if not is_terminal(args) or not sys.stdin.isatty():
        raise UsageError("--watch needs a terminal", "lab status --watch --json prints a line for each change")
    from rich.live import Live

    out = console(args)
    unicode = symbols_fit()
    with _single_keys(), Live(console=out, screen=True, auto_refresh=False) as live:
        while True:
            snapshot = take_snapshot(FS, paths, CLOCK)
            rows = rows_that_fit(snapshot, out.height - 2)
            footer = f"q quits; renewed every {every_s:g} s"
            live.update(screen(snapshot, out.width, unicode=unicode, rows=rows, footer=footer), refresh=True)
            if _key_pressed(every_s) in ("q", "Q", "\x1b", "\x04"):
                return 0


@contextlib.contextmanager
def _single_keys() -> Iterator[None]:
    """Read single keys without echo, and give the terminal back as it was, whatever happens."""
    import termios
    import tty

    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)  # Ctrl-C still works
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _key_pressed(wait_s: float) -> str:
    """Wait for a key at most so long; "" if none came."""
    ready, _, _ = selecting.select([sys.stdin], [], [], wait_s)
    return os.read(sys.stdin.fileno(), 32).decode(errors="replace")[:1] if ready else ""
