"""lab protocol check|expand|schema|new: everything about a protocol file before it is submitted."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from lab.cli.common import FS, add_command, emit, emit_json, relative, say, table
from lab.errors import LabError, Problem, ProtocolErrors, UsageError
from lab.fsio import ensure_dir
from lab.job import JobSpec
from lab.paths import LabPaths, find_lab

__all__ = ["register"]


def register(subparsers: Any) -> None:
    parser = add_command(subparsers, "protocol", "protocols: check, expand, schema, new", None)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=type(parser))
    checking = add_command(
        verbs, "check", "list every mistake in protocol files as file:line:col", run_check, data=True
    )
    checking.add_argument("files", metavar="FILE", nargs="+")
    expanding = add_command(
        verbs, "expand", "list the jobs a protocol makes, without queueing them", run_expand, data=True
    )
    expanding.add_argument("file", metavar="FILE")
    schema = add_command(verbs, "schema", "print the JSON Schema of protocols, for editors", run_schema)
    schema.add_argument("--out", metavar="FILE", help="write it there instead")
    new = add_command(verbs, "new", "write a commented protocol that is valid as it is", run_new, data=True)
    new.add_argument("name", metavar="NAME", nargs="?", help="protocols/NAME.yaml; printed if left out")


def run_check(args: argparse.Namespace) -> int:
    from lab.experiment import plan
    from lab.protocol_yaml import load_protocol

    problems: list[Problem] = []
    documents: list[dict[str, Any]] = []
    for file in args.files:
        try:
            protocol = load_protocol(file).protocol
            document = {
                "file": file,
                "ok": True,
                "steps": len(protocol.steps),
                "jobs": len(plan(protocol)),
                "problems": [],
            }
        except ProtocolErrors as error:
            problems += error.problems
            document = {"file": file, "ok": False, "problems": [vars(problem) for problem in error.problems]}
        documents.append(document)
    if args.json:
        emit_json({"ok": not problems, "files": documents})
        return 2 if problems else 0
    for document in documents:
        if document["ok"]:
            emit([f"{document['file']}: ok, {_count(document['steps'], 'step')}, {_count(document['jobs'], 'job')}"])
    if problems:
        # Not ProtocolErrors' own order: files stay as they were named, positions are sorted within each.
        for problem in problems:
            say(f"error: {problem}")
        say(f"{_count(len(problems), 'mistake')}; nothing was queued")
        return 2
    return 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def run_expand(args: argparse.Namespace) -> int:
    from lab.experiment import costs, expand, jobs_of, plan
    from lab.protocol_yaml import load_protocol
    from lab.sweep import slugify
    from lab.tasks import default_registry
    from lab.units import format_duration

    loaded = load_protocol(args.file)
    slug = loaded.protocol.name or slugify(Path(args.file).stem)[:40].strip("-") or "experiment"
    manifest = expand(loaded.protocol, loaded.text, f"{slug}-preview", None, 0, registry=default_registry())
    bounds = costs(loaded.protocol, plan(loaded.protocol))
    if args.json:
        emit_json({"file": args.file, "jobs": manifest["jobs"], "limits_s": bounds})
        return 0
    jobs = jobs_of(manifest, args.file)
    rows = [_row(job) for job in jobs]
    table(args, ["STEP", "ARM", "SEED", "PART", "NEEDS", "CLASS", "LIMIT", "COMMAND"], rows)
    shown = ", ".join(f"{name} {format_duration(value)}" for name, value in bounds.items() if value)
    say(f"{_count(len(jobs), 'job')}; limits add up to {shown}; ids are given at submit")
    return 0


def _row(job: JobSpec) -> list[Any]:
    from lab.units import format_duration

    what = job.task or " ".join(job.argv)
    part, limit = _part(job.repetition, job.shard), format_duration(job.time_limit_s)
    return [job.step, _arm(job.arm), job.seed, part, len(job.needs), job.resource_class, limit, what]


def _arm(arm: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in arm.items()) or "-"


def _part(repetition: int, shard: int) -> str:
    return "-" if (repetition, shard) == (1, 0) else f"{repetition}.{shard}"


def run_schema(args: argparse.Namespace) -> int:
    from lab.protocol_yaml import schema_text

    if args.out:
        _write(args.out, schema_text(), overwrite=True)
        say(f"wrote {args.out}")
    else:
        sys.stdout.write(schema_text())
    return 0


def run_new(args: argparse.Namespace) -> int:
    from lab.protocol_yaml import schema_text
    from lab.sweep import slugify
    from lab.template import template

    if args.name is None:
        if args.json:
            raise UsageError("--json needs a NAME", "lab protocol new NAME --json")
        sys.stdout.write(template("A new question", "FILE", "./schema.json"))
        return 0
    paths = _lab_or_none(args)
    path = Path(args.name) if "/" in args.name else Path(paths.protocols if paths else ".") / args.name
    if path.suffix not in (".yaml", ".yml"):
        path = path.with_name(path.name + ".yaml")
    if not slugify(path.stem):
        raise UsageError(f"{args.name!r}: a name needs a letter or a digit")
    ensure_dir(FS, path.parent.as_posix())
    schema = path.parent / "schema.json"
    if paths is not None and path.parent.absolute().as_posix() != paths.protocols:
        schema = Path(paths.protocols) / "schema.json"
    title = " ".join(slugify(path.stem).split("-")).capitalize()
    file = relative(path.as_posix())
    hint = os.path.relpath(schema, path.parent)
    _write(path.as_posix(), template(title, file, hint if hint.startswith(".") else f"./{hint}"), overwrite=False)
    _write(schema.as_posix(), schema_text(), overwrite=None)
    if args.json:
        emit_json({"file": path.as_posix()})
    else:
        emit([file])
        say(f"edit it, then: lab protocol check {file} && lab submit {file}")
    return 0


def _lab_or_none(args: argparse.Namespace) -> LabPaths | None:
    explicit = getattr(args, "lab", None)
    try:
        return find_lab(explicit=explicit)
    except LabError:
        if explicit is not None:
            raise
        return None


def _write(path: str, text: str, *, overwrite: bool | None) -> None:
    """Write a file of the author's; `overwrite` None leaves one that is there as it is, False refuses."""
    data = text.encode()
    try:
        if overwrite:
            temporary = f"{path}.tmp-{os.getpid()}"
            FS.create(temporary, data)
            FS.rename(temporary, path)
        else:
            FS.create(path, data)
    except FileExistsError:
        if overwrite is False:
            raise UsageError(f"{relative(path)} is there already", "choose another name, or edit that file") from None
