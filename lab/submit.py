"""Submitting: from a protocol's text to an experiment in the queue, by command or through the inbox folder."""

from __future__ import annotations

import errno
import getpass
import os
from collections.abc import Mapping
from typing import Any

from lab import births
from lab.clock import Clock
from lab.cluster import Cluster, load_cluster
from lab.errors import Interrupted, LabError, UsageError
from lab.experiment import expand, new_exp_id
from lab.fsio import Fs, RealFs, move
from lab.paths import LabPaths
from lab.protocol_yaml import MAX_BYTES, Loaded, load_protocol, task_names
from lab.queue import Queue, actor_name
from lab.release import Releaser
from lab.tasks import TaskRegistry, default_registry

EQUAL_READS_S = 2.0  # a file in the inbox is taken when two reads this far apart are equal
LEFT_OVER_S = 30.0  # another daemon's half-accepted file is finished after this long
SUFFIXES = (".yaml", ".yml")
MARK = ".inbox."
MANIFEST = "manifest.json"


def user_name() -> str:
    """Who submits, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def build_manifest(
    loaded: Loaded,
    exp: str,
    clock: Clock,
    *,
    registry: TaskRegistry,
    cluster: Cluster,
    code: Mapping[str, Any] | None,
    submitted_by: str,
    prio: int = 5,
) -> dict[str, Any]:
    """The manifest of one instance of a checked protocol."""
    return expand(
        loaded.protocol,
        loaded.text,
        exp,
        code,
        int(clock.wall() * 1000),
        registry=registry,
        submitted_by=submitted_by,
        grace_s=cluster.lease.grace_s,
        max_losses=cluster.limits.max_losses,
        default_retries=cluster.limits.default_retries,
        prio=prio,
    )


def exp_id_for(loaded: Loaded, path: str) -> str:
    """A fresh instance id from the protocol's own name or its file's."""
    return new_exp_id(loaded.protocol.name or os.path.splitext(os.path.basename(path))[0])


def dry_run(path: str, clock: Clock, cluster: Cluster, registry: TaskRegistry | None = None) -> dict[str, Any]:
    """The manifest that a submit would publish; nothing is written."""
    registry = registry or default_registry()
    loaded = load_protocol(path, registry=registry)
    exp = exp_id_for(loaded, path)
    return build_manifest(loaded, exp, clock, registry=registry, cluster=cluster, code=None, submitted_by=user_name())


def submit(
    paths: LabPaths,
    path: str,
    clock: Clock,
    *,
    fs: Fs | None = None,
    registry: TaskRegistry | None = None,
    freeze: bool = True,
    once: bool = False,
    prio: int = 5,
    queue: Queue | None = None,
) -> str:
    """Put a protocol file into the queue, ready to start, and return the experiment's id.

    ProtocolErrors: nothing is queued. After the manifest's publication the experiment exists whatever happens here:
    any worker finishes what this command leaves undone.
    """
    fs = fs or RealFs()
    registry = registry or default_registry()
    loaded = load_protocol(path, registry=registry)
    if queue is None:
        queue = Queue(fs, clock, paths, actor_name(), load_cluster(paths.cluster_toml, fs))
    queue.check_sentinel()
    code = None
    if freeze:
        from lab.code import freeze as freeze_code

        code = freeze_code(paths, fs, clock)
    exp = exp_id_for(loaded, path)
    manifest = build_manifest(
        loaded,
        exp,
        clock,
        registry=registry,
        cluster=queue.cluster,
        code=code,
        submitted_by=user_name(),
        prio=prio,
    )
    if once:
        _refuse_known(queue, manifest["protocol_sha256"])
    try:
        if not births.publish_experiment(queue, manifest):
            raise LabError(f"the id {exp} is taken", "submit again: a new one is drawn")
        births.expand(queue, exp)
        Releaser(queue).release()
        queue.events.flush()
    except KeyboardInterrupt:
        if not _published(queue, exp):
            raise
        raise Interrupted(
            f"interrupted, but {exp} is submitted and a worker will go on with it", f"lab exp cancel {exp}"
        ) from None
    except OSError as error:
        if not _published(queue, exp):
            raise
        queue.log(f"{exp} is submitted; a worker will finish what this command could not: {error}")
    return exp


def _published(queue: Queue, exp: str) -> bool:
    """Whether the manifest is there, which is the commit of a submit."""
    try:
        return MANIFEST in queue.fs.listdir(queue.paths.exp_dir(exp))
    except FileNotFoundError:
        return False


def _refuse_known(queue: Queue, protocol_sha256: str) -> None:
    for exp in queue.exps():
        try:
            known = queue.manifest(exp).get("protocol_sha256")
        except LabError:
            continue
        if known == protocol_sha256:
            raise UsageError(f"this very protocol was submitted before, as {exp}", "leave out --once to run it again")


class Inbox:
    """Takes protocol files that somebody puts into queue/inbox/ by hand. One of a daemon's chores."""

    def __init__(self, queue: Queue, registry: TaskRegistry | None = None, *, freeze: bool = True) -> None:
        self._queue, self._registry, self._freeze = queue, registry, freeze
        self._seen: dict[str, tuple[bytes, float]] = {}
        self._left: dict[str, float] = {}
        self.pending = False

    def ended(self, exp: str) -> None:
        """Nothing: the inbox does not care."""

    def look(self) -> bool:
        """Take what is ready to be taken; True while something waits here that this daemon will take."""
        queue = self._queue
        now = queue.clock.monotonic()
        names = {
            name for name in queue.fs.listdir(queue.paths.inbox) if name.endswith(SUFFIXES) and not name.endswith("~")
        }
        for name in set(self._seen) - names:
            del self._seen[name]
        self.pending = False
        for name in sorted(names):
            try:
                self._consider(name, now)
            except FileNotFoundError:
                continue  # another daemon took it
        self._finish_left_over(now)
        return self.pending

    def _consider(self, name: str, now: float) -> None:
        queue = self._queue
        path = f"{queue.paths.inbox}/{name}"
        try:
            data = queue.fs.read(path, MAX_BYTES, follow=False)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EINVAL, errno.EISDIR, errno.EFBIG, errno.ENXIO):
                self._reject(queue.paths.inbox, name, new_exp_id(_stem(name)), f"{name}: {error.strerror}")
            else:
                raise
            return
        strange = {task for task in task_names(data) or () if task.partition(".")[0] not in self._tasks().instruments}
        if strange:
            queue.complain(path, f"{path}: left for a worker that has {', '.join(sorted(strange))}")
            return
        self.pending = True
        seen = self._seen.get(name)
        if seen is None or seen[0] != data:
            self._seen[name] = (data, now)
        elif now - seen[1] >= EQUAL_READS_S:
            exp = new_exp_id(_stem(name))
            tmp = f"{queue.who}{MARK}{exp}.yaml"
            if move(queue.fs, queue.paths.inbox, name, queue.paths.tmp_dir, tmp):
                self._accept(tmp, exp)

    def _tasks(self) -> TaskRegistry:
        self._registry = self._registry or default_registry()
        return self._registry

    def _finish_left_over(self, now: float) -> None:
        """A daemon may die between taking a file and publishing it; its new name says which experiment it becomes."""
        queue = self._queue
        names = {name for name in queue.fs.listdir(queue.paths.tmp_dir) if MARK in name and name.endswith(".yaml")}
        for name in set(self._left) - names:
            del self._left[name]
        for name in sorted(names):
            self.pending = True
            since = self._left.setdefault(name, now)
            if now - since >= (EQUAL_READS_S if name.startswith(queue.who + MARK) else LEFT_OVER_S):
                self._accept(name, name.partition(MARK)[2].removesuffix(".yaml"))

    def _accept(self, tmp: str, exp: str) -> None:
        queue = self._queue
        path = queue.paths.tmp(tmp)
        shown = f"{exp.rpartition('-')[0]}.yaml"
        try:
            text = queue.fs.read(path, MAX_BYTES, follow=False)
        except FileNotFoundError:
            return  # another daemon finished it
        try:
            manifest = self._manifest(load_protocol(shown, text=text, registry=self._tasks(), fs=queue.fs), exp)
        except LabError as error:  # the protocol's mistakes, or code that cannot be frozen: said beside the file
            self._reject(queue.paths.tmp_dir, tmp, exp, "\n".join(filter(None, (str(error), error.hint))))
            return
        # If another daemon published this id meanwhile, it did so from the same file.
        if births.publish_experiment(queue, manifest):
            queue.log(f"{exp}: taken from the inbox, {len(manifest['jobs'])} jobs")
        queue.fs.unlink(path)
        births.expand(queue, exp)

    def _manifest(self, loaded: Loaded, exp: str) -> dict[str, Any]:
        queue = self._queue
        code = None
        if self._freeze:
            from lab.code import freeze

            code = freeze(queue.paths, queue.fs, queue.clock)
        return build_manifest(
            loaded,
            exp,
            queue.clock,
            registry=self._tasks(),
            cluster=queue.cluster,
            code=code,
            submitted_by="inbox",
        )

    def _reject(self, folder: str, name: str, exp: str, errors: str) -> None:
        """Keep the file under rejected/ with its errors beside it."""
        queue = self._queue
        queue.fs.create(f"{queue.paths.rejected}/{exp}.errors.txt", (errors + "\n").encode())
        if move(queue.fs, folder, name, queue.paths.rejected, f"{exp}.yaml"):
            queue.log(f"inbox: rejected, see {queue.paths.rejected}/{exp}.errors.txt")
            queue.events.add(exp=exp, cause="rejected", detail=errors[:2000])


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]
