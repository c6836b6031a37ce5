"""The only module that touches shared files: plain calls that NFS keeps honest, and recovery when it loses a reply.

Decisions rest on listdir, on reads of existing files and on calls that change something. There is no exists() and no
stat() here: a client may answer those from a cache that is 30 seconds old.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable
from typing import Any, Protocol

from lab.errors import CorruptFile, EnvironmentProblem

READ_LIMIT_BYTES = 64 * 1024 * 1024
FORMAT = 1
_STALE_TRIES = 10  # as Dovecot; an open file that another client removed gives ESTALE


class Fs(Protocol):
    """What the lab asks of a file system. Every method raises plain OSError subclasses."""

    def listdir(self, path: str) -> list[str]:
        """Names in a folder, unordered; those starting with "." left out (silly renames, editors' files)."""

    def read(self, path: str, limit: int = READ_LIMIT_BYTES, *, follow: bool = True) -> bytes:
        """The whole of a regular file. EFBIG above `limit`, EINVAL if not regular, ELOOP for a link if not `follow`."""

    def create(self, path: str, data: bytes) -> None:
        """Make a new file with these bytes, on disk when this returns. FileExistsError if the name is taken."""

    def rename(self, src: str, dst: str) -> None:
        """Move a file; an existing `dst` would be replaced silently, so names are unique."""

    def link(self, src: str, dst: str) -> None:
        """Give a file a second name. FileExistsError if the name is taken."""

    def unlink(self, path: str) -> None: ...

    def mkdir(self, path: str) -> None: ...

    def makedirs(self, path: str) -> None:
        """Make a folder and its parents; those that are there already are fine."""

    def fsync_dir(self, path: str) -> None:
        """Put a folder's entries on disk."""

    def append(self, path: str, data: bytes) -> None:
        """Add to the end of a file that only this process writes."""

    def walk(self, path: str) -> tuple[list[str], list[str]]:
        """Folders (deepest first, `path` itself as "") and regular files below `path`, relative; links are left out."""

    def digest(self, path: str, tick: Callable[[], None] | None = None) -> tuple[int, str]:
        """Size and sha256 of a file that nobody writes any more; its bytes are on disk when this returns.

        `tick` is called between blocks, since a large file takes longer than a beat may.
        """


class RealFs:
    """The operating system's files."""

    def listdir(self, path: str) -> list[str]:
        for left in reversed(range(_STALE_TRIES)):
            try:
                return [name for name in os.listdir(path) if not name.startswith(".")]
            except OSError as error:
                if error.errno != errno.ESTALE or not left:
                    raise
        raise AssertionError("unreachable")

    def read(self, path: str, limit: int = READ_LIMIT_BYTES, *, follow: bool = True) -> bytes:
        for left in reversed(range(_STALE_TRIES)):
            try:
                return self._read_once(path, limit, follow)
            except OSError as error:
                if error.errno != errno.ESTALE or not left:
                    raise
        raise AssertionError("unreachable")

    def _read_once(self, path: str, limit: int, follow: bool) -> bytes:
        # O_NONBLOCK: opening a pipe that somebody put here must not hang the daemon.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
        fd = os.open(path, flags)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
            chunks: list[bytes] = []
            size = 0
            while chunk := os.read(fd, min(1 << 20, limit + 1 - size)):
                chunks.append(chunk)
                size += len(chunk)
                if size > limit:
                    raise OSError(errno.EFBIG, f"larger than {limit} bytes", path)
            return b"".join(chunks)
        finally:
            os.close(fd)

    def create(self, path: str, data: bytes) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            _write_and_close(fd, data)
        except OSError as error:
            # A full disk is reported at fsync or close: leave no half file behind, and report that first error.
            with contextlib.suppress(OSError):
                os.unlink(path)
            error.filename = path
            raise

    def rename(self, src: str, dst: str) -> None:
        os.rename(src, dst)

    def link(self, src: str, dst: str) -> None:
        os.link(src, dst, follow_symlinks=False)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def mkdir(self, path: str) -> None:
        os.mkdir(path)

    def makedirs(self, path: str) -> None:
        # Not os.makedirs: it asks exists() and isdir().
        try:
            os.mkdir(path)
        except FileExistsError:
            pass
        except FileNotFoundError:
            parent = os.path.dirname(path.rstrip("/"))
            if not parent or parent == path:
                raise
            self.makedirs(parent)
            with contextlib.suppress(FileExistsError):
                os.mkdir(path)

    def fsync_dir(self, path: str) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as error:
            # Some file systems cannot sync a folder and say so; anything else is a real failure.
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(fd)

    def append(self, path: str, data: bytes) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        _write_and_close(fd, data)

    def walk(self, path: str) -> tuple[list[str], list[str]]:
        folders: list[str] = []
        files: list[str] = []

        def descend(relative: str) -> None:
            with os.scandir(f"{path}/{relative}" if relative else path) as entries:
                for entry in sorted(entries, key=lambda item: item.name):
                    name = f"{relative}/{entry.name}" if relative else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        descend(name)
                    elif entry.is_file(follow_symlinks=False):
                        files.append(name)
            folders.append(relative)

        descend("")
        return folders, files

    def digest(self, path: str, tick: Callable[[], None] | None = None) -> tuple[int, str]:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            sha, size = hashlib.sha256(), 0
            while chunk := os.read(fd, 1 << 22):
                sha.update(chunk)
                size += len(chunk)
                if tick is not None:
                    tick()
            os.fsync(fd)
        finally:
            os.close(fd)
        return size, sha.hexdigest()


def _write_and_close(fd: int, data: bytes) -> None:
    """Write all, sync and close, and let the first failure of any of them be seen."""
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(fd)
        raise
    os.close(fd)


def publish(fs: Fs, tmp: str, target: str, data: bytes, nonce: str, *, keep_tmp: bool = False) -> bool:
    """Make `target` appear whole unless it is there already; True if these very bytes (nonce and all) are there now.

    `keep_tmp` leaves the first name in place when this call won: a token is that inode, moved from tmp/.
    """
    if nonce.encode() not in data:
        raise ValueError("the nonce must be in the data, or a lost reply could not be told from another's file")
    fs.create(tmp, data)
    won = True
    try:
        fs.link(tmp, target)
    except FileExistsError:
        won = fs.read(target, max(READ_LIMIT_BYTES, len(data))) == data
    except FileNotFoundError as error:
        remove(fs, tmp)
        raise EnvironmentProblem(f"cannot publish {target}: its folder is missing", "lab doctor") from error
    if not (won and keep_tmp):
        remove(fs, tmp)
    return won


def replace(fs: Fs, tmp: str, target: str, data: bytes) -> None:
    """Write `tmp` and rename it over `target`. One writer per target; the data must differ each time (a counter)."""
    fs.create(tmp, data)
    try:
        fs.rename(tmp, target)
    except FileNotFoundError:
        try:
            arrived = fs.read(target, max(READ_LIMIT_BYTES, len(data))) == data
        except FileNotFoundError as error:
            raise EnvironmentProblem(f"cannot replace {target}: its folder is missing", "lab doctor") from error
        if not arrived:
            raise


def move(fs: Fs, src_dir: str, src_name: str, dst_dir: str, dst_name: str) -> bool:
    """Rename a uniquely named file; True if it is this call that moved it, False if somebody else took it first.

    ENOENT may be a lost reply: the target folder is asked for our own name before the answer is believed. A missing
    folder is a broken lab (an unmounted share looks like that), never "somebody was faster".
    """
    src, dst = f"{src_dir}/{src_name}", f"{dst_dir}/{dst_name}"
    for _ in range(3):
        try:
            fs.rename(src, dst)
            return True
        except FileNotFoundError:
            if dst_name in _must_list(fs, dst_dir):
                return True
            if src_name not in _must_list(fs, src_dir):
                return False
            # Both folders and the source are there, so the answer was about an older view: ask again.
    raise EnvironmentProblem(f"cannot rename {src} to {dst}: ENOENT though both folders list fine", "lab doctor")


def _must_list(fs: Fs, path: str) -> list[str]:
    try:
        return fs.listdir(path)
    except FileNotFoundError as error:
        raise EnvironmentProblem(f"{path} is missing: is the share mounted?", "lab doctor") from error


def remove(fs: Fs, path: str) -> None:
    """Unlink; a file that is gone already (or whose first unlink lost its reply) is fine."""
    with contextlib.suppress(FileNotFoundError):
        fs.unlink(path)


def ensure_dir(fs: Fs, path: str) -> None:
    """Make a folder and its parents, whoever makes them first."""
    fs.makedirs(path)


def read_json(fs: Fs, path: str, limit: int = READ_LIMIT_BYTES) -> dict[str, Any]:
    """A JSON object of format 1. CorruptFile if it is something else; OSError as `Fs.read`."""
    return parse_json(fs.read(path, limit), path)


def parse_json(data: bytes, path: str) -> dict[str, Any]:
    """The JSON object in `data`; `path` is for the message."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptFile(path, f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise CorruptFile(path, f"a {type(value).__name__}, not an object")
    version = value.get("format")
    if isinstance(version, bool) or not isinstance(version, int):
        raise CorruptFile(path, 'no "format"')
    if version != FORMAT:
        raise CorruptFile(path, f"format {version}; this golab reads {FORMAT}", "update golab on this host")
    return value


def dump_json(value: dict[str, Any]) -> bytes:
    """One line of JSON in UTF-8, newline at the end; NaN and infinities are refused, since JSON has none."""
    return (json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n").encode()
