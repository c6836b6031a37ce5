"""What a daemon says of itself in its beat: the tokens it holds, its CPUs and GPUs, and how its jobs get on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lab.fsio import Fs, dump_json
from lab.units import utc_now_text

if TYPE_CHECKING:
    from lab.daemon import Daemon
    from lab.held import Task

PROGRESS_LIMIT_BYTES = 1 << 16


def compose(daemon: Daemon, n: int) -> dict[str, Any]:
    """The beat number `n`, as docs/formats.md has it."""
    clock, queue = daemon.queue.clock, daemon.queue
    now = clock.monotonic()
    jobs = [_job(queue.fs, daemon, name, task, now) for name, task in daemon.tasks.items()]
    used = sum(task.spec.resources.cpus for task in daemon.tasks.values())
    return {
        "format": 1,
        "inc": daemon.inc,
        "host": daemon.info.get("host"),
        "n": n,
        "at": utc_now_text(clock.wall()),
        "state": "left" if daemon.left else "draining" if daemon.draining else "up",
        "tokens": sorted(daemon.tasks),
        "cpus": {"total": daemon.capacity.cpus, "used": used},
        "gpus": daemon.gpus.json({name: task.spec.job for name, task in daemon.tasks.items()}),
        "jobs": jobs,
    }


def _job(fs: Fs, daemon: Daemon, name: str, task: Task, now: float) -> dict[str, Any]:
    progress, metric = _progress(fs, task)
    return {
        "job": task.spec.job,
        "exp": task.spec.exp,
        "token": name,
        "epoch": task.token.g,
        "started_at": utc_now_text(task.started_wall) if task.launch else None,
        "elapsed_s": round(now - task.started_mono, 1) if task.launch else 0.0,
        "time_limit_s": task.spec.time_limit_s,
        "gpus": daemon.gpus.indices(name),
        "progress": progress,
        "metric": metric,
    }


def _progress(fs: Fs, task: Task) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """What the task says of itself in progress.json; anything unreadable is no progress."""
    if task.launch is None:
        return None, None
    try:
        data = json.loads(fs.read(f"{task.launch.attempt_dir}/out/progress.json", PROGRESS_LIMIT_BYTES, follow=False))
        done, total, rate = data["done"], data.get("total"), data.get("rate")
        left = (total - done) / rate if total is not None and rate else None
        metric = data.get("metric")
        metric = {"name": metric["name"], "value": metric["value"]} if isinstance(metric, dict) else None
        progress = {"done": done, "total": total, "unit": str(data.get("unit", "")), "rate": rate, "eta_s": left}
        dump_json({"progress": progress, "metric": metric})  # refuses NaN
        return progress, metric
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, RecursionError):
        return None, None
