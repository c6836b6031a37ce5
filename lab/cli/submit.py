"""lab submit FILE [--dry-run] [--once]: put a protocol into the queue, or say what it would put there."""

from __future__ import annotations

import argparse
import errno
from collections.abc import Mapping
from typing import Any

from lab.cli.common import CLOCK, FS, add_command, emit, emit_json, lab_of, relative, say, table
from lab.errors import NotFound, UsageError
from lab.job import read_manifest
from lab.units import format_duration

__all__ = ["plan", "register", "submit_file"]

ASK_ABOVE_JOBS = 64


def register(subparsers: Any) -> None:
    parser = add_command(subparsers, "submit", "put a protocol into the queue", run, data=True)
    parser.add_argument("file", metavar="FILE", help="a protocol (YAML); `lab protocol new` writes one to fill in")
    parser.add_argument("--dry-run", "-n", action="store_true", help="print the jobs and their limits; queue nothing")
    parser.add_argument("--once", action="store_true", help="refuse a protocol that was submitted before")


def submit_file(args: argparse.Namespace) -> tuple[Any, str]:
    """Submit args.file; returns the lab's paths and the new experiment's id."""
    paths = lab_of(args)
    _readable(args.file)
    from lab.submit import submit

    return paths, submit(paths, args.file, CLOCK, once=getattr(args, "once", False))


def run(args: argparse.Namespace) -> int:
    if args.dry_run:
        return _dry_run(args)
    paths, exp = submit_file(args)
    manifest = read_manifest(FS, paths.manifest(exp), exp)
    jobs = [str(job["job"]) for job in manifest["jobs"]]
    if args.json:
        emit_json({"exp": exp, "jobs": jobs, "manifest": paths.manifest(exp)})
        return 0
    emit([exp])
    say(f"{len(jobs)} jobs queued; lab exp wait {exp}")
    from lab.status import take_snapshot

    if not any(worker.state in ("up", "late") for worker in take_snapshot(FS, paths, CLOCK).workers):
        say("no worker is up; hint: lab worker")
    return 0


def _readable(path: str) -> None:
    """Refuse what is no file in words, before anything else looks at it."""
    try:
        FS.read(path, 1 << 30)
    except FileNotFoundError:
        raise NotFound(f"no file {path}", "lab protocol new FILE writes one to fill in") from None
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EISDIR, errno.EFBIG, errno.ENXIO):
            raise
        raise UsageError(f"{path}: {error.strerror}", "lab protocol new FILE writes one to fill in") from None


def _dry_run(args: argparse.Namespace) -> int:
    paths = lab_of(args)
    _readable(args.file)
    from lab.cluster import load_cluster
    from lab.submit import dry_run

    manifest = dry_run(args.file, CLOCK, load_cluster(paths.cluster_toml))
    document = plan(manifest)
    if args.json:
        emit_json(document)
        return 0
    table(
        args,
        ("JOB", "TASK", "CPUS", "GPUS", "LIMIT", "NEEDS"),
        [
            (job["job"], job["runs"], job["cpus"], job["gpus"], format_duration(job["time_limit_s"]), len(job["needs"]))
            for job in document["jobs"]
        ],
    )
    total = document["total"]
    say(
        f"{relative(args.file)}: {total['jobs']} jobs, at most {format_duration(total['time_limit_s'])} of job time, "
        f"{format_duration(total['gpu_time_limit_s'])} of GPU time; nothing was queued"
    )
    if total["jobs"] > ASK_ABOVE_JOBS:
        say(f"that is many jobs ({total['jobs']}): is the sweep meant to be so large?")
    return 0


def plan(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a submit of this manifest would queue, with its limits added up."""
    jobs = []
    for spec in manifest["jobs"]:
        resources = spec.get("resources") or {}
        jobs.append(
            {
                "job": spec["job"], "step": spec["step"], "runs": spec.get("task") or " ".join(spec.get("argv") or ()),
                "arm": spec.get("arm") or {}, "seed": spec.get("seed"), "needs": spec.get("needs") or [],
                "cpus": int(resources.get("cpus") or 0), "gpus": int(resources.get("gpus") or 0),
                "time_limit_s": float(spec["time_limit_s"]),
            }
        )  # fmt: skip
    total = {
        "jobs": len(jobs),
        "time_limit_s": sum(job["time_limit_s"] for job in jobs),
        "gpu_time_limit_s": sum(job["time_limit_s"] * job["gpus"] for job in jobs),
        "cpu_time_limit_s": sum(job["time_limit_s"] * job["cpus"] for job in jobs),
        "gpus": max((job["gpus"] for job in jobs), default=0),
    }
    return {"title": manifest.get("title"), "jobs": jobs, "total": total}
