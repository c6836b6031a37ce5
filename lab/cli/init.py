"""lab init [DIR]: make a folder a lab, or finish what is missing; running it again changes nothing."""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

from lab.cli.common import CLOCK, FS, add_command, emit, emit_json, relative
from lab.errors import EnvironmentProblem, UsageError
from lab.fsio import FORMAT, dump_json, ensure_dir, publish
from lab.paths import LabPaths
from lab.units import utc_now_text

__all__ = ["init_lab", "register"]

CLUSTER_TOML = """\
# The lab's settings; docs/operations.md tells what each one means.
lab = "{name}"
queue_id = "{queue_id}"  # pins queue/QUEUE_ID: a daemon refuses another lab's folder

[lease]
beat = "10s"        # how often a worker says that it is there
expire = "90s"      # a beat unchanged for so long means that its jobs are taken over
poll = "2s"
fence_after = "15m"
grace = "30s"       # between asking a task to stop and stopping it

[limits]
max_losses = 3      # a job lost so often with its worker goes to quarantine
default_retries = 2
"""
_QUEUE_ID_LINE = re.compile(r"^queue_id\s*=.*$", re.M)


def register(subparsers: Any) -> None:
    parser = add_command(subparsers, "init", "make a folder a lab (this one by default)", run, data=True)
    parser.add_argument("dir", nargs="?", default=".", metavar="DIR")
    parser.add_argument("--quiet", "-q", action="store_true", help="say nothing if all went well")


def run(args: argparse.Namespace) -> int:
    paths, made = init_lab(args.dir)
    queue_id = json.loads(FS.read(paths.queue_id))["id"]
    if args.json:
        emit_json({"lab": paths.root, "queue_id": queue_id, "made": made})
    elif not args.quiet:
        emit([f"lab {relative(paths.root)} ({'made: ' + ', '.join(made) if made else 'nothing to do'})"])
    return 0


def init_lab(folder: str) -> tuple[LabPaths, list[str]]:
    """Make whatever a lab needs and does not have; returns it and what was made."""
    if os.path.isfile(folder):
        raise UsageError(f"{folder} is a file, not a folder")
    paths = LabPaths(Path(folder).absolute().as_posix())
    made: list[str] = []
    if os.path.exists(f"{paths.queue}/__init__.py"):
        raise EnvironmentProblem(
            f"{paths.queue}/__init__.py would shadow Python's own queue module", "remove that file"
        )
    for path in (paths.root, *paths.skeleton()):
        if not os.path.isdir(path):
            ensure_dir(FS, path)
            if path.count("/") == paths.root.count("/") + 1:
                made.append(os.path.basename(path) + "/")
    pinned = _pinned_id(paths)
    queue_id = _queue_id(paths)
    if queue_id is None:
        queue_id = pinned or secrets.token_hex(8)
        body = {"format": FORMAT, "id": queue_id, "created": utc_now_text(CLOCK.wall())}
        # Published by link: of two that start a lab at once, one wins, and both go on with its id.
        if publish(FS, paths.tmp(f"cli-{secrets.token_hex(8)}"), paths.queue_id, dump_json(body), queue_id):
            made.append("queue/QUEUE_ID")
        queue_id = _queue_id(paths) or queue_id
    if pinned is None:
        made += _pin(paths, queue_id)
    elif pinned != queue_id:
        raise EnvironmentProblem(
            f"{paths.cluster_toml} pins queue_id {pinned}, but queue/QUEUE_ID is {queue_id}",
            "is the right share mounted? else correct cluster.toml",
        )
    return paths, made


def _queue_id(paths: LabPaths) -> str | None:
    try:
        return str(json.loads(FS.read(paths.queue_id))["id"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise EnvironmentProblem(f"{paths.queue_id} is damaged", "restore it from cluster.toml's queue_id") from None


def _pinned_id(paths: LabPaths) -> str | None:
    from lab.cluster import load_cluster

    return load_cluster(paths.cluster_toml).queue_id


def _pin(paths: LabPaths, queue_id: str) -> list[str]:
    """Write cluster.toml if there is none. One that is there without an id is a person's: it stays as it is."""
    if os.path.exists(paths.cluster_toml):
        return []
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", os.path.basename(paths.root)) or "lab"
    FS.create(paths.cluster_toml, CLUSTER_TOML.format(name=name[:60], queue_id=queue_id).encode())
    return ["cluster.toml"]
