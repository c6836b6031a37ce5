"""Run attempts as local processes, each under its shim (lab/shim.py)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import lab.shim
from lab.executors import Exit, Launch

LOG_NAME = "log.txt"


@dataclass
class _Running:
    process: subprocess.Popen[bytes]
    pipe_w: int
    status: str


class ProcessExecutor:
    """Local processes. `local_dir` is on local disk and private to one daemon; `stale_s` bounds a hung daemon."""

    def __init__(self, local_dir: str, stale_s: float) -> None:
        os.makedirs(local_dir, exist_ok=True)
        self._dir = local_dir
        self._stale_s = stale_s
        self._beat_path = os.path.join(local_dir, "beat")
        self._n = 0
        self._count = 0
        self._running: dict[str, _Running] = {}
        self.beat()

    def start(self, launch: Launch) -> None:
        """Start the shim; its output and the task's go to the attempt's log.txt."""
        self._count += 1
        status = os.path.join(self._dir, f"{self._count}.status")
        pipe_r, pipe_w = os.pipe()
        command = [sys.executable, "-I", "-S", lab.shim.__file__]
        command += ["--pipe", str(pipe_r), "--status", status, "--beat", self._beat_path]
        command += ["--stale", str(self._stale_s), "--grace", str(launch.grace_s), "--", *launch.argv]
        try:
            with open(os.path.join(launch.attempt_dir, LOG_NAME), "ab") as log:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=launch.env,
                    cwd=launch.cwd,
                    pass_fds=(pipe_r, *launch.lock_fds),
                    start_new_session=True,
                )
        except BaseException:
            os.close(pipe_w)
            raise
        finally:
            os.close(pipe_r)
        os.set_blocking(pipe_w, False)
        self._running[launch.key] = _Running(process, pipe_w, status)

    def poll(self) -> dict[str, Exit]:
        """Attempts whose shim has left; a shim leaves only when every descendant is gone."""
        over: dict[str, Exit] = {}
        for key, running in list(self._running.items()):
            if running.process.poll() is None:
                continue
            with contextlib.suppress(OSError):
                os.close(running.pipe_w)
            over[key] = self._exit_of(running)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(running.status)
            del self._running[key]
        return over

    def terminate(self, key: str) -> None:
        """Ask the shim for TERM, grace, KILL."""
        self._tell(key, b"T")

    def kill(self, key: str) -> None:
        """Ask the shim for KILL at once."""
        self._tell(key, b"K")

    def beat(self) -> None:
        """Change the local beat file, which every shim of this daemon watches."""
        self._n += 1
        fd = os.open(self._beat_path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(fd, b"%020d" % self._n, 0)
        finally:
            os.close(fd)

    def pids(self) -> list[int]:
        """The shims' process ids (for tests and for the log)."""
        return [running.process.pid for running in self._running.values()]

    def _tell(self, key: str, word: bytes) -> None:
        running = self._running.get(key)
        if running is not None:
            # A full or broken pipe means that the shim has enough words already or is gone.
            with contextlib.suppress(OSError):
                os.write(running.pipe_w, word)

    def _exit_of(self, running: _Running) -> Exit:
        try:
            with open(running.status, encoding="utf-8") as file:
                status = json.load(file)
        except (OSError, ValueError):
            status = {}
        if "exit" in status:
            return Exit(
                code=status["exit"],
                cause=status["cause"],
                started=status["started"],
                finished=status["finished"],
                wall_s=status["wall_s"],
                cpu_s=status["cpu_s"],
                max_rss_bytes=status["max_rss_bytes"],
            )
        # The shim was killed: the task got KILL with it, its other processes share its group.
        if "pid" in status:
            with contextlib.suppress(OSError):
                os.killpg(status["pid"], signal.SIGKILL)
        return Exit(code=-9, cause="the shim was killed")
