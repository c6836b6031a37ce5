"""When an experiment has come to its end, have its note built; once per state of its jobs, by one daemon."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable

from lab.errors import LabError
from lab.fsio import Fs
from lab.job import JobState
from lab.paths import LabPaths
from lab.queue import Queue

OTHERS_WAIT_S = 30.0  # the daemon that saw the last job end builds the note; the others only if it does not
CHECK_S = 10.0
TRIES = 3
MARK = "noted-"
TIMEOUT_S = 600.0


def spawn(paths: LabPaths, exp: str) -> subprocess.Popen[bytes]:
    """Start `lab note build EXP` in a process of its own: drawing takes seconds, and a daemon must not wait."""
    return subprocess.Popen(
        [sys.executable, "-m", "lab", "note", "build", exp, "--lab", paths.root],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def state_of(fs: Fs, paths: LabPaths, queue: Queue, exp: str) -> str | None:
    """A short hash over the final tokens of an experiment; None while a job of it has not ended."""
    wanted = set(queue.jobs_of(exp))
    names = []
    for folder in (paths.done(exp), *(queue.folder_of(s) for s in JobState if s.terminal and s is not JobState.done)):
        for token in queue.tokens(folder):
            if token.job in wanted:
                wanted.discard(token.job)
                names.append(token.name)
    return None if wanted else hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:12]


class NoteBuilder:
    """One of a daemon's chores. `exps/<exp>/noted-<hash>` says that the note for that state is there."""

    def __init__(
        self,
        queue: Queue,
        *,
        enabled: bool = True,
        spawn: Callable[[LabPaths, str], subprocess.Popen[bytes]] = spawn,
    ) -> None:
        self._queue, self._enabled, self._spawn = queue, enabled, spawn
        self._building: dict[str, tuple[subprocess.Popen[bytes], str, float]] = {}
        self._due: dict[str, float] = {}  # experiment -> when this daemon may build its note
        self._settled: set[str] = set()
        self._tries: dict[tuple[str, str], int] = {}
        self._check_at = float("-inf")

    @property
    def busy(self) -> bool:
        """Whether a note is being built here, or will be at once."""
        now = self._queue.clock.monotonic()
        return bool(self._building) or any(at <= now for at in self._due.values())

    def ended(self, exp: str) -> None:
        """A job of it ended in this daemon: look at it now."""
        if self._enabled:
            self._settled.discard(exp)
            self._due[exp] = float("-inf")

    def look(self) -> bool:
        """Reap finished builds, find experiments without their note, start builds."""
        if not self._enabled:
            return False
        now = self._queue.clock.monotonic()
        self._reap(now)
        if now >= self._check_at:
            self._check_at = now + CHECK_S
            for exp in self._queue.exps():
                if exp not in self._settled and exp not in self._due:
                    self._due[exp] = now + OTHERS_WAIT_S
        for exp, at in list(self._due.items()):
            if at <= now and exp not in self._building:
                del self._due[exp]
                try:
                    self._consider(exp, now)
                except (LabError, NotADirectoryError) as error:
                    self._settled.add(exp)
                    self._queue.complain(f"note {exp}", f"note of {exp}: {error}", exp=exp)
        return self.busy

    def _consider(self, exp: str, now: float) -> None:
        queue = self._queue
        names = queue.fs.listdir(queue.paths.exp_dir(exp))
        if "manifest.json" not in names:
            return
        state = state_of(queue.fs, queue.paths, queue, exp)
        if state is None:
            return
        if MARK + state in names or self._tries.get((exp, state), 0) >= TRIES:
            self._settled.add(exp)
            return
        self._tries[exp, state] = self._tries.get((exp, state), 0) + 1
        self._building[exp] = (self._spawn(queue.paths, exp), state, now)

    def _reap(self, now: float) -> None:
        queue = self._queue
        for exp, (process, state, started) in list(self._building.items()):
            if process.poll() is None:
                if now - started > TIMEOUT_S:
                    process.kill()
                continue
            del self._building[exp]
            with process:
                errors = process.stderr.read() if process.stderr else b""
            if process.returncode == 0:
                with contextlib.suppress(FileExistsError):
                    queue.fs.create(f"{queue.paths.exp_dir(exp)}/{MARK}{state}", b"")
                self._settled.add(exp)
                queue.events.add(exp=exp, cause="note built", detail=os.path.basename(queue.paths.note(exp)))
                queue.log(f"{exp}: note at {queue.paths.note(exp)}")
            else:
                last = errors.decode(errors="replace").strip()[-500:]
                queue.complain(f"note {exp} {last}", f"note of {exp} cannot be built: {last}", exp=exp)
                self._due[exp] = now + CHECK_S

    def close(self) -> None:
        """Leave no child behind."""
        for process, _, _ in self._building.values():
            with contextlib.suppress(OSError):
                process.kill()
            with process:
                pass
