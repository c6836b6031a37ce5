"""GPUs of this host: what there is (nvidia-smi), and who holds one (a flock per GPU on local disk)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace

QUERY = "index,name,utilization.gpu,memory.used,memory.total,temperature.gpu"
COMMAND = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"]
PROBE_TIMEOUT_S = 20.0
MIB = 1 << 20


@dataclass(frozen=True)
class Gpu:
    """One GPU as nvidia-smi tells it; a number it does not know is None."""

    index: int
    name: str
    util_pct: int | None = None
    mem_used_bytes: int | None = None
    mem_total_bytes: int | None = None
    temp_c: int | None = None

    def json(self, holder: str | None) -> dict[str, object]:
        """The beat's entry for this GPU."""
        return {
            "index": self.index,
            "name": self.name,
            "holder": holder,
            "util_pct": self.util_pct,
            "mem_used_bytes": self.mem_used_bytes,
            "mem_total_bytes": self.mem_total_bytes,
            "temp_c": self.temp_c,
        }


def _number(text: str) -> int | None:
    text = text.strip()
    return int(float(text)) if text.replace(".", "", 1).isdigit() else None


def parse_csv(text: str) -> list[Gpu]:
    """Parse nvidia-smi's CSV; lines that are not a GPU (warnings) are left out."""
    gpus = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != 6 or not cells[0].isdigit():
            continue
        used, total = _number(cells[3]), _number(cells[4])
        gpus.append(
            Gpu(
                index=int(cells[0]),
                name=cells[1],
                util_pct=_number(cells[2]),
                mem_used_bytes=None if used is None else used * MIB,
                mem_total_bytes=None if total is None else total * MIB,
                temp_c=_number(cells[5]),
            )
        )
    return gpus


def probe(command: Sequence[str] = COMMAND) -> list[Gpu]:
    """The GPUs of this host; none where nvidia-smi is missing, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse_csv(done.stdout) if done.returncode == 0 else []


def choose(found: Sequence[Gpu], wanted: str | None) -> list[Gpu]:
    """The GPUs a worker may use: `--gpus` is None (all), `none`, or a list such as `0,2`."""
    if wanted is None:
        return list(found)
    if wanted.strip().lower() in ("none", ""):
        return []
    known = {gpu.index: gpu for gpu in found}
    chosen = []
    for text in wanted.split(","):
        if not text.strip().isdigit():
            raise ValueError(f"--gpus takes indices such as 0,2 or none, not {text.strip()!r}")
        index = int(text)
        if index not in known:
            raise ValueError(f"no GPU {index} on this host; there are {sorted(known) or 'none'}")
        chosen.append(known[index])
    return chosen


class GpuPool:
    """The GPUs one daemon may use, and their locks. A lock lives as long as any process holds its descriptor."""

    def __init__(self, gpus: Sequence[Gpu], lock_dir: str) -> None:
        self.gpus = sorted(gpus, key=lambda gpu: gpu.index)
        self._dir = lock_dir
        self._held: dict[str, dict[int, int]] = {}  # key -> GPU index -> descriptor
        self._probe: subprocess.Popen[str] | None = None
        if self.gpus:
            os.makedirs(lock_dir, mode=0o700, exist_ok=True)

    def free(self) -> int:
        """How many GPUs this daemon does not hold (another program may hold them)."""
        return len(self.gpus) - sum(len(held) for held in self._held.values())

    def acquire(self, key: str, count: int) -> list[int] | None:
        """Lock `count` GPUs in order of index, or none at all."""
        got: dict[int, int] = {}
        mine = {index for held in self._held.values() for index in held}
        for gpu in self.gpus:
            if len(got) == count:
                break
            if gpu.index in mine:
                continue
            fd = os.open(os.path.join(self._dir, f"gpu{gpu.index}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                continue
            got[gpu.index] = fd
        if len(got) < count:
            for fd in got.values():
                os.close(fd)
            return None
        self._held[key] = got
        return sorted(got)

    def fds(self, key: str) -> tuple[int, ...]:
        """The descriptors that the shim and the task inherit."""
        return tuple(self._held.get(key, {}).values())

    def indices(self, key: str) -> list[int]:
        """The GPUs held for `key`."""
        return sorted(self._held.get(key, {}))

    def release(self, key: str) -> None:
        """Close this daemon's descriptors; the kernel frees the lock when the last user is gone."""
        for fd in self._held.pop(key, {}).values():
            with contextlib.suppress(OSError):
                os.close(fd)

    def refresh(self, command: Sequence[str] = COMMAND) -> None:
        """Take up the last probe's figures and start the next one, without waiting for either."""
        if not self.gpus:
            return
        if self._probe is not None:
            if self._probe.poll() is None:
                return
            text = self._probe.stdout.read() if self._probe.stdout else ""
            if self._probe.stdout:
                self._probe.stdout.close()
            now = {gpu.index: gpu for gpu in parse_csv(text)}
            self.gpus = [now.get(gpu.index, replace(gpu, util_pct=None, temp_c=None)) for gpu in self.gpus]
            self._probe = None
        with contextlib.suppress(OSError):
            self._probe = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def json(self, holders: dict[str, str]) -> list[dict[str, object]]:
        """The beat's list: every GPU with the job that holds it (`holders` maps key to job)."""
        by_index = {index: holders.get(key, key) for key, held in self._held.items() for index in held}
        return [gpu.json(by_index.get(gpu.index)) for gpu in self.gpus]
