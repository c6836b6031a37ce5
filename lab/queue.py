"""The queue: tokens in folders, and the transitions of a job that runs. Every transition is one rename."""

from __future__ import annotations

import errno
import random
import uuid
from collections.abc import Callable, Iterator
from functools import lru_cache

from lab.clock import Clock
from lab.cluster import Cluster
from lab.errors import CorruptFile, EnvironmentProblem, NotFound
from lab.events import EventLog
from lab.fsio import Fs, move, read_json
from lab.job import JobSpec, JobState, read_manifest
from lab.paths import CLASSES, PRIORITIES, LabPaths
from lab.token import Token, parse

parse_token = lru_cache(maxsize=200_000)(parse)

BACKOFF_S = 10.0
BACKOFF_MAX_S = 3600.0
EXPANDED = "expanded"
# What a path gives that is no plain file of a sensible size: that file is odd, the share is fine.
ODD = (errno.EINVAL, errno.EFBIG, errno.EISDIR, errno.ENOTDIR, errno.ELOOP)
CANCEL = "cancel"


class Queue:
    """One actor's view of the queue. `who` is an incarnation, or `cli-…` for a command."""

    def __init__(
        self,
        fs: Fs,
        clock: Clock,
        paths: LabPaths,
        who: str,
        cluster: Cluster | None = None,
        *,
        rng: random.Random | None = None,
        log: Callable[[str], None] | None = None,
        backoff_s: float = BACKOFF_S,
    ) -> None:
        self.fs, self.clock, self.paths, self.who = fs, clock, paths, who
        self.cluster = cluster or Cluster()
        self.rng = rng or random.Random()
        self.log = log or (lambda text: None)
        self.backoff_s = backoff_s
        self.events = EventLog(fs, clock, paths, who)
        self.ready_folders = {(klass, prio): paths.ready(klass, prio) for klass in CLASSES for prio in PRIORITIES}
        self._single = {
            JobState.waiting: paths.waiting,
            JobState.delayed: paths.delayed,
            JobState.held: paths.held,
            JobState.failed: paths.failed,
            JobState.quarantine: paths.quarantine,
            JobState.cancelled: paths.cancelled,
        }
        self._specs: dict[str, JobSpec] = {}
        self._manifests: dict[str, dict] = {}
        self._complaints: set[str] = set()

    # reading

    def check_sentinel(self) -> None:
        """Refuse to believe an empty folder of a share that is not there, or of another lab."""
        try:
            found = read_json(self.fs, self.paths.queue_id, 4096).get("id")
        except FileNotFoundError as error:
            raise EnvironmentProblem(
                f"{self.paths.queue_id} is missing: is the share mounted?", "lab doctor"
            ) from error
        if self.cluster.queue_id is not None and found != self.cluster.queue_id:
            raise EnvironmentProblem(
                f"{self.paths.queue_id} says {found}, but cluster.toml pins {self.cluster.queue_id}",
                "another lab's folder is mounted here",
            )

    def complain(self, key: str, text: str, job: str = "", exp: str = "") -> None:
        """Log something wrong with a file once, in words and as an event."""
        if key not in self._complaints:
            self._complaints.add(key)
            self.log(text)
            self.events.add(job=job, exp=exp, cause="refused", detail=text)

    def tokens(self, folder: str) -> list[Token]:
        """The tokens in one folder, oldest first; names that are no tokens are reported once and left alone."""
        try:
            names = self.fs.listdir(folder)
        except FileNotFoundError as error:
            raise EnvironmentProblem(f"{folder} is missing: is the share mounted?", "lab doctor") from error
        except NotADirectoryError:
            self.complain(folder, f"{folder}: not a folder, left alone")
            return []
        found = []
        for name in names:
            token = parse_token(name)
            if token is None:
                self.complain(f"{folder}/{name}", f"{folder}/{name}: not a token's name, left alone")
            else:
                found.append(token)
        found.sort(key=lambda token: (token.seq, token.g))
        return found

    def spec(self, job: str) -> JobSpec:
        """The job's specification (immutable, so cached). CorruptFile, or NotFound."""
        spec = self._specs.get(job)
        if spec is None:
            path = self.paths.spec(job)
            try:
                spec = JobSpec.from_json(self.fs.read(path), path)
            except FileNotFoundError as error:
                raise NotFound(f"no job {job}", "lab job list") from error
            if spec.job != job:
                raise CorruptFile(path, f"names another job, {spec.job}")
            self._specs[job] = spec
        return spec

    def spec_or_none(self, job: str) -> JobSpec | None:
        """The specification, or None with one complaint: a damaged job must not stop the others."""
        try:
            return self.spec(job)
        except (CorruptFile, NotFound) as error:
            self.complain(self.paths.spec(job), str(error), job=job)
            return None
        except OSError as error:
            if error.errno in ODD:
                self.complain(self.paths.spec(job), f"{self.paths.spec(job)}: {error.strerror}", job=job)
                return None
            raise

    def manifest(self, exp: str) -> dict:
        """The experiment's manifest (immutable, so cached). CorruptFile, or NotFound."""
        manifest = self._manifests.get(exp)
        if manifest is None:
            path = self.paths.manifest(exp)
            try:
                manifest = read_manifest(self.fs, path, exp)
            except FileNotFoundError as error:
                raise NotFound(f"no experiment {exp}", "lab exp list") from error
            except OSError as error:
                if error.errno in ODD:
                    raise CorruptFile(path, error.strerror or "unreadable") from error
                raise
            self._manifests[exp] = manifest
        return manifest

    def exps(self) -> list[str]:
        """Every experiment folder, sorted; one whose submit never committed has no manifest."""
        return sorted(self.fs.listdir(self.paths.exps))

    def jobs_of(self, exp: str) -> list[str]:
        """The experiment's job ids, in the order of the manifest."""
        return [job["job"] for job in self.manifest(exp)["jobs"]]

    def cancel_intended(self, job: str) -> bool:
        """Whether somebody asked for this job's end; by listdir, since opening a missing name may be stale for 30 s."""
        return CANCEL in self.fs.listdir(self.paths.job_dir(job))

    def folders(self) -> Iterator[tuple[JobState, str]]:
        """Every state folder, in the order in which a job visits them."""
        paths = self.paths
        yield JobState.waiting, paths.waiting
        for folder in self.ready_folders.values():
            yield JobState.ready, folder
        yield JobState.delayed, paths.delayed
        yield JobState.held, paths.held
        for exp in self.fs.listdir(paths.run_root):
            yield JobState.running, paths.run(exp)
        for exp in self.fs.listdir(paths.done_root):
            yield JobState.done, paths.done(exp)
        yield JobState.failed, paths.failed
        yield JobState.quarantine, paths.quarantine
        yield JobState.cancelled, paths.cancelled

    def snapshot(self) -> list[tuple[JobState, Token, str]]:
        """Every token with its state and folder. One that moved meanwhile is reported where it was seen last."""
        latest: dict[str, tuple[JobState, Token, str]] = {}
        for state, folder in self.folders():
            for token in self.tokens(folder):
                seen = latest.get(token.job)
                if seen is None or seen[1].g < token.g:
                    latest[token.job] = (state, token, folder)
        return sorted(latest.values(), key=lambda item: item[1].seq)

    def find(self, job: str) -> tuple[JobState, Token, str]:
        """Where one job is now; NotFound if it has no token."""
        spec = self.spec(job)
        for _ in range(3):  # a token that moves against the order of the scan can be missed once
            best: tuple[JobState, Token, str] | None = None
            for state, folder in self._folders_of(spec):
                for token in self.tokens(folder):
                    if token.job == job and (best is None or token.g > best[1].g):
                        best = (state, token, folder)
            if best is not None:
                return best
        raise NotFound(f"job {job} has no token yet", "a running worker will finish its submit")

    def _folders_of(self, spec: JobSpec) -> Iterator[tuple[JobState, str]]:
        paths = self.paths
        yield JobState.waiting, paths.waiting
        yield JobState.ready, paths.ready(spec.resource_class, spec.prio)
        yield JobState.delayed, paths.delayed
        yield JobState.held, paths.held
        yield JobState.running, paths.run(spec.exp)
        yield JobState.done, paths.done(spec.exp)
        yield JobState.failed, paths.failed
        yield JobState.quarantine, paths.quarantine
        yield JobState.cancelled, paths.cancelled

    # transitions

    def tmp_name(self) -> str:
        """A fresh name in tmp/; who made it can be read off."""
        return f"{self.who}.{uuid.UUID(int=self.rng.getrandbits(128)).hex}"

    def folder(self, state: JobState, spec: JobSpec) -> str:
        """The folder for that job in that state."""
        if state is JobState.ready:
            return self.ready_folders[spec.resource_class, str(spec.prio)]
        if state is JobState.running:
            return self.paths.run(spec.exp)
        if state is JobState.done:
            return self.paths.done(spec.exp)
        return self.folder_of(state)

    def folder_of(self, state: JobState) -> str:
        """The folder of a state that has only one."""
        return self._single[state]

    def go(
        self, spec: JobSpec, source: JobState, old: Token, to: JobState, new: Token, cause: str, detail: str = ""
    ) -> bool:
        """Rename one token; True if this call moved it. The only place where a token changes."""
        won = move(self.fs, self.folder(source, spec), old.name, self.folder(to, spec), new.name)
        if won:
            self.told(spec, source, to, new, cause, detail)
        return won

    def told(self, spec: JobSpec, source: JobState, to: JobState, new: Token, cause: str, detail: str = "") -> None:
        """Remember a transition in the event log."""
        self.events.add(
            job=spec.job, exp=spec.exp, source=source.word, to=to.word, token=new.name, cause=cause, detail=detail
        )

    def claim(self, spec: JobSpec, token: Token) -> Token | None:
        """Take a ready job; the run/ token, or None if another was faster."""
        mine = token.next(inc=self.who, t=None)
        return mine if self.go(spec, JobState.ready, token, JobState.running, mine, "claimed") else None

    def complete(self, spec: JobSpec, token: Token) -> bool:
        """Accept the attempt's result, which is on disk already. False: fenced, the result is an orphan."""
        if not self.go(spec, JobState.running, token, JobState.done, token.next(), "exit 0"):
            return False
        try:
            self.fs.fsync_dir(self.paths.done(spec.exp))
        except OSError as error:  # accepted all the same: others can see it already
            self.log(f"{spec.job}: its place in done/ may not survive a power cut: {error}")
        return True

    def fail(
        self, spec: JobSpec, token: Token, cause: str, detail: str = "", *, final: bool = False
    ) -> JobState | None:
        """The job's own failure: delayed, or failed/ at its limit or if `final`. The new state, or None if fenced."""
        if self.cancel_intended(spec.job):
            return self.cancel_running(spec, token)
        failures = token.f + 1
        if final or failures >= spec.max_failures:
            to, new = JobState.failed, token.next(f=failures)
        else:
            wait = min(BACKOFF_MAX_S, self.backoff_s * 2 ** (failures - 1))
            to, new = JobState.delayed, token.next(f=failures, t=int(self.clock.wall() + wait), inc=None)
        return to if self.go(spec, JobState.running, token, to, new, cause, detail) else None

    def give_back(self, spec: JobSpec, token: Token, cause: str, *, delay_s: float = 0.0) -> JobState | None:
        """Return a job without counting anything against it (preempted, drained, not startable here)."""
        if self.cancel_intended(spec.job):
            return self.cancel_running(spec, token)
        if delay_s > 0:
            to, new = JobState.delayed, token.next(inc=None, t=int(self.clock.wall() + delay_s))
        else:
            to, new = JobState.ready, token.next(inc=None)
        return to if self.go(spec, JobState.running, token, to, new, cause) else None

    def lose(self, spec: JobSpec, token: Token, cause: str) -> JobState | None:
        """Take a job from a daemon that is gone: ready again, or quarantine/ at its limit of losses."""
        if self.cancel_intended(spec.job):
            return self.cancel_running(spec, token)
        losses = token.l + 1
        if losses >= spec.max_losses:
            to, new = JobState.quarantine, token.next(l=losses)
        else:
            to, new = JobState.ready, token.next(l=losses, inc=None)
        return to if self.go(spec, JobState.running, token, to, new, cause) else None

    def cancel_running(self, spec: JobSpec, token: Token) -> JobState | None:
        """Honour a cancel intent for a token in run/."""
        won = self.go(spec, JobState.running, token, JobState.cancelled, token.next(), "cancelled")
        return JobState.cancelled if won else None

    def wake(self, token: Token) -> bool:
        """A delayed job whose time has come is ready again."""
        spec = self.spec_or_none(token.job)
        return spec is not None and self.go(
            spec, JobState.delayed, token, JobState.ready, token.next(t=None), "delay is over"
        )


def actor_name(rng: random.Random | None = None) -> str:
    """The name under which a command acts: `cli-` and random bits."""
    return f"cli-{(rng or random.SystemRandom()).getrandbits(64):016x}"
