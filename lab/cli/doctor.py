"""lab doctor: check this machine and the lab; exit 5 if there is trouble."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from lab.cli.common import CLOCK, FS, add_command, emit, emit_json, lab_of
from lab.errors import EnvironmentProblem, LabError
from lab.paths import LabPaths

__all__ = ["register"]

SYMBOLS = {"ok": "✓", "warning": "!", "trouble": "✗"}


def register(subparsers: Any) -> None:
    add_command(subparsers, "doctor", "check this machine and the lab", run, data=True)


def run(args: argparse.Namespace) -> int:
    from lab.doctor import BAD, examine

    paths: LabPaths | None = None
    problem: LabError | None = None
    try:
        paths = lab_of(args)
    except LabError as error:
        problem = error
    checks = examine(FS, CLOCK, paths, problem)
    trouble = sum(check.state == BAD for check in checks)
    if args.json:
        emit_json({"ok": not trouble, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            emit([f"{SYMBOLS[check.state]} {check.state:<8} {check.name:<12} {check.text}"])
            if check.hint and check.state != "ok":
                emit([f"{'':11}{'':13}hint: {check.hint}"])
    return EnvironmentProblem.exit_code if trouble else 0
