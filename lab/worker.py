"""The worker program around Daemon.step(): wake-ups, signals, log lines, notes, and when to leave."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence

from lab import gpus, host
from lab.clock import Clock, RealClock
from lab.cluster import Cluster, load_cluster
from lab.code import CodeStore
from lab.daemon import Daemon
from lab.errors import EnvironmentProblem, LabError, UsageError
from lab.executors.process import ProcessExecutor
from lab.fsio import Fs, RealFs, read_json
from lab.host import Capacity, DaemonLock
from lab.janitor import Janitor
from lab.matching import servable
from lab.notes import NoteBuilder
from lab.paths import PRIORITIES, LabPaths
from lab.queue import Queue
from lab.submit import Inbox
from lab.units import utc_now_text
from lab.wakeup import Signals, Wakeup

__all__ = ["Daemon", "run_worker"]

MIN_LOOK_S = 0.01  # a burst of wake-ups becomes one look


def log_line(text: str) -> None:
    """One plain line with its time on stderr."""
    stamp = time.strftime("%H:%M:%S")
    sys.stderr.write("".join(f"{stamp} {line}\n" for line in text.splitlines() or [""]))
    sys.stderr.flush()


def lab_id(paths: LabPaths, fs: Fs) -> str:
    """The id in QUEUE_ID."""
    try:
        return str(read_json(fs, paths.queue_id, 4096)["id"])
    except (FileNotFoundError, KeyError) as error:
        raise EnvironmentProblem(f"{paths.queue_id} is missing: is the share mounted?", "lab init") from error


def capacity_of(cluster: Cluster, name: str, cpus: int | None, chosen: Sequence[gpus.Gpu]) -> Capacity:
    """What this host offers: the options, then its table in cluster.toml, then what the machine has."""
    entry = cluster.hosts.get(name) or cluster.hosts.get(name.split(".")[0])
    types = {gpu.name for gpu in chosen}
    if entry is not None and entry.gpu_type and chosen:
        types.add(entry.gpu_type)
    return Capacity(
        cpus=cpus if cpus is not None else host.cpu_count(),
        gpus=len(chosen),
        gpu_types=frozenset(types),
        roles=frozenset(entry.roles if entry is not None else ()),
    )


def nothing_left(daemon: Daemon, inbox: Inbox, notes: NoteBuilder) -> bool:
    """Whether nothing can run any more: here or elsewhere, now or when a delay is over."""
    queue, paths = daemon.queue, daemon.queue.paths
    if daemon.tasks or daemon.others_busy or daemon.moved or inbox.pending or notes.busy:
        return False
    queue.check_sentinel()
    if queue.fs.listdir(paths.delayed):
        return False
    for klass in daemon.capacity.classes():
        for prio in queue.fs.listdir(f"{paths.ready_root}/{klass}"):
            for token in queue.tokens(paths.ready(klass, prio)):
                spec = queue.spec_or_none(token.job)
                if spec is not None and servable(spec, daemon.capacity):
                    return False
    return True


def run_worker(
    paths: LabPaths,
    *,
    cpus: int | None = None,
    gpu_list: str | None = None,
    until_idle: bool = False,
    name: str | None = None,
    build_notes: bool = True,
    log: Callable[[str], None] = log_line,
    clock: Clock | None = None,
    backoff_s: float | None = None,
) -> int:
    """Work until told to stop, or until nothing can run any more. 0, or 130 after a second Ctrl-C."""
    fs = RealFs()
    clock = clock or RealClock()
    cluster = load_cluster(paths.cluster_toml, fs)
    lab = lab_id(paths, fs)
    local = host.local_dir()
    lock = DaemonLock(local, lab, name or "")
    try:
        chosen = gpus.choose([] if gpu_list == "none" else gpus.probe(), gpu_list)
    except ValueError as error:
        raise UsageError(str(error)) from None
    inc = host.fresh_inc(name)
    private = os.path.join(local, inc)
    queue = Queue(fs, clock, paths, inc, cluster, log=log)
    if backoff_s is not None:
        queue.backoff_s = backoff_s
    queue.check_sentinel()
    capacity = capacity_of(cluster, os.uname().nodename, cpus, chosen)
    inbox = Inbox(queue)
    notes = NoteBuilder(queue, enabled=build_notes)
    pool = gpus.GpuPool(chosen, local)
    daemon = Daemon(
        queue,
        ProcessExecutor(private, cluster.lease.fence_after_s),
        capacity,
        info=host.info(inc, utc_now_text(clock.wall()), capacity, chosen),
        gpus=pool,
        code=CodeStore(paths, fs, host.cache_dir()),
        provenance=host.provenance(),
        janitor=Janitor(queue),
        chores=[inbox, notes],
    )
    wakeup = Wakeup()
    signals = Signals(wakeup)
    try:
        ready = [paths.ready(klass, prio) for klass in capacity.classes() for prio in PRIORITIES]
        wakeup.watch([*ready, paths.waiting, paths.inbox])
        log(f"worker {inc}: {capacity.cpus} CPUs, {capacity.gpus} GPUs, lab {paths.root}")
        return _loop(daemon, wakeup, signals, until_idle, inbox, notes, log)
    finally:
        signals.close()
        wakeup.close()
        notes.close()
        shutil.rmtree(private, ignore_errors=True)
        lock.close()


def _loop(
    daemon: Daemon,
    wakeup: Wakeup,
    signals: Signals,
    until_idle: bool,
    inbox: Inbox,
    notes: NoteBuilder,
    log: Callable[[str], None],
) -> int:
    idle_looks = 0
    hinted = float("-inf")
    while True:
        due = daemon.step()
        if signals.asked > signals.taken:
            signals.taken = signals.asked
            if signals.taken == 1:
                log(f"stopping: {len(daemon.tasks)} jobs get time to save their work (again to stop at once)")
            daemon.shutdown(quick=signals.taken > 1)
            continue
        if daemon.draining:
            if not daemon.tasks or (signals.taken > 1 and not any(task.running for task in daemon.tasks.values())):
                daemon.leave()
                if daemon.tasks:
                    log(f"stopped with {len(daemon.tasks)} jobs that could not be given back; others take them over")
                    return 130
                log("stopped; the queue is consistent, `lab worker` goes on with it")
                return 130 if signals.taken > 1 else 0
        elif until_idle:
            with contextlib.suppress(OSError, LabError):
                # Twice in a row: the first look may have moved what the second one finds.
                idle_looks = idle_looks + 1 if nothing_left(daemon, inbox, notes) else 0
                if idle_looks >= 2:
                    daemon.leave()
                    log("nothing left that can run here")
                    return 0
                if idle_looks:
                    due = min(due, 0.05)
                    daemon.hint()
        if wakeup.wait(due):
            time.sleep(max(0.0, MIN_LOOK_S - (time.monotonic() - hinted)))
            hinted = time.monotonic()
            daemon.hint()
