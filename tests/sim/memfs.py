"""A shared file system in memory, seen by several clients, each of which can be hit by faults at every call."""

from __future__ import annotations

import contextlib
import errno
import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field


class Crash(BaseException):
    """The client died in the middle of a call: nothing in the program may catch it."""


@dataclass
class Inode:
    """A file's bytes. `owner` wrote them without fsync and may still lose them."""

    data: bytes
    owner: str | None = None


@dataclass
class Disk:
    """The server's truth, and the history of what really happened to it."""

    dirs: dict[str, dict[str, Inode | None]] = field(default_factory=lambda: {"": {}})
    renames: list[tuple[str, str, str, str]] = field(default_factory=list)  # client, source, target, how the call ended

    def mkdir(self, path: str) -> None:
        parent, _, name = path.rpartition("/")
        if parent not in self.dirs:
            raise FileNotFoundError(errno.ENOENT, "no parent", path)
        if name in self.dirs[parent]:
            raise FileExistsError(errno.EEXIST, "exists", path)
        self.dirs[parent][name] = None
        self.dirs[path] = {}

    def makedirs(self, path: str) -> None:
        if path not in self.dirs:
            self.makedirs(path.rpartition("/")[0])
            self.mkdir(path)

    def folder(self, path: str) -> dict[str, Inode | None]:
        try:
            return self.dirs[path]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such folder", path) from None

    def file(self, path: str) -> Inode:
        parent, _, name = path.rpartition("/")
        try:
            inode = self.dirs[parent][name]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such file", path) from None
        if inode is None:
            raise IsADirectoryError(errno.EISDIR, "a folder", path)
        return inode

    def power_cut(self, client: str) -> int:
        """What the client had not synced is torn."""
        torn = 0
        for entries in self.dirs.values():
            for inode in entries.values():
                if inode is not None and inode.owner == client:
                    inode.data, inode.owner = inode.data[: len(inode.data) // 2], None
                    torn += 1
        return torn


@dataclass
class Faults:
    """Chances per call, and how often each kind has really happened."""

    lost: float = 0.0
    crash: float = 0.0
    error: float = 0.0
    pause: float = 0.0
    moving: float = 0.02  # a pause before a call that moves a name
    seen: Counter[str] = field(default_factory=Counter)


class MemFs:
    """One client's view. `random` gives numbers in [0, 1); `pause` lets the others go on in the middle of a call."""

    def __init__(
        self,
        disk: Disk,
        client: str,
        faults: Faults | None = None,
        random: Callable[[], float] | None = None,
        pause: Callable[[str], None] | None = None,
    ) -> None:
        self.disk, self.client = disk, client
        self.faults = faults or Faults()
        self.random = random or (lambda: 1.0)
        self.pause = pause or (lambda client: None)
        self.dead = False

    # faults

    def _before(self, op: str, path: str, *, writes: bool = False) -> None:
        if self.dead:
            raise Crash
        faults, dice = self.faults, self.random()
        # Most races are decided at the calls that move a name.
        chance = faults.moving if op in ("rename", "unlink") else faults.pause
        if dice < chance:
            faults.seen["pause"] += 1
            self.pause(self.client)
            if self.dead:
                raise Crash
            return
        dice -= chance
        if dice < faults.crash:
            faults.seen[f"crash before {op}"] += 1
            self.die()
        dice -= faults.crash
        if dice < faults.error:
            kinds = [errno.EIO, errno.ESTALE, errno.ENOSPC] if writes else [errno.EIO, errno.ESTALE]
            number = kinds[int(self.random() * len(kinds))]
            faults.seen[errno.errorcode[number]] += 1
            raise OSError(number, errno.errorcode[number], path)

    def _after(self, op: str, lost: OSError | None) -> str:
        """The effect has happened; the client may die now, or hear something else."""
        faults, dice = self.faults, self.random()
        if lost is not None and dice < faults.lost:
            faults.seen[f"lost {op}"] += 1
            return "lost"
        dice = self.random()
        if dice < faults.crash:
            return "crash"
        dice -= faults.crash
        return "error" if dice < faults.error / 2 else "ok"

    def _end(self, op: str, how: str, lost: OSError | None, path: str) -> None:
        if how == "lost" and lost is not None:
            raise lost
        if how == "crash":
            self.faults.seen[f"crash after {op}"] += 1
            self.die()
        if how == "error":
            self.faults.seen[f"EIO after {op}"] += 1
            raise OSError(errno.EIO, "EIO after the effect", path)

    def die(self) -> None:
        self.dead = True
        raise Crash

    # Fs

    def listdir(self, path: str) -> list[str]:
        self._before("listdir", path)
        return [name for name in self.disk.folder(path) if name[0] != "."]

    def read(self, path: str, limit: int = 1 << 26, *, follow: bool = True) -> bytes:
        self._before("read", path)
        return self.disk.file(path).data

    def create(self, path: str, data: bytes) -> None:
        self._before("create", path, writes=True)
        parent, _, name = path.rpartition("/")
        folder = self.disk.folder(parent)
        if name in folder:
            raise FileExistsError(errno.EEXIST, "exists", path)
        how = self._after("create", None)
        # A crash in the middle of writing leaves half a file.
        folder[name] = Inode(data[: len(data) // 2] if how == "crash" else data)
        self._end("create", how, None, path)

    def rename(self, src: str, dst: str) -> None:
        self._before("rename", src)
        src_dir, _, src_name = src.rpartition("/")
        dst_dir, _, dst_name = dst.rpartition("/")
        inode = self.disk.file(src)
        target = self.disk.folder(dst_dir)
        del self.disk.dirs[src_dir][src_name]
        target[dst_name] = inode
        lost = FileNotFoundError(errno.ENOENT, "lost reply", src)
        how = self._after("rename", lost)
        self.disk.renames.append((self.client, src, dst, how))
        self._end("rename", how, lost, src)

    def link(self, src: str, dst: str) -> None:
        self._before("link", src)
        inode = self.disk.file(src)
        dst_dir, _, dst_name = dst.rpartition("/")
        target = self.disk.folder(dst_dir)
        if dst_name in target:
            raise FileExistsError(errno.EEXIST, "exists", dst)
        target[dst_name] = inode
        lost = FileExistsError(errno.EEXIST, "lost reply", dst)
        self._end("link", self._after("link", lost), lost, dst)

    def unlink(self, path: str) -> None:
        self._before("unlink", path)
        parent, _, name = path.rpartition("/")
        self.disk.file(path)
        del self.disk.dirs[parent][name]
        lost = FileNotFoundError(errno.ENOENT, "lost reply", path)
        self._end("unlink", self._after("unlink", lost), lost, path)

    def mkdir(self, path: str) -> None:
        self._before("mkdir", path, writes=True)
        self.disk.mkdir(path)
        lost = FileExistsError(errno.EEXIST, "lost reply", path)
        self._end("mkdir", self._after("mkdir", lost), lost, path)

    def makedirs(self, path: str) -> None:
        if path in self.disk.dirs:
            self._before("mkdir", path)
            return
        # As RealFs: a reply lost on the way is EEXIST, which is success.
        try:
            self.mkdir(path)
        except FileExistsError:
            pass
        except FileNotFoundError:
            self.makedirs(path.rpartition("/")[0])
            with contextlib.suppress(FileExistsError):
                self.mkdir(path)

    def fsync_dir(self, path: str) -> None:
        self._before("fsync_dir", path)
        self.disk.folder(path)

    def append(self, path: str, data: bytes) -> None:
        self._before("append", path, writes=True)
        parent, _, name = path.rpartition("/")
        folder = self.disk.folder(parent)
        inode = folder.get(name)
        old = inode.data if inode is not None else b""
        how = self._after("append", None)
        folder[name] = Inode(old + (data[: len(data) // 2] if how == "crash" else data))
        self._end("append", how, None, path)

    def walk(self, path: str) -> tuple[list[str], list[str]]:
        self._before("walk", path)
        self.disk.folder(path)
        folders: list[str] = []
        files: list[str] = []

        def descend(relative: str) -> None:
            at = f"{path}/{relative}" if relative else path
            for name, inode in sorted(self.disk.dirs[at].items()):
                inner = f"{relative}/{name}" if relative else name
                if inode is None:
                    descend(inner)
                else:
                    files.append(inner)
            folders.append(relative)

        descend("")
        return folders, files

    def digest(self, path: str, tick: Callable[[], None] | None = None) -> tuple[int, str]:
        self._before("digest", path)
        inode = self.disk.file(path)
        inode.owner = None
        if tick is not None:
            tick()
        return len(inode.data), hashlib.sha256(inode.data).hexdigest()

    def scribble(self, path: str, data: bytes) -> None:
        """What a task does: write without fsync."""
        parent, _, name = path.rpartition("/")
        self.disk.makedirs(parent)
        self.disk.dirs[parent][name] = Inode(data, owner=self.client)
