"""Find what is wrong with a lab or this machine, before it costs a night: each check is one line with what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, util

from lab.clock import Clock
from lab.cluster import load_cluster
from lab.errors import LabError
from lab.fsio import Fs, read_json
from lab.job import read_manifest
from lab.paths import LabPaths
from lab.status import take_snapshot
from lab.view import expire_seconds, read_view

__all__ = ["Check", "examine"]

OK, WARN, BAD = "ok", "warning", "trouble"
LOW_DISK_BYTES, NO_DISK_BYTES = 5 << 30, 500 << 20
MAX_SKEW_S = 60.0
NETWORK_TYPES = ("nfs", "nfs4")
OTHER_SHARED_TYPES = ("cifs", "smb3", "9p", "fuse.sshfs", "vboxsf", "virtiofs")


@dataclass(frozen=True, slots=True)
class Check:
    """One check's outcome."""

    name: str
    state: str  # ok, warning, trouble
    text: str
    hint: str = ""


def examine(fs: Fs, clock: Clock, paths: LabPaths | None, lab_error: LabError | None = None) -> list[Check]:
    """Run every check; those about the lab need one."""
    checks = [*_python(), _core(), _git()]
    if paths is None:
        hint = (lab_error.hint if lab_error else "") or "lab init"
        return [*checks, Check("lab", BAD, str(lab_error or "no lab here"), hint)]
    checks.append(Check("lab", OK, paths.root))
    for check in (_queue_id, _folders, _writable, _mount, _disk, _workers, _clocks, _manifests):
        try:
            checks += check(fs, clock, paths)
        except LabError as error:
            checks.append(Check(check.__name__.strip("_"), BAD, str(error), error.hint or ""))
        except OSError as error:
            checks.append(
                Check(check.__name__.strip("_"), BAD, f"{error.filename}: {error.strerror}", "is it mounted?")
            )
    return checks


def _python() -> Iterator[Check]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    state = OK if sys.version_info >= (3, 11) else BAD
    yield Check("python", state, f"{version} at {sys.executable}", "" if state == OK else "golab needs 3.11 or newer")
    missing = []
    found = []
    for package in ("golab", "numpy", "torch", "pydantic", "rich", "matplotlib", "watchdog", "PyYAML"):
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            missing.append(package)
    if missing:
        yield Check("packages", BAD, f"missing: {', '.join(missing)}", "pip install -e . (or make setup)")
    else:
        yield Check("packages", OK, ", ".join(found))


def _core() -> Check:
    """The compiled core, tried in another process: a broken one may crash, and torch is not to be imported here."""
    if util.find_spec("gocore") is None:
        return Check("core", WARN, "gocore is not installed: only `run:` steps work here", "pip install -e .")
    command = [sys.executable, "-c", "import gocore._core as c; print(c.__file__)"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("core", BAD, f"the compiled core cannot be tried: {error}")
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        return Check("core", BAD, f"the compiled core does not load: {last}", "make core")
    return Check("core", OK, done.stdout.strip())


def _git() -> Check:
    if shutil.which("git") is None:
        return Check("git", WARN, "git is not installed: submits cannot freeze their code", "install git")
    done = subprocess.run(["git", "--version"], capture_output=True, text=True, timeout=30, check=False)
    return Check("git", OK, done.stdout.strip())


def _queue_id(fs: Fs, clock: Clock, paths: LabPaths) -> Iterator[Check]:
    found = read_json(fs, paths.queue_id, 4096).get("id")
    pinned = load_cluster(paths.cluster_toml).queue_id
    if pinned is None:
        yield Check("queue id", WARN, f"{found}, not pinned", f'put queue_id = "{found}" into cluster.toml')
    elif pinned != found:
        yield Check("queue id", BAD, f"QUEUE_ID is {found}, cluster.toml pins {pinned}", "is the right share mounted?")
    else:
        yield Check("queue id", OK, f"{found}, as pinned in cluster.toml")


def _folders(fs: Fs, clock: Clock, paths: LabPaths) -> Iterator[Check]:
    missing = []
    for folder in paths.skeleton():
        try:
            fs.listdir(folder)
        except FileNotFoundError:
            missing.append(os.path.relpath(folder, paths.root))
    if missing:
        yield Check("folders", BAD, f"missing: {', '.join(missing[:6])}", "lab init")
    else:
        yield Check("folders", OK, "all there")


def _writable(fs: Fs, clock: Clock, paths: LabPaths) -> Iterator[Check]:
    """Do for real what the queue rests on: create, link, rename, remove."""
    for folder in (paths.tmp_dir, paths.results):
        base = f"{folder}/.doctor-{uuid.uuid4().hex}"
        try:
            fs.create(base, b"doctor\n")
            fs.link(base, base + "-link")
            fs.rename(base + "-link", base + "-moved")
            fs.unlink(base + "-moved")
            fs.unlink(base)
        except OSError as error:
            yield Check("writable", BAD, f"{folder}: {error.strerror}", "check the owner, the mount and the space")
            return
    yield Check("writable", OK, "create, link, rename and remove work in queue/ and results/")


def _mount(fs: Fs, clock: Clock, paths: LabPaths) -> Iterator[Check]:
    try:
        table = fs.read("/proc/mounts", 4 << 20).decode(errors="replace")
    except OSError:
        yield Check("file system", WARN, "unknown (no /proc/mounts)")
        return
    kind, options, point = mount_of(os.path.realpath(paths.queue), table)
    text = f"{kind} at {point}"
    if kind in OTHER_SHARED_TYPES:
        yield Check("file system", WARN, text, "tested on local disks and NFS only: rename and link must be atomic")
        return
    if kind not in NETWORK_TYPES:
        yield Check("file system", OK, text)
        return
    odd = odd_nfs_options(kind, options)
    if odd:
        yield Check("file system", WARN, f"{text}: {'; '.join(odd)}", "docs/operations.md tells the mount options")
    else:
        yield Check("file system", OK, f"{text} ({', '.join(o for o in options if o.startswith('vers='))}, hard)")


def mount_of(path: str, table: str) -> tuple[str, list[str], str]:
    """(type, options, mount point) of the last and deepest mount that holds `path`."""
    best = ("unknown", [""], "/")
    for line in table.splitlines():
        fields = line.split()
        if len(fields) < 4:
            continue
        point = fields[1].replace("\\040", " ")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[2]):
            best = (fields[2], fields[3].split(","), point)
    return best


def odd_nfs_options(kind: str, options: list[str]) -> list[str]:
    """Say which NFS mount options are dangerous for a queue."""
    odd = []
    if "soft" in options or "softerr" in options:
        odd.append("`soft` turns an outage into I/O errors in the middle of a write; use `hard`")
    if "nolock" in options or "local_lock=all" in options:
        odd.append("locks are local (golab takes none on the share, but other programs may)")
    if "nocto" in options:
        odd.append("`nocto` gives up close-to-open consistency")
    if "lookupcache=all" in options:
        odd.append("`lookupcache=all` remembers absent files")
    if kind == "nfs" and not any(option.startswith("vers=4") for option in options):
        odd.append("NFS 3: a rename's lost reply is recovered, but version 4 is the tested one")
    return odd


def _disk(fs: Fs, clock: Clock, paths: LabPaths) -> Iterator[Check]:
    for folder in dict.fromkeys((paths.queue, paths.results)):
        usage = os.statvfs(folder)
        free, inodes = usage.f_bavail * usage.f_frsize, usage.f_favail
        text = f"{free / 2**30:.1f} GiB free at {folder}"
        if free < NO_DISK_BYTES or 0 < inodes < 1000:
            yield Check(
                "disk", BAD, text + (f", {inodes} inodes" if inodes < 1000 else ""), "make room before jobs fail"
            )
        elif free < LOW_DISK_BYTES:
            yield Check("disk", WARN, text, "make room soon")
        else:
            yield Check("disk", OK, text)


def _workers(fs: Fs, clock: Clock, paths: LabPaths) -> Iterator[Check]:
    snapshot = take_snapshot(fs, paths, clock)
    up = [worker for worker in snapshot.workers if worker.state in ("up", "late", "draining")]
    waiting = sum(snapshot.counts.get(word, 0) for word in ("ready", "delayed", "waiting", "running"))
    text = f"{len(up)} up, {len(snapshot.workers) - len(up)} stale; {waiting} jobs to do"
    if not up and waiting:
        yield Check("workers", WARN, text, "lab worker starts one")
    else:
        yield Check("workers", OK, text)
    lost = [row.job for row in snapshot.running if row.worker_state in ("stale", "gone")]
    if lost:
        yield Check(
            "lost jobs", WARN, f"{len(lost)} running jobs without a live worker: {', '.join(lost[:3])}",
            "any live worker takes them over",
        )  # fmt: skip


def _clocks(fs: Fs, clock: Clock, paths: LabPaths) -> Iterator[Check]:
    """This host's clock against the server's: a fresh file's time is the server's."""
    path = f"{paths.tmp_dir}/.doctor-{uuid.uuid4().hex}"
    fs.create(path, b"")
    try:
        skew = os.stat(path).st_mtime - clock.wall()
    finally:
        fs.unlink(path)
    if abs(skew) > MAX_SKEW_S:
        yield Check("clock", WARN, f"{skew:+.0f} s from the file server", "run NTP: submits are ordered by it")
    else:
        yield Check("clock", OK, f"{skew:+.1f} s from the file server")


def _manifests(fs: Fs, clock: Clock, paths: LabPaths) -> Iterator[Check]:
    """Read every manifest; name jobs whose token is nowhere."""
    damaged = []
    for exp in fs.listdir(paths.exps):
        try:
            read_manifest(fs, paths.manifest(exp), exp)
        except LabError as error:
            damaged.append(str(error))
        except FileNotFoundError:
            continue  # a submit that never committed
    view, _, manifests = read_view(fs, paths, clock)
    lost = [job for job in view.specs if job not in view.states]
    if damaged:
        yield Check("manifests", BAD, "; ".join(damaged[:3]), "restore them from a backup")
    elif lost:
        yield Check("tokens", WARN, f"{len(lost)} jobs have no token yet: {', '.join(lost[:3])}",
                    f"a worker places them; after {expire_seconds(fs, paths):.0f} s it is trouble")  # fmt: skip
    else:
        yield Check("manifests", OK, f"{len(manifests)} experiments, {len(view.states)} jobs")
