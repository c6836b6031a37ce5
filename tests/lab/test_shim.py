"""The shim with real processes: exit codes, TERM then KILL, nothing survives its daemon."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.executors import Exit, Launch
from lab.executors.process import ProcessExecutor

PATIENCE_S = 20.0


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[ProcessExecutor]:
    executor = ProcessExecutor(str(tmp_path / "local"), stale_s=60)
    yield executor
    for pid in executor.pids():
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def launch(tmp_path: Path, *argv: str, grace_s: float = 5.0, lock_fds: tuple[int, ...] = ()) -> Launch:
    attempt = tmp_path / f"attempt-{time.monotonic_ns()}"
    attempt.mkdir()
    env = {"PATH": os.environ["PATH"]}
    return Launch(attempt.name, list(argv), env, str(attempt), str(attempt), grace_s, lock_fds)


def until(what: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def finish(executor: ProcessExecutor) -> Exit:
    over: dict[str, Exit] = {}
    until(lambda: over.update(executor.poll()) or over)
    return next(iter(over.values()))


def log_of(one: Launch) -> str:
    return Path(one.attempt_dir, "log.txt").read_text()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("code", [0, 2, 75, 200])
def test_exit_codes_pass_through(executor: ProcessExecutor, tmp_path: Path, code: int) -> None:
    executor.start(launch(tmp_path, "sh", "-c", f"exit {code}"))
    assert finish(executor).code == code


def test_a_signal_is_a_negative_code_and_usage_is_measured(executor: ProcessExecutor, tmp_path: Path) -> None:
    program = "import os, signal; sum(range(3_000_000)); os.kill(os.getpid(), signal.SIGSEGV)"
    executor.start(launch(tmp_path, sys.executable, "-c", program))
    end = finish(executor)
    assert end.code == -signal.SIGSEGV
    assert end.cpu_s > 0.01 and end.max_rss_bytes > 1 << 20 and end.finished >= end.started > 0


def test_output_and_a_missing_command_go_to_the_log(executor: ProcessExecutor, tmp_path: Path) -> None:
    one = launch(tmp_path, "sh", "-c", "echo out; echo err >&2")
    executor.start(one)
    finish(executor)
    assert log_of(one) == "out\nerr\n"
    two = launch(tmp_path, "/no/such/command")
    executor.start(two)
    assert finish(executor).code == 127
    assert "/no/such/command" in log_of(two)


def test_term_gives_time_to_leave_with_75(executor: ProcessExecutor, tmp_path: Path) -> None:
    one = launch(tmp_path, "sh", "-c", "trap 'exit 75' TERM; echo ready; while :; do sleep 0.05; done")
    executor.start(one)
    until(lambda: "ready" in log_of(one))
    executor.terminate(one.key)
    assert finish(executor).code == 75


def test_kill_follows_term_after_the_grace(executor: ProcessExecutor, tmp_path: Path) -> None:
    one = launch(tmp_path, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done", grace_s=0.3)
    executor.start(one)
    until(lambda: "ready" in log_of(one))
    executor.terminate(one.key)
    end = finish(executor)
    assert end.code == -signal.SIGKILL and end.cause == "asked"


def test_children_in_other_sessions_go_before_the_exit_is_reported(executor: ProcessExecutor, tmp_path: Path) -> None:
    # A grandchild leaves session and group, ignores TERM, and its parent exits at once.
    stray = "trap '' TERM; echo $$; while :; do sleep 0.05; done"
    one = launch(tmp_path, "sh", "-c", f'setsid sh -c "{stray.replace("$", chr(92) + "$")}" & sleep 0.2', grace_s=0.3)
    executor.start(one)
    end = finish(executor)
    stray_pid = int(log_of(one).split()[0])
    assert end.code == 0
    assert not alive(stray_pid)


DAEMON = """\
import os, sys, time
from lab.executors import Launch
from lab.executors.process import ProcessExecutor
executor = ProcessExecutor(sys.argv[1], float(sys.argv[3]))
argv = ["sh", "-c", "echo $$; sleep 300 & echo $!; wait"]
executor.start(Launch("k", argv, {"PATH": os.environ["PATH"]}, sys.argv[2], sys.argv[2], 0.5))
while True:
    if sys.argv[4] == "beats":
        executor.beat()
    time.sleep(0.05)
"""


@pytest.mark.parametrize(("stale_s", "beats", "how"), [("60", "beats", "killed"), ("1", "silent", "hung")])
def test_a_task_does_not_outlive_its_daemon(tmp_path: Path, stale_s: str, beats: str, how: str) -> None:
    attempt = tmp_path / "attempt"
    attempt.mkdir()
    command = [sys.executable, "-c", DAEMON, str(tmp_path / "local"), str(attempt), stale_s, beats]
    daemon = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    try:
        log = attempt / "log.txt"
        until(lambda: log.exists() and len(log.read_text().split()) == 2)
        pids = [int(word) for word in log.read_text().split()]
        assert all(alive(pid) for pid in pids)
        if how == "killed":
            daemon.kill()
        until(lambda: not any(alive(pid) for pid in pids))
    finally:
        daemon.kill()
        daemon.wait()


def test_a_killed_shim_takes_its_task_along(executor: ProcessExecutor, tmp_path: Path) -> None:
    one = launch(tmp_path, "sh", "-c", "echo $$; sleep 300 & echo $!; wait")
    executor.start(one)
    until(lambda: len(log_of(one).split()) == 2)
    pids = [int(word) for word in log_of(one).split()]
    os.kill(executor.pids()[0], signal.SIGKILL)
    assert finish(executor).cause == "the shim was killed"
    until(lambda: not any(alive(pid) for pid in pids))
