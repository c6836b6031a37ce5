"""lab run FILE: submit a protocol, work on it here until it has ended, and print the path of its note last."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from typing import IO, Any

from lab.cli.common import CLOCK, EXIT_JOB_FAILED, FS, add_command, emit, relative, say, symbols_fit
from lab.cli.exp import experiment_state, wait_for
from lab.cli.submit import submit_file
from lab.errors import EnvironmentProblem, LeaseError
from lab.job import JobState
from lab.paths import LabPaths
from lab.reasons import explain
from lab.shim import PR_SET_PDEATHSIG, prctl
from lab.status import Running, StatusSnapshot, progress_fields, take_snapshot
from lab.tui import duration, metric_text, progress_text, screen_of_running

__all__ = ["register"]

PLAIN_EVERY_S = 10.0
LOOK_EVERY_S = 1.0
STOP_S = 90.0  # a worker gives its tasks their grace before it leaves
QUICK_STOP_S = 10.0  # after a second Ctrl-C
INTERRUPTED = 130


def register(subparsers: Any) -> None:
    parser = add_command(subparsers, "run", "submit a protocol, work on it here, and wait for its note", run)
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--once", action="store_true", help="refuse a protocol that was submitted before")


def run(args: argparse.Namespace) -> int:
    paths, exp = submit_file(args)
    worker: Worker | None = None
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        say(f"{exp} submitted")
        worker = Worker(paths)
        with _progress(paths, exp, args) as show:

            def tick(states: Mapping[str, JobState], worker: Worker = worker) -> None:
                worker.check()
                show(states)

            states = wait_for(paths, exp, tick=tick)
    except KeyboardInterrupt:
        say(f"\ninterrupted: the worker stops its task; {exp} stays in the queue")
        if worker is not None:
            worker.stop()
        say(f"to go on: lab worker     to follow it: lab exp wait {exp}     to give up: lab exp cancel {exp}")
        return INTERRUPTED
    finally:
        if worker is not None:
            worker.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
    from lab.notebook import build_note

    try:
        built = build_note(FS, paths, exp)
    except KeyboardInterrupt:
        say(f"interrupted: {exp} has ended, its note is not written; to write it: lab note build {exp}")
        return INTERRUPTED
    for warning in built.warnings:
        say(f"warning: {warning}")
    word = experiment_state(list(states), states)
    for job, state in states.items():
        if state.terminal and state is not JobState.done:
            say(f"{job}: {explain(FS, paths, CLOCK, job)}")
    say(f"{exp} is {word}. Verdict: {built.verdict}. {built.finding}")
    say("the note:")
    emit([relative(built.path)])
    return 0 if word == "done" else EXIT_JOB_FAILED


def _interrupt(*_: object) -> None:
    """A closed terminal and a polite kill are what Ctrl-C is: the worker must not stay behind."""
    raise KeyboardInterrupt


def _leave_with_parent() -> None:
    """In the child: if `lab run` itself is killed, ask the worker to stop (it gives its jobs back)."""
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Worker:
    """A worker daemon as a child in its own session, so that Ctrl-C reaches it only through us."""

    def __init__(self, paths: LabPaths) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed in stop)
        self._reported = False
        self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
            [sys.executable, "-m", "lab", "worker", "--no-notes", "--lab", paths.root],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True,
            preexec_fn=_leave_with_parent,
        )  # fmt: skip

    def check(self) -> None:
        """Notice a worker that has gone; one that found another on this host leaves the work to it."""
        code = None if self._process is None else self._process.poll()
        if code is None or self._reported:
            return
        self._reported = True
        if code == LeaseError.exit_code:
            say("another worker runs on this host: it does the work")
            return
        raise EnvironmentProblem(f"the worker stopped with exit {code}: {self._last_line()}", "lab doctor; lab worker")

    def _last_line(self) -> str:
        self._log.seek(0)
        lines = [line for line in self._log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        told = [line for line in lines if line.startswith("error:")] or lines[-1:]
        return told[-1].removeprefix("error: ") if told else "it said nothing"

    def stop(self) -> None:
        """Ask it to leave: it gives its jobs back to the queue. Only then is it killed."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except KeyboardInterrupt:
            say("stopping at once")
            process.send_signal(signal.SIGTERM)  # its second one: tasks are killed, jobs given back
            self._wait_or_kill(process)
        except subprocess.TimeoutExpired:
            self._wait_or_kill(process, 0.0)
        self._log.close()

    def _wait_or_kill(self, process: subprocess.Popen[bytes], seconds: float = QUICK_STOP_S) -> None:
        try:
            process.wait(seconds)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            process.wait()


class _progress:
    """Live rows on a terminal, else a plain line at each change, at most every ten seconds for mere progress."""

    def __init__(self, paths: LabPaths, exp: str, args: argparse.Namespace) -> None:
        self.paths, self.exp = paths, exp
        self.started = CLOCK.monotonic()
        self.unicode = symbols_fit(sys.stderr)  # asked before Live puts its own stream there
        self.looked = -LOOK_EVERY_S
        self.first_seen: dict[str, float] = {}
        self.live: Any = None
        self.told: tuple[Any, ...] = ()
        self.told_at = 0.0
        self.terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.colour = getattr(args, "color", "auto")

    def __enter__(self) -> Any:
        if self.terminal:
            from rich.console import Console
            from rich.live import Live

            plain = self.colour == "never" or (self.colour == "auto" and bool(os.environ.get("NO_COLOR")))
            out = Console(stderr=True, no_color=plain, highlight=False, emoji=False, markup=False)
            # Not on an alternate screen: the last state stays above the note's path.
            self.live = Live(console=out, auto_refresh=False, transient=False)
            self.live.__enter__()
        return self.show

    def __exit__(self, *error: Any) -> None:
        if self.live is not None:
            self.live.__exit__(*error)

    def show(self, states: Mapping[str, JobState]) -> None:
        now = CLOCK.monotonic()
        ended = all(state.terminal for state in states.values())
        if now - self.looked < LOOK_EVERY_S and not ended:
            return
        self.looked = now
        snapshot = self._snapshot()
        counts = [f"{sum(s is state for s in states.values())} {state.word}" for state in JobState
                  if any(s is state for s in states.values())]  # fmt: skip
        head = f"{self.exp}  {' · '.join(counts)} of {len(states)} jobs  {duration(CLOCK.monotonic() - self.started)}"
        if self.live is not None:
            width = self.live.console.width
            view = screen_of_running(snapshot, head, width, unicode=self.unicode)
            self.live.update(view, refresh=True)
            return
        key = (tuple(states.values()), tuple(row.job for row in snapshot.running))
        again = key == self.told
        if again and now - self.told_at < PLAIN_EVERY_S:
            return
        self.told, self.told_at = key, now
        say(head)
        if again and not snapshot.running:
            for waiting in [row for row in snapshot.pending if row.exp == self.exp][:1]:
                say(f"  {waiting.job} is {waiting.state}: {waiting.reason}")
        for row in snapshot.running:
            metric = "" if row.metric is None else f", {metric_text(row)}"
            say(f"  {row.job}: {progress_text(row)}{metric}, {duration(row.elapsed_s)} of {duration(row.time_limit_s)}")

    def _snapshot(self) -> StatusSnapshot:
        """The running jobs of this experiment, with the progress that their tasks wrote last (beats are slower)."""
        snapshot = take_snapshot(FS, self.paths, CLOCK)
        snapshot.running = [self._fresh(row) for row in snapshot.running if row.exp == self.exp]
        return snapshot

    def _fresh(self, row: Running) -> Running:
        now = CLOCK.monotonic()
        seen_s = now - self.first_seen.setdefault(f"{row.job} {row.epoch}", now)
        row = replace(row, elapsed_s=max(row.elapsed_s or 0.0, seen_s))
        if not row.inc:
            return row
        folder = self.paths.attempt(self.exp, row.job, row.epoch, row.inc)
        try:
            raw = json.loads(FS.read(f"{folder}/out/progress.json", 1 << 20))
        except (OSError, ValueError):
            return row
        return replace(row, **progress_fields(raw, raw.get("metric"))) if isinstance(raw, dict) else row
