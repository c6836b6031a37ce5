"""lab note build|path: write notes from accepted results, and say where one is."""

from __future__ import annotations

import argparse
from typing import Any

from lab.cli.common import FS, add_command, emit, emit_json, lab_of, relative, say, select
from lab.cli.exp import experiment_ids
from lab.errors import NotFound

__all__ = ["register"]


def register(subparsers: Any) -> None:
    parser = add_command(subparsers, "note", "build notes and find them", None)
    nouns = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=type(parser))
    build = add_command(nouns, "build", "build the notes of these experiments (or of all) and the index", run_build,
                        data=True)  # fmt: skip
    build.add_argument("exp", nargs="*", metavar="EXP", help="an id, a unique prefix of one, or `last`")
    build.add_argument("--no-figures", action="store_true", help="leave the figures out (faster)")
    path = add_command(nouns, "path", "print the path of a note", run_path, data=True)
    path.add_argument("exp", metavar="EXP")


def run_build(args: argparse.Namespace) -> int:
    from lab.notebook import build_note

    paths = lab_of(args)
    ids = experiment_ids(paths)
    wanted = [select(text, ids, "experiment") for text in args.exp] or ids
    built = []
    for exp in wanted:
        result = build_note(FS, paths, exp, figures=not args.no_figures)
        for warning in result.warnings:
            say(f"warning: {exp}: {warning}")
        built.append(result)
    if args.json:
        notes = [
            {"exp": b.exp, "path": b.path, "verdict": b.verdict, "finding": b.finding, "changed": b.changed,
             "warnings": b.warnings}
            for b in built
        ]  # fmt: skip
        emit_json({"notes": notes, "index": paths.index})
    else:
        if not built:
            say("no experiment yet, so no note; hint: lab submit FILE")
        emit(relative(b.path) for b in built)
    return 0


def run_path(args: argparse.Namespace) -> int:
    paths = lab_of(args)
    exp = select(args.exp, experiment_ids(paths), "experiment")
    try:
        FS.read(paths.note(exp))
    except FileNotFoundError:
        raise NotFound(f"{exp} has no note yet", f"lab note build {exp}") from None
    if args.json:
        emit_json({"exp": exp, "path": paths.note(exp)})
    else:
        emit([relative(paths.note(exp))])
    return 0
