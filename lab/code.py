"""Code snapshots: freeze the lab's repository at submit, and bring that very code to a worker's local disk."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from typing import Any

from lab.clock import Clock
from lab.errors import CorruptFile, EnvironmentProblem, LabError, NotFound
from lab.fsio import Fs, RealFs, dump_json, remove
from lab.native import NeedsBuild, add_native
from lab.paths import LabPaths
from lab.units import utc_now_text

MAX_BYTES = 256 << 20
PATCH_LIMIT_BYTES = 256 << 10
TAR_TIME = 946_684_800  # 2000-01-01: the same for all, and zip files know no time before 1980
GIT_TIMEOUT_S = 120.0


def _repository(root: str) -> str | None:
    """The work tree that holds the lab, or None."""
    here = os.path.realpath(root)
    while True:
        if os.path.lexists(os.path.join(here, ".git")):
            return here
        parent = os.path.dirname(here)
        if parent == here:
            return None
        here = parent


def _git(top: str, *args: str, env: dict[str, str] | None = None, data: bytes | None = None) -> bytes:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "-C", top, *args]
    try:
        done = subprocess.run(command, input=data, capture_output=True, env=clean | (env or {}), timeout=GIT_TIMEOUT_S)
    except FileNotFoundError as error:
        raise EnvironmentProblem("git is not installed, so the code cannot be frozen", "install git") from error
    except subprocess.TimeoutExpired as error:
        raise EnvironmentProblem(f"git {args[0]} took over {GIT_TIMEOUT_S:.0f} s", "lab doctor") from error
    if done.returncode:
        raise EnvironmentProblem(
            f"git {args[0]}: {done.stderr.decode(errors='replace').strip()[:500]}", "the code could not be frozen"
        )
    return done.stdout


def freeze(paths: LabPaths, fs: Fs, clock: Clock) -> dict[str, Any] | None:
    """Snapshot the working tree the lab is in (tracked and untracked files, not ignored ones); None without one.

    Made through a temporary index and object folder: the repository itself is only read.
    """
    top = _repository(paths.root)
    if top is None:
        return None
    prefix = os.path.relpath(os.path.realpath(paths.root), top)
    inside = "" if prefix == "." else prefix + "/"
    left_out = [f"{inside}queue/", f"{inside}results/"]
    with tempfile.TemporaryDirectory(prefix="golab-freeze-") as scratch:
        git_dir = os.path.join(top, os.fsdecode(_git(top, "rev-parse", "--git-dir")).strip())
        objects = os.path.join(top, os.fsdecode(_git(top, "rev-parse", "--git-path", "objects")).strip())
        env = {
            "GIT_INDEX_FILE": os.path.join(scratch, "index"),
            "GIT_OBJECT_DIRECTORY": os.path.join(scratch, "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects,
        }
        os.mkdir(env["GIT_OBJECT_DIRECTORY"])
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(os.path.join(git_dir, "index"), env["GIT_INDEX_FILE"])
        excludes = [f":(top,exclude){name.rstrip('/')}" for name in left_out]
        _git(top, "add", "--all", "--", ".", *excludes, env=env)
        tree = _git(top, "write-tree", env=env).decode().strip()
        try:
            commit: str | None = _git(top, "rev-parse", "HEAD^{commit}").decode().strip()
            head_tree = _git(top, "rev-parse", "HEAD^{tree}").decode().strip()
        except EnvironmentProblem:
            commit, head_tree = None, ""
        patch = ""
        if commit is not None and tree != head_tree:
            raw = _git(top, "diff", "--no-ext-diff", commit, tree, env=env)
            patch = raw[:PATCH_LIMIT_BYTES].decode(errors="replace")
            if len(raw) > PATCH_LIMIT_BYTES:
                patch += f"\n[{len(raw) - PATCH_LIMIT_BYTES} more bytes; the snapshot has all of it]\n"
        entries = [
            entry
            for entry in _entries(_git(top, "ls-files", "--stage", "-z", env=env))
            if not entry[2].startswith(tuple(left_out))
        ]
        blobs = _git(top, "cat-file", "--batch", env=env, data="".join(f"{sha}\n" for _, sha, _ in entries).encode())
    tar = _tar(entries, blobs)
    code_id = hashlib.sha256(tar).hexdigest()
    record = {"id": code_id, "commit": commit, "dirty": tree != head_tree}
    details = {"format": 1, **record, "patch": patch, "files": len(entries), "created": utc_now_text(clock.wall())}
    there = fs.listdir(paths.code)
    if f"{code_id}.tar" not in there:
        _publish(paths, fs, tar, paths.code_tar(code_id), code_id)
    if f"{code_id}.json" not in there:
        _publish(paths, fs, dump_json(details), paths.code_json(code_id), code_id)
    return record


def _entries(listing: bytes) -> list[tuple[str, str, str]]:
    """(mode, blob, path) of every file; submodules are left out."""
    entries = []
    for line in listing.split(b"\0"):
        if line:
            head, _, path = line.partition(b"\t")
            mode, sha, _ = head.decode().split()
            if mode != "160000":
                entries.append((mode, sha, os.fsdecode(path)))
    return sorted(entries, key=lambda entry: entry[2])


def _tar(entries: list[tuple[str, str, str]], blobs: bytes) -> bytes:
    """A tar that depends on names, contents and modes only."""
    if len(blobs) > MAX_BYTES:
        raise EnvironmentProblem(
            f"the code to freeze is {len(blobs) >> 20} MiB, over {MAX_BYTES >> 20}", "put large files into .gitignore"
        )
    out = io.BytesIO()
    at = 0
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for mode, _, path in entries:
            line_end = blobs.index(b"\n", at)
            size = int(blobs[at:line_end].split()[2])
            data = blobs[line_end + 1 : line_end + 1 + size]
            at = line_end + 1 + size + 1
            info = tarfile.TarInfo(path)
            info.mtime = TAR_TIME
            info.mode = 0o755 if mode == "100755" else 0o644
            if mode == "120000":
                info.type, info.linkname = tarfile.SYMTYPE, os.fsdecode(data)
                tar.addfile(info)
            else:
                info.size = size
                tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _publish(paths: LabPaths, fs: Fs, data: bytes, target: str, code_id: str) -> None:
    """Content-addressed, so whoever was there first wrote the same."""
    tmp = paths.tmp(f"code-{code_id[:16]}.{os.urandom(8).hex()}")
    fs.create(tmp, data)
    with contextlib.suppress(FileExistsError):
        fs.link(tmp, target)
    remove(fs, tmp)


def materialise(paths: LabPaths, fs: Fs, code_id: str, cache: str, *, build: bool = True) -> str:
    """The snapshot as a folder on local disk, with its compiled core. NeedsBuild if that takes a build not allowed."""
    target = os.path.join(cache, "code", code_id)
    if os.path.isdir(target):
        return target
    path = paths.code_tar(code_id)
    try:
        data = fs.read(path, MAX_BYTES * 2)
    except FileNotFoundError as error:
        raise NotFound(f"{path}: no such snapshot") from error
    if hashlib.sha256(data).hexdigest() != code_id:
        raise CorruptFile(path, "its sha256 is not its name")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    scratch = tempfile.mkdtemp(prefix=f".{code_id[:12]}-", dir=os.path.dirname(target))
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            # Ours, by its hash: links that lead outside the tree are kept as they were in it.
            tar.extractall(scratch, filter="tar")
        add_native(scratch, cache, build=build)
        os.chmod(scratch, 0o755)
        # Another daemon may have been faster; both made the same folder.
        with contextlib.suppress(OSError):
            os.rename(scratch, target)
    except tarfile.TarError as error:
        raise CorruptFile(path, f"cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if not os.path.isdir(target):
        raise EnvironmentProblem(f"cannot make {target}", "is the cache's disk full? GOLAB_CACHE names another place")
    return target


class CodeStore:
    """Snapshots for a daemon, which must not wait: a build runs in a process of its own."""

    def __init__(self, paths: LabPaths, fs: Fs, cache: str) -> None:
        self._paths, self._fs, self._cache = paths, fs, cache
        self._builds: dict[str, subprocess.Popen[str]] = {}

    def ready(self, code_id: str) -> str | None:
        """The folder, or None while it is built; LabError when that failed."""
        build = self._builds.get(code_id)
        if build is None:
            try:
                return materialise(self._paths, self._fs, code_id, self._cache, build=False)
            except NeedsBuild:
                command = [sys.executable, "-m", "lab.code", self._paths.root, code_id, self._cache]
                self._builds[code_id] = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
                )
                return None
        if build.poll() is None:
            return None
        del self._builds[code_id]
        with build:
            errors = build.stderr.read() if build.stderr else ""
        if build.returncode:
            raise EnvironmentProblem(f"the code {code_id[:12]} cannot be built here: {errors.strip()[-2000:]}")
        return materialise(self._paths, self._fs, code_id, self._cache, build=False)


def main(argv: list[str]) -> int:
    """Build one snapshot: python -m lab.code ROOT ID CACHE."""
    root, code_id, cache = argv
    try:
        materialise(LabPaths(root), RealFs(), code_id, cache)
    except (LabError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def load_record(paths: LabPaths, fs: Fs, code_id: str) -> dict[str, Any]:
    """What code/<id>.json says of a snapshot, its patch included."""
    return json.loads(fs.read(paths.code_json(code_id)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
