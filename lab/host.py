"""This host as the lab sees it: capacity, local folders, the one-daemon lock and where a result was made."""

from __future__ import annotations

import fcntl
import getpass
import os
import platform
import secrets
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata

from lab.errors import LeaseError
from lab.gpus import Gpu
from lab.token import new_inc

GPU_CLASSES = ("gpuN", "gpu1")


@dataclass(frozen=True)
class Capacity:
    """What a daemon may hand out. `roles` empty means that jobs which ask for a role do not run here."""

    cpus: int
    gpus: int = 0
    gpu_types: frozenset[str] = field(default=frozenset())
    roles: frozenset[str] = field(default=frozenset())

    def classes(self) -> list[str]:
        """The folders of ready/ this host can serve, GPU jobs first: they need what is scarce."""
        if self.gpus >= 2:
            return ["gpuN", "gpu1", "cpu"]
        return ["gpu1", "cpu"] if self.gpus else ["cpu"]


def job_class(gpus: int) -> str:
    """The folder of ready/ for a job that asks for that many GPUs."""
    return "cpu" if gpus == 0 else "gpu1" if gpus == 1 else "gpuN"


def local_dir(environ: dict[str, str] | None = None) -> str:
    """A private folder on local disk for locks, beats and caches that must not be shared between hosts."""
    env = dict(os.environ) if environ is None else environ
    # Not XDG_RUNTIME_DIR: a login shell has it and a service has not, and both must meet at the same locks.
    path = env.get("GOLAB_LOCAL") or f"/tmp/golab-{os.getuid()}"
    os.makedirs(path, mode=0o700, exist_ok=True)
    if os.stat(path).st_uid != os.getuid():
        raise LeaseError(
            f"{path} belongs to another user", hint="set GOLAB_LOCAL to a folder of your own on local disk"
        )
    return path


def cache_dir(environ: dict[str, str] | None = None) -> str:
    """Where materialised code lives: $GOLAB_CACHE, else the user's cache folder."""
    env = dict(os.environ) if environ is None else environ
    base = env.get("XDG_CACHE_HOME") or os.path.join(env.get("HOME") or "/tmp", ".cache")
    return env.get("GOLAB_CACHE") or os.path.join(base, "golab")


def fresh_inc(name: str | None = None) -> str:
    """A new incarnation: host name, or `name`, and 64 random bits."""
    return new_inc(name or socket.gethostname(), secrets.token_hex(8))


def cpu_count() -> int:
    """The CPUs this process may use, which in a container or job can be fewer than the host has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


class DaemonLock:
    """At most one daemon per host, lab and name: a flock on local disk, held as long as the object lives."""

    def __init__(self, directory: str, lab_id: str, name: str = "") -> None:
        path = os.path.join(directory, f"daemon-{lab_id}{'-' + name if name else ''}.lock")
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._fd, 32, 0).decode(errors="replace").strip()
            os.close(self._fd)
            raise LeaseError(
                f"a worker for this lab already runs on this host (pid {holder or 'unknown'})",
                hint="stop that one first, or give this one a name of its own: lab worker --name NAME",
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let another daemon start."""
        os.close(self._fd)


def boot_id() -> str:
    """The kernel's boot id, or the empty string."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def cpu_model() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def versions(packages: Sequence[str] = ("golab", "torch", "numpy")) -> dict[str, str]:
    """Python and the installed packages that can change a result (read from metadata, nothing is imported)."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def provenance() -> dict[str, object]:
    """What result.json says of the place where an attempt ran."""
    return {"versions": versions(), "platform": platform.platform(), "cpu_model": cpu_model()}


def info(inc: str, started: str, capacity: Capacity, gpus: Sequence[Gpu]) -> dict[str, object]:
    """The write-once info.json of an incarnation."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return {
        "format": 1,
        "inc": inc,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "boot_id": boot_id(),
        "started": started,
        "version": versions(("golab",)).get("golab", ""),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cpus": capacity.cpus,
        "gpus": [gpu.json(None) for gpu in gpus],
        "roles": sorted(capacity.roles),
        "user": user,
    }
