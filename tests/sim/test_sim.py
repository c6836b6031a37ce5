"""Thousands of seeds of the simulation hold every invariant, and broken variants of the protocol are caught by it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import labsim
import pytest
from memfs import MemFs

import lab.births
import lab.queue
from lab.daemon import Daemon
from lab.job import JobSpec, JobState
from lab.queue import Queue
from lab.token import Token

SEEDS = int(os.environ.get("LAB_SIM_SEEDS", "2000"))
BLOCK = 50
# Every kind that the simulator can inject; a run in which one never happened proves nothing about it.
KINDS = {
    "pause", "long stall", "stopped", "power cut", "torn file", "EIO", "ENOSPC", "ESTALE",
    "lost rename", "lost link", "lost unlink", "lost mkdir",
    "crash before rename", "crash after rename", "crash before link", "crash after link", "crash before create",
    "crash after create", "EIO after rename", "EIO after link", "EIO after create",
}  # fmt: skip


def run_block(first: int) -> tuple[Counter[str], list[str]]:
    """Run some seeds; the faults seen, and what went wrong in which seed."""
    seen: Counter[str] = Counter()
    wrong = []
    for seed in range(first, first + BLOCK):
        try:
            seen += labsim.World(seed).run()
        except Exception as error:
            wrong.append(f"seed {seed}: {type(error).__name__}: {error}")
    return seen, wrong


def test_thousands_of_seeds_hold_every_invariant() -> None:
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=min(8, os.cpu_count() or 1), mp_context=context) as pool:
        for block_seen, block_wrong in pool.map(run_block, range(0, SEEDS, BLOCK)):
            seen += block_seen
            wrong += block_wrong
    assert not wrong, f"{len(wrong)} of {SEEDS} seeds; python tests/sim/labsim.py SEED replays: " + "; ".join(wrong[:3])
    assert set(seen) >= KINDS, f"never happened: {sorted(KINDS - set(seen))}"


def test_a_seed_replays_exactly() -> None:
    worlds = [labsim.World(7, tracing=True) for _ in range(2)]
    assert worlds[0].run() == worlds[1].run()
    assert worlds[0].trace == worlds[1].trace
    assert worlds[0].disk.renames == worlds[1].disk.renames


# Broken variants


def move_without_looking(fs: Any, src_dir: str, src: str, dst_dir: str, dst: str) -> bool:
    """Believes ENOENT, which may have been a lost reply."""
    try:
        fs.rename(f"{src_dir}/{src}", f"{dst_dir}/{dst}")
        return True
    except FileNotFoundError:
        return False


def complete_after_a_check(self: Queue, spec: JobSpec, token: Token) -> bool:
    """Checks that the token is there, and then writes done/ by other means than a rename of that very name."""
    if token.name not in self.fs.listdir(self.paths.run(spec.exp)):
        return False
    self.fs.link(self.paths.spec(spec.job), f"{self.paths.done(spec.exp)}/{token.next().name}")
    with contextlib.suppress(FileNotFoundError):
        self.fs.unlink(f"{self.paths.run(spec.exp)}/{token.name}")
    return True


def lose_by_unlink(self: Queue, spec: JobSpec, token: Token, cause: str) -> JobState | None:
    """Breaks a dead daemon's claim by removing it, and makes a new token."""
    with contextlib.suppress(FileNotFoundError):
        self.fs.unlink(f"{self.paths.run(spec.exp)}/{token.name}")
    fresh = token.next(l=token.l + 1, inc=None)
    with contextlib.suppress(FileExistsError):
        self.fs.link(self.paths.spec(spec.job), f"{self.folder(JobState.ready, spec)}/{fresh.name}")
    return JobState.ready


def birth_by_link(queue: Queue, spec: JobSpec) -> bool:
    """Makes a token from the published spec instead of moving the one inode there is."""
    fs, paths = queue.fs, queue.paths
    fs.makedirs(paths.job_dir(spec.job))
    tmp = queue.tmp_name()
    fs.create(paths.tmp(tmp), JobSpec(**{**spec.__dict__, "tmp": tmp, "nonce": tmp}).to_json())
    with contextlib.suppress(FileExistsError):
        fs.link(paths.tmp(tmp), paths.spec(spec.job))
    with contextlib.suppress(FileNotFoundError):
        fs.rename(paths.tmp(tmp), f"{paths.waiting}/{Token(spec.seq, spec.job).name}")
    return True


def start_before_the_beat(self: Daemon) -> None:
    """Starts what was claimed without a beat that lists it."""
    for task in list(self.tasks.values()):
        if task.launch is None and task.exit is None and not task.stop:
            self._start(task)


def digest_without_sync(self: MemFs, path: str, tick: Any = None) -> tuple[int, str]:
    """Hashes what is in memory; it may not be on disk when the power goes."""
    import hashlib

    data = self.disk.file(path).data
    return len(data), hashlib.sha256(data).hexdigest()


MUTANTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "no ENOENT check": lambda patch: patch.setattr(lab.queue, "move", move_without_looking),
    "check, then commit": lambda patch: patch.setattr(Queue, "complete", complete_after_a_check),
    "break by unlink": lambda patch: patch.setattr(Queue, "lose", lose_by_unlink),
    "tokens made by link": lambda patch: patch.setattr(lab.births, "_birth", birth_by_link),
    "start before the beat": lambda patch: patch.setattr(Daemon, "_start_all", start_before_the_beat),
    "hash without fsync": lambda patch: patch.setattr(MemFs, "digest", digest_without_sync),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_protocol_is_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[mutant](monkeypatch)
    for seed in range(400):
        try:
            labsim.World(seed).run()
        except labsim.Violation:
            return
    pytest.fail(f"400 seeds did not notice: {mutant}")
