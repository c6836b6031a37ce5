"""Names of everything in a lab folder (docs/formats.md): the sole owner of file names. All paths are posix strings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.errors import NotFound
from lab.fsio import Fs, RealFs

CLASSES = ("cpu", "gpu1", "gpuN")
PRIORITIES = tuple("0123456789")


@dataclass(frozen=True)
class LabPaths:
    """Where things are in the lab at `root`."""

    root: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", self.root.rstrip("/") or "/")

    def _join(self, *parts: str) -> str:
        for part in parts:
            if "/" in part or part in ("", ".", "..") or "\0" in part:
                raise ValueError(f"not a file name: {part!r}")
        return "/".join((self.root.rstrip("/"), *parts))

    # the lab folder
    @property
    def cluster_toml(self) -> str:
        return self._join("cluster.toml")

    @property
    def protocols(self) -> str:
        return self._join("protocols")

    @property
    def queue(self) -> str:
        return self._join("queue")

    @property
    def results(self) -> str:
        return self._join("results")

    @property
    def index(self) -> str:
        return self._join("results", "index.md")

    # queue/: births, submits, jobs
    @property
    def queue_id(self) -> str:
        return self._join("queue", "QUEUE_ID")

    @property
    def tmp_dir(self) -> str:
        return self._join("queue", "tmp")

    def tmp(self, name: str) -> str:
        return self._join("queue", "tmp", name)

    @property
    def inbox(self) -> str:
        return self._join("queue", "inbox")

    @property
    def rejected(self) -> str:
        return self._join("queue", "rejected")

    @property
    def exps(self) -> str:
        return self._join("queue", "exps")

    def exp_dir(self, exp: str) -> str:
        return self._join("queue", "exps", exp)

    def manifest(self, exp: str) -> str:
        return self._join("queue", "exps", exp, "manifest.json")

    @property
    def jobs(self) -> str:
        return self._join("queue", "jobs")

    def job_dir(self, job: str) -> str:
        return self._join("queue", "jobs", job)

    def spec(self, job: str) -> str:
        return self._join("queue", "jobs", job, "spec.json")

    def cancel(self, job: str) -> str:
        return self._join("queue", "jobs", job, "cancel")

    @property
    def code(self) -> str:
        return self._join("queue", "code")

    def code_tar(self, code_id: str) -> str:
        return self._join("queue", "code", f"{code_id}.tar")

    def code_json(self, code_id: str) -> str:
        return self._join("queue", "code", f"{code_id}.json")

    # queue/: the state folders of tokens
    @property
    def waiting(self) -> str:
        return self._join("queue", "waiting")

    @property
    def ready_root(self) -> str:
        return self._join("queue", "ready")

    def ready(self, resource_class: str, prio: int | str) -> str:
        return self._join("queue", "ready", resource_class, str(prio))

    @property
    def delayed(self) -> str:
        return self._join("queue", "delayed")

    @property
    def held(self) -> str:
        return self._join("queue", "held")

    @property
    def failed(self) -> str:
        return self._join("queue", "failed")

    @property
    def quarantine(self) -> str:
        return self._join("queue", "quarantine")

    @property
    def cancelled(self) -> str:
        return self._join("queue", "cancelled")

    @property
    def run_root(self) -> str:
        return self._join("queue", "run")

    def run(self, exp: str) -> str:
        return self._join("queue", "run", exp)

    @property
    def done_root(self) -> str:
        return self._join("queue", "done")

    def done(self, exp: str) -> str:
        return self._join("queue", "done", exp)

    # queue/: daemons
    @property
    def workers(self) -> str:
        return self._join("queue", "workers")

    def worker_dir(self, inc: str) -> str:
        return self._join("queue", "workers", inc)

    def beat(self, inc: str) -> str:
        return self._join("queue", "workers", inc, "beat")

    def info(self, inc: str) -> str:
        return self._join("queue", "workers", inc, "info.json")

    def inbox_of(self, inc: str) -> str:
        return self._join("queue", "workers", inc, "inbox")

    @property
    def events_root(self) -> str:
        return self._join("queue", "events")

    def events_dir(self, inc: str) -> str:
        return self._join("queue", "events", inc)

    def events(self, inc: str, n: int) -> str:
        return self._join("queue", "events", inc, f"{n}.jsonl")

    # results/
    def result_exp(self, exp: str) -> str:
        return self._join("results", exp)

    def result_job(self, exp: str, job: str) -> str:
        return self._join("results", exp, job)

    def attempt(self, exp: str, job: str, epoch: int, inc: str) -> str:
        """The folder of one attempt; `epoch` is G of the run/ name."""
        return self._join("results", exp, job, f"g{epoch}.{inc}")

    def note(self, exp: str) -> str:
        return self._join("results", exp, "NOTE.md")

    def skeleton(self) -> list[str]:
        """Every folder a lab has before its first job, parents first."""
        ready = [self.ready_root, *(self._join("queue", "ready", klass) for klass in CLASSES)]
        ready += [self.ready(klass, prio) for klass in CLASSES for prio in PRIORITIES]
        states = [self.waiting, *ready, self.delayed, self.held, self.failed, self.quarantine, self.cancelled]
        rest = [self.run_root, self.done_root, self.workers, self.events_root, self.exps, self.jobs, self.code]
        return [self.queue, self.tmp_dir, self.inbox, self.rejected, *states, *rest, self.results, self.protocols]


def find_lab(
    start: str | None = None,
    explicit: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    fs: Fs | None = None,
) -> LabPaths:
    """The lab meant by `--lab` (`explicit`), else by LAB_ROOT, else the nearest parent of `start` with a QUEUE_ID."""
    fs = fs or RealFs()
    environ = os.environ if environ is None else environ
    for named, source in ((explicit, "--lab"), (environ.get("LAB_ROOT") or None, "LAB_ROOT")):
        if named is not None:
            paths = LabPaths(Path(named).absolute().as_posix())
            if _is_lab(fs, paths):
                return paths
            raise NotFound(f"{source} names {named}, which is not a lab (no queue/QUEUE_ID)", f"lab init {named}")
    here = Path(start or os.getcwd()).absolute()
    for folder in (here, *here.parents):
        paths = LabPaths(folder.as_posix())
        if _is_lab(fs, paths):
            return paths
    raise NotFound(f"no lab here: neither {here} nor a folder above it has queue/QUEUE_ID", "lab init .")


def _is_lab(fs: Fs, paths: LabPaths) -> bool:
    try:
        fs.read(paths.queue_id, 4096)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
