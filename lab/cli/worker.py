"""lab worker: claim and run jobs on this host until told to stop."""

from __future__ import annotations

import argparse
from typing import Any

from lab.cli.common import add_command, lab_of

__all__ = ["register"]


def register(subparsers: Any) -> None:
    parser = add_command(subparsers, "worker", "run jobs on this host (Ctrl-C: save their work and stop)", run)
    parser.add_argument("--cpus", type=_count, metavar="N", help="CPU slots to hand out (all this process may use)")
    parser.add_argument("--gpus", metavar="LIST", help="GPUs to hand out, such as 0,1, or none (all there are)")
    parser.add_argument("--until-idle", action="store_true", help="leave when nothing can run any more")
    parser.add_argument("--name", type=_name, metavar="NAME", help="for a second worker on one host")
    parser.add_argument("--no-notes", action="store_true", help="do not build notes when experiments end")


def _count(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 4096:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of CPUs from 1 to 4096")
    return int(text)


def _name(text: str) -> str:
    if not text.isascii() or not text.isalnum() or not text.islower() or len(text) > 30:
        raise argparse.ArgumentTypeError(f"{text!r} is not a name of lower-case letters and digits")
    return text


def run(args: argparse.Namespace) -> int:
    from lab.worker import run_worker

    return run_worker(
        lab_of(args),
        cpus=args.cpus,
        gpu_list=args.gpus,
        until_idle=args.until_idle,
        name=args.name,
        build_notes=not args.no_notes,
    )
