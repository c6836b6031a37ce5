"""Run one task command so that nothing of it outlives its daemon: python -I -S shim.py [options] -- ARGV...

Standard library only and few imports, because every task start waits for it. The shim leads its own session and is
the subreaper of everything the task starts. The daemon holds the other end of `--pipe`: its end means the daemon is
gone; `T` asks for TERM, grace, KILL; `K` for KILL at once. A local beat file that stands still for `--stale` seconds
means the daemon hangs. The status file appears only after the last descendant is gone, so a result hashed after it
cannot change any more. GPU lock descriptors are inherited on purpose: the kernel frees a GPU when its last user dies.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
EXIT_CANNOT_EXEC = 127
POLL_S = 1.0
KILL_AGAIN_S = 0.05


def prctl(option: int, value: int) -> None:
    """Call prctl(2) where there is one; elsewhere the process group alone must do."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def parse(argv: list[str]) -> tuple[dict[str, str], list[str]]:
    """Split `--name value` pairs from the command after `--` (argparse would cost half of the start-up)."""
    split = argv.index("--")
    pairs = argv[:split]
    return {pairs[i].removeprefix("--"): pairs[i + 1] for i in range(0, len(pairs), 2)}, argv[split + 1 :]


def descendants(root: int) -> list[int]:
    """All living descendants of `root`, by the parent links in /proc (zombies left out)."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # gone between the listing and the read
        if fields[0] != b"Z":
            children.setdefault(int(fields[1]), []).append(int(name))
    found: list[int] = []
    todo = [root]
    while todo:
        for child in children.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found


def signal_all(group: int, number: int) -> None:
    """Signal the task's group and every other descendant, whatever session it moved to."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
    try:
        pids = descendants(os.getpid())
    except OSError:
        pids = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def spawn(argv: list[str], pipe_fd: int) -> int:
    """Fork and exec the task in its own session; it gets KILL if the shim dies."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        os.close(pipe_fd)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(EXIT_CANNOT_EXEC)
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, f"cannot start {argv[0]!r}: {error.strerror}\n".encode())
    finally:
        os._exit(EXIT_CANNOT_EXEC)


def write_status(path: str, status: dict[str, object]) -> None:
    """Write the status file whole or not at all (local disk: the rename is enough)."""
    temporary = path + ".tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(status, file)
    os.replace(temporary, path)


class Watch:
    """The daemon's local beat: changed lately, or stale."""

    def __init__(self, path: str, stale_s: float) -> None:
        self.path, self.stale_s = path, stale_s
        self.seen, self.since = b"", time.monotonic()

    def stale(self) -> bool:
        try:
            with open(self.path, "rb") as file:
                now = file.read(64)
        except OSError:
            now = b""
        if now != self.seen:
            self.seen, self.since = now, time.monotonic()
        return time.monotonic() - self.since > self.stale_s


def reap(main: int, code: int | None) -> tuple[int | None, bool]:
    """Collect dead children; the main task's exit code once known, and whether children remain."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code, False
        if pid == 0:
            return code, True
        if pid == main:
            code = os.waitstatus_to_exitcode(status)


def main() -> int:
    """Start the task, watch the daemon and the children, write the status."""
    options, argv = parse(sys.argv[1:])
    pipe_fd, grace_s = int(options["pipe"]), float(options["grace"])
    watch = Watch(options["beat"], float(options["stale"]))
    os.set_inheritable(pipe_fd, False)
    os.set_blocking(pipe_fd, False)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    asked: list[int] = []
    wake_r, wake_w = os.pipe()
    os.set_blocking(wake_r, False)
    os.set_blocking(wake_w, False)
    signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    started, started_mono = time.time(), time.monotonic()
    task = spawn(argv, pipe_fd)
    write_status(options["status"], {"pid": task, "shim": os.getpid()})
    code: int | None = None
    cause, kill_at, pipe_open = "", float("inf"), True
    while True:
        code, remain = reap(task, code)
        if not remain:
            break
        now = time.monotonic()
        if code is not None and not cause:
            # The command is over but left children behind: they get the same farewell.
            cause, kill_at = "exited", now + min(grace_s, 5.0)
            signal_all(task, signal.SIGTERM)
        if now >= kill_at:
            signal_all(task, signal.SIGKILL)
        timeout = KILL_AGAIN_S if now >= kill_at else max(0.0, min(POLL_S, kill_at - now))
        ready, _, _ = select.select([wake_r, pipe_fd] if pipe_open else [wake_r], [], [], timeout)
        word = ""
        if wake_r in ready:
            os.read(wake_r, 4096)
        if pipe_fd in ready:
            data = os.read(pipe_fd, 4096)
            if not data:
                pipe_open, word = False, "daemon gone"
            elif b"K" in data:
                cause, kill_at = cause or "killed", 0.0
            elif b"T" in data:
                word = "asked"
        if asked:
            asked.clear()
            word = "asked"
        if not ready and not word and watch.stale():
            word = "daemon stale"
        if word and kill_at == float("inf"):
            cause, kill_at = word, time.monotonic() + grace_s
            signal_all(task, signal.SIGTERM)

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    write_status(
        options["status"],
        {
            "pid": task,
            "shim": os.getpid(),
            "exit": code if code is not None else -9,
            "cause": cause,
            "started": started,
            "finished": time.time(),
            "wall_s": time.monotonic() - started_mono,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "max_rss_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
