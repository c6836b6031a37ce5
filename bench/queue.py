"""python bench/queue.py --jobs 1000 --workers 4: how fast jobs are claimed and how soon a submitted one starts.

Claims: processes compete for ready tokens on local disk, each with the daemon's own choice and rename, until none is
left (`lost_renames` are races that another won). Start latency: from the call of submit() to the first line of the
task's command, with an idle `lab worker` on this host; tasks are one `sh -c date`. Everything is in a temporary lab.
"""

from __future__ import annotations

import sys

# This file's folder comes first on sys.path, where its name would hide the standard library's queue.
sys.path.pop(0)

import argparse
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from lab.births import expand, publish_experiment
from lab.clock import RealClock
from lab.fsio import RealFs
from lab.host import Capacity
from lab.matching import choose
from lab.paths import LabPaths
from lab.protocol_yaml import load_protocol
from lab.queue import Queue, actor_name
from lab.release import Releaser
from lab.submit import build_manifest, exp_id_for, submit
from lab.tasks import default_registry
from lab.token import new_inc

PROTOCOL = """\
version: 1
title: Bench
question: how fast is the queue?
hypothesis: fast enough
sweep: {{matrix: {{n: {arms}}}}}
steps:
  - id: job
    run: [sh, -c, "date +%s.%N > $LAB_OUT/started; echo '{{}}' > $LAB_OUT/result.json"]
    time: 1m
decision: {{rule: exploratory}}
"""


def make_lab(folder: str, jobs: int) -> tuple[LabPaths, str]:
    """A lab in `folder` and the path of a protocol with that many jobs."""
    subprocess.run([sys.executable, "-m", "lab", "init", "--quiet", folder], check=True)
    path = os.path.join(folder, "protocols", "bench.yaml")
    Path(path).write_text(PROTOCOL.format(arms=json.dumps(list(range(jobs)))))
    return LabPaths(folder), path


def claimer(root: str, number: int, start: float, report: multiprocessing.Queue) -> None:
    """Claim until nothing is left; report how often a rename was won and lost, and when the last one was."""
    inc = new_inc(f"bench{number}", f"{number:016x}")
    queue = Queue(RealFs(), RealClock(), LabPaths(root), inc, rng=random.Random(number))
    capacity = Capacity(cpus=1 << 20)
    won = lost = 0
    last = start
    time.sleep(max(0.0, start - time.monotonic()))
    while (found := choose(queue, capacity, capacity.cpus, 0)) is not None:
        if queue.claim(*found) is None:
            lost += 1
        else:
            won += 1
            last = time.monotonic()
    report.put((won, lost, last))


def bench_claims(jobs: int, workers: int) -> dict[str, float]:
    """Claims per second of wall-clock time with so many processes; release to ready/ is not in the time."""
    with tempfile.TemporaryDirectory() as folder:
        paths, path = make_lab(folder, jobs)
        clock = RealClock()
        queue = Queue(RealFs(), clock, paths, actor_name())
        registry = default_registry()
        loaded = load_protocol(path, registry=registry)
        manifest = build_manifest(
            loaded,
            exp_id_for(loaded, path),
            clock,
            registry=registry,
            cluster=queue.cluster,
            code=None,
            submitted_by="bench",
        )
        began = time.monotonic()
        publish_experiment(queue, manifest)
        expand(queue, manifest["exp"])
        born_s = time.monotonic() - began
        Releaser(queue, window=jobs).release()
        context = multiprocessing.get_context("fork")
        report = context.Queue()
        start = time.monotonic() + 0.5
        processes = [context.Process(target=claimer, args=(folder, i, start, report)) for i in range(workers)]
        for process in processes:
            process.start()
        results = [report.get() for _ in processes]
        for process in processes:
            process.join()
    won = sum(result[0] for result in results)
    if won != jobs:
        raise SystemExit(f"{won} claims for {jobs} jobs: the queue is broken")
    return {
        "claims_per_s": won / (max(result[2] for result in results) - start),
        "lost_renames": sum(result[1] for result in results),
        "births_per_s": jobs / born_s,
    }


def bench_start(runs: int) -> dict[str, float]:
    """Milliseconds from submit() to the task's first line, with one idle daemon."""
    with tempfile.TemporaryDirectory() as folder:
        paths, path = make_lab(folder, 1)
        env = {**os.environ, "GOLAB_LOCAL": folder + "/local", "GOLAB_CACHE": folder + "/cache"}
        command = [sys.executable, "-m", "lab", "--lab", folder, "worker", "--gpus", "none", "--no-notes"]
        worker = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
        waits = []
        try:
            time.sleep(2.0)
            for _ in range(runs):
                called = time.time()
                exp = submit(paths, path, RealClock())
                pattern = f"{paths.result_exp(exp)}/job-*/g*/out/started"
                waits.append(1000 * (wait_for(pattern) - called))
                time.sleep(0.3)
        finally:
            worker.terminate()
            worker.wait()
    return {
        "start_latency_ms_p50": statistics.median(waits),
        "start_latency_ms_max": max(waits),
        "start_runs": runs,
    }


def wait_for(pattern: str, limit_s: float = 30.0) -> float:
    """The time (unix seconds) written into the one file that matches, once it is there."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        for found in Path("/").glob(pattern.lstrip("/")):
            if text := found.read_text():
                return float(text)
        time.sleep(0.01)
    raise SystemExit(f"no task started within {limit_s} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000, help="ready jobs that are claimed")
    parser.add_argument("--workers", type=int, default=4, help="processes that claim")
    parser.add_argument("--runs", type=int, default=20, help="submits of the start-latency part")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()
    result = {"jobs": args.jobs, "workers": args.workers, **bench_claims(args.jobs, args.workers)}
    result |= bench_start(args.runs)
    if args.json:
        print(json.dumps({"schema_version": 1, **result}))
    else:
        for name, value in result.items():
            print(f"{name:22} {value:,.1f}" if isinstance(value, float) else f"{name:22} {value:,}")


if __name__ == "__main__":
    main()
