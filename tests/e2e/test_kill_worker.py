"""Real worker processes: one is killed in mid-job and another finishes; a stopped one's job resumes elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import results
from lab.clock import RealClock
from lab.fsio import RealFs
from lab.job import JobState
from lab.paths import LabPaths
from lab.queue import Queue
from lab.submit import submit

LEASE = '[lease]\nbeat = "500ms"\nexpire = "3s"\npoll = "250ms"\nfence_after = "10s"\ngrace = "2s"\n'
PATIENCE_S = 60.0
HEAD = "version: 1\ntitle: kill\nquestion: who finishes?\nhypothesis: the other one\ntheme: queue\n"
# A long job that writes down that it began, in a child of its own too, and is quick the second time.
LONG = """\
import os, subprocess, sys, time
open(os.path.join(os.environ["LAB_OUT"], "began"), "w").write("1")
again = int(os.environ["LAB_EPOCH"]) > 2
if not again:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", sys.argv[1]], start_new_session=True)
    time.sleep(300)
"""
# Counts up through checkpoints, and leaves with 75 when told to.
STEADY = """\
import hashlib, json, os, signal, sys, time
out = os.environ["LAB_OUT"]
def leave(*_):
    folder = os.path.join(out, "checkpoint")
    os.makedirs(os.path.join(folder, ".tmp-1"))
    open(os.path.join(folder, ".tmp-1", "state"), "w").write("7")
    sums = {"files": {"state": {"bytes": 1, "sha256": hashlib.sha256(b"7").hexdigest()}}}
    open(os.path.join(folder, ".tmp-1", "SUMS.json"), "w").write(json.dumps(sums))
    os.rename(os.path.join(folder, ".tmp-1"), os.path.join(folder, "1"))
    sys.exit(75)
signal.signal(signal.SIGTERM, leave)
resume = os.environ.get("LAB_RESUME")
value = open(os.path.join(resume, "state")).read() if resume else None
open(os.path.join(out, "began"), "w").write("1")
if value is None:
    time.sleep(300)
json.dump({"metrics": {"state": int(value)}}, open(os.path.join(out, "result.json"), "w"))
"""


def wait_until(what: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    """Poll until it is true."""
    end = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def processes_with(marker: str) -> list[int]:
    """Living processes that have the marker in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if marker.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


class Workers:
    """Workers of one lab, started and always cleaned up."""

    def __init__(self, paths: LabPaths, local: Path) -> None:
        self.paths, self.local = paths, local
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, name: str) -> subprocess.Popen[bytes]:
        env = {**os.environ, "GOLAB_LOCAL": str(self.local), "GOLAB_CACHE": str(self.local / "cache")}
        command = [sys.executable, "-m", "lab", "worker", "--name", name, "--cpus", "1", "--gpus", "none", "--no-notes"]
        log = open(self.local / f"{name}.log", "ab")  # noqa: SIM115
        with log:
            worker = subprocess.Popen([*command, "--lab", self.paths.root], env=env, stderr=log)
        self.started.append(worker)
        return worker

    def submit(self, steps: str) -> str:
        path = Path(self.paths.protocols) / "kill.yaml"
        path.write_text(HEAD + "steps:\n" + steps + "decision: {rule: exploratory}\n")
        return submit(self.paths, str(path), RealClock(), freeze=False)

    def states(self) -> dict[str, JobState]:
        queue = Queue(RealFs(), RealClock(), self.paths, "cli-0000000000000000")
        return {queue.spec(token.job).step: state for state, token, _ in queue.snapshot()}

    def began(self, exp: str, step: str) -> list[Path]:
        return sorted(Path(self.paths.result_exp(exp)).glob(f"{step}-*/*/out/began"))


@pytest.fixture
def workers(make_lab: Callable[..., LabPaths], tmp_path: Path) -> Iterator[Workers]:
    paths = make_lab()
    Path(paths.cluster_toml).write_text(LEASE)
    local = tmp_path / "local"
    local.mkdir()
    group = Workers(paths, local)
    yield group
    for worker in group.started:
        if worker.poll() is None:
            worker.kill()
        worker.wait()


def step(name: str, program: str, *words: str, needs: str = "") -> str:
    argv = json.dumps(["{python}", "-c", program, *words])
    return f"  - {{id: {name}, time: 2m, run: {argv}{', needs: ' + needs if needs else ''}}}\n"


def test_a_killed_worker_is_replaced_and_leaves_nothing_behind(workers: Workers) -> None:
    marker = f"marker-{os.getpid()}-{time.time_ns()}"
    steps = (
        step("long", LONG, marker) + step("short", "print('ok')", marker) + step("last", "pass", marker, needs="long")
    )
    first = workers.start("a")
    exp = workers.submit(steps)
    wait_until(lambda: workers.began(exp, "long") or workers.states().get("short") is JobState.done)
    wait_until(lambda: workers.began(exp, "long"))
    second = workers.start("b")
    assert processes_with(marker)
    first.send_signal(signal.SIGKILL)
    first.wait()
    wait_until(lambda: set(workers.states().values()) == {JobState.done})

    fs, paths = RealFs(), workers.paths
    accepted = results.accepted(fs, paths, exp)
    assert len(accepted) == 3
    for result in accepted.values():
        result.verify(fs)
    assert len(fs.listdir(paths.done(exp))) == 3
    long = next(result for result in accepted.values() if result.job.startswith("long"))
    assert (long.token.l, long.token.f) == (1, 0)
    assert long.token.inc is not None and long.token.inc.startswith("b-")
    assert not [name for exp in fs.listdir(paths.run_root) for name in fs.listdir(paths.run(exp))]
    assert not fs.listdir(paths.waiting) and not fs.listdir(paths.tmp_dir)
    wait_until(lambda: not processes_with(marker), 10.0)
    second.send_signal(signal.SIGTERM)
    assert second.wait(20) == 0


def test_a_stopped_worker_gives_its_job_back_and_the_next_resumes_it(workers: Workers) -> None:
    first = workers.start("a")
    exp = workers.submit(step("steady", STEADY))
    wait_until(lambda: workers.began(exp, "steady"))
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0
    assert workers.states() == {"steady": JobState.ready}
    workers.start("b")
    wait_until(lambda: workers.states() == {"steady": JobState.done})
    result = next(iter(results.accepted(RealFs(), workers.paths, exp).values()))
    assert result.metric("state") == 7
    assert (result.token.l, result.token.f) == (0, 0)


def test_a_second_worker_of_the_same_name_is_refused(workers: Workers) -> None:
    workers.start("a")
    wait_until(lambda: "worker a-" in (workers.local / "a.log").read_text())
    assert workers.start("a").wait(20) == 4
    assert "already runs on this host" in (workers.local / "a.log").read_text()
