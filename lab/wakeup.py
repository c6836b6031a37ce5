"""End a wait early: a signal, a dead child, a file that appeared on this host. Only hints: polling finds the rest."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

IN_CREATE, IN_MOVED_TO = 0x100, 0x80
IN_NONBLOCK, IN_CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC


class Wakeup:
    """Descriptors that become readable when something may have happened."""

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        os.set_blocking(self.write_fd, False)
        self._inotify_fd: int | None = None
        self._observer: Any = None
        self._changed = False

    def watch(self, folders: Sequence[str]) -> None:
        """Let new names in these folders end a wait."""
        if sys.platform == "linux":
            # Directly, not through watchdog: that holds events back for up to 0.5 s to pair the halves of a move.
            with contextlib.suppress(OSError, AttributeError):
                self._inotify_fd = _inotify(folders)
                return
        self._watch_by_thread(folders)

    def _watch_by_thread(self, folders: Sequence[str]) -> None:
        from watchdog.events import FileSystemEvent, FileSystemEventHandler
        from watchdog.observers import Observer

        wake = self._wake

        class Handler(FileSystemEventHandler):
            def on_created(self, event: FileSystemEvent) -> None:
                wake()

            def on_moved(self, event: FileSystemEvent) -> None:
                wake()

        logging.getLogger("watchdog").setLevel(logging.ERROR)  # it warns about events that arrive while it stops
        observer = Observer()
        try:
            for folder in folders:
                observer.schedule(Handler(), folder)
            observer.start()
        except OSError:  # no more watches: polling still works
            return
        self._observer = observer

    def _wake(self) -> None:
        self._changed = True
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self.write_fd, b"w")

    def wait(self, seconds: float) -> bool:
        """Wait; True if a local change was reported."""
        fds = [self.read_fd] if self._inotify_fd is None else [self.read_fd, self._inotify_fd]
        with contextlib.suppress(InterruptedError):
            select.select(fds, [], [], max(0.0, seconds))
        with contextlib.suppress(BlockingIOError):
            while os.read(self.read_fd, 4096):
                pass
        if self._inotify_fd is not None:
            with contextlib.suppress(BlockingIOError):
                while os.read(self._inotify_fd, 1 << 16):
                    self._changed = True
        changed, self._changed = self._changed, False
        return changed

    def close(self) -> None:
        """Stop watching."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout=2.0)
        for fd in (self.read_fd, self.write_fd, self._inotify_fd):
            if fd is not None:
                os.close(fd)


def _inotify(folders: Sequence[str]) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    fd = int(libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    for folder in folders:
        if libc.inotify_add_watch(fd, os.fsencode(folder), IN_CREATE | IN_MOVED_TO) < 0:
            number = ctypes.get_errno()
            os.close(fd)
            raise OSError(number, errno.errorcode.get(number, "inotify"), folder)
    return fd


class Signals:
    """SIGTERM and SIGINT ask for a drain, a second one for a quick end; SIGCHLD only wakes."""

    def __init__(self, wakeup: Wakeup) -> None:
        self.asked = 0
        self.taken = 0
        self._old: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._old_fd = signal.set_wakeup_fd(wakeup.write_fd, warn_on_full_buffer=False)
            for number in (signal.SIGTERM, signal.SIGINT):
                self._old[number] = signal.signal(number, self._ask)
            self._old[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)

    def _ask(self, *_: object) -> None:
        self.asked += 1

    def close(self) -> None:
        """Put the old handlers back."""
        for number, handler in self._old.items():
            signal.signal(number, handler)
        if self._old:
            signal.set_wakeup_fd(self._old_fd)
