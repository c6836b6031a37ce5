"""lab job list|show|log|explain|cancel|retry|hold|unhold: single jobs."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from lab.cli.common import CLOCK, FS, add_command, emit, emit_json, lab_of, relative, say, select, state_text, table
from lab.cli.exp import experiment_ids, open_queue, report
from lab.errors import NotFound, UsageError
from lab.fsio import read_json
from lab.job import JobState, read_manifest
from lab.paths import LabPaths
from lab.reasons import explain
from lab.token import Token
from lab.view import scan_tokens

__all__ = ["register"]

LOG_LINES = 40
MAX_LOG_BYTES = 1 << 30


def register(subparsers: Any) -> None:
    parser = add_command(subparsers, "job", "jobs: list, show, log, explain, cancel, retry, hold, unhold", None)
    nouns = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=type(parser))
    listing = add_command(nouns, "list", "list jobs, oldest first", run_list, data=True)
    listing.add_argument("--state", metavar="STATE", help="only jobs in this state")
    listing.add_argument("--exp", metavar="EXP", help="only jobs of this experiment")
    for name, help_text, run in (
        ("show", "show a job: state, command, parameters, attempts", run_show),
        ("log", "print a job's log (of its last attempt)", run_log),
        ("explain", "say in one line why a job is not running", run_explain),
        ("cancel", "cancel a job", run_cancel),
        ("retry", "run a failed, quarantined or cancelled job again", run_retry),
        ("hold", "keep a job that does not run yet from running", run_hold),
        ("unhold", "let a held job go on", run_unhold),
    ):
        verb = add_command(nouns, name, help_text, run, data=True)
        verb.add_argument("job", metavar="JOB", help="an id, a unique prefix of one, or `last`")
        if name == "log":
            verb.add_argument("-n", "--lines", type=int, default=LOG_LINES, help=f"how many of the last ({LOG_LINES})")
            verb.add_argument("--all", action="store_true", help="the whole log")
        if name == "cancel":
            verb.add_argument("--why", default="", help="a reason, kept with the job")


def _find(args: argparse.Namespace, paths: LabPaths) -> tuple[str, dict[str, tuple[JobState, Token]]]:
    tokens = {token.job: (state, token) for state, token, _ in scan_tokens(FS, paths)}
    return select(args.job, list(tokens), "job"), tokens


def _spec(paths: LabPaths, job: str) -> dict[str, Any]:
    try:
        return read_json(FS, paths.spec(job))
    except FileNotFoundError:
        raise NotFound(f"job {job} has no spec.json", "lab doctor") from None


def run_list(args: argparse.Namespace) -> int:
    paths = lab_of(args)
    wanted: set[str] | None = None
    if args.exp:
        exp = select(args.exp, experiment_ids(paths), "experiment")
        wanted = {str(job["job"]) for job in read_manifest(FS, paths.manifest(exp), exp).get("jobs") or ()}
    if args.state:
        try:
            JobState.from_word(args.state)
        except ValueError as error:
            raise UsageError(f"--state: {error}") from None
    rows: list[dict[str, Any]] = [
        {"job": token.job, "state": state.word, "epoch": token.g, "losses": token.l, "failures": token.f,
         "worker": token.inc}
        for state, token, _ in scan_tokens(FS, paths)
        if (wanted is None or token.job in wanted) and (not args.state or state.word == args.state)
    ]  # fmt: skip
    if args.json:
        emit_json({"jobs": rows})
        return 0
    if not rows:
        say("no such job")
    table(args, ("JOB", "STATE", "FAILURES", "LOSSES", "WORKER"),
          [(r["job"], state_text(r["state"]), r["failures"], r["losses"], r["worker"] or "–")
           for r in rows])  # fmt: skip
    return 0


def _attempts(paths: LabPaths, exp: str, job: str) -> list[str]:
    """Folders of every attempt, oldest first."""
    try:
        names = FS.listdir(paths.result_job(exp, job))
    except FileNotFoundError:
        return []
    numbered = []
    for name in names:
        epoch, dot, _ = name.partition(".")
        if dot and epoch[:1] == "g" and epoch[1:].isdigit():
            numbered.append((int(epoch[1:]), name))
    return [f"{paths.result_job(exp, job)}/{name}" for _, name in sorted(numbered)]


def run_show(args: argparse.Namespace) -> int:
    paths = lab_of(args)
    job, tokens = _find(args, paths)
    state, token = tokens[job]
    spec = _spec(paths, job)
    attempts = _attempts(paths, str(spec["exp"]), job)
    why = explain(FS, paths, CLOCK, job)
    if args.json:
        kept = {key: value for key, value in spec.items() if key not in ("format", "tmp", "nonce")}
        emit_json({**kept, "state": state.word, "token": token.name, "explain": why, "attempts": attempts})
        return 0
    what = spec.get("task") or " ".join(spec.get("argv") or ())
    emit([f"{job}: {state_text(state.word)}", f"why         {why}", f"experiment  {spec['exp']}, step {spec['step']}",
          f"runs        {what}", f"parameters  {spec.get('params')}", f"seed        {spec.get('seed')}",
          f"needs       {' '.join(spec.get('needs') or []) or '–'}",
          f"limits      {spec.get('time_limit_s')} s, {spec.get('max_failures')} failures, "
          f"{spec.get('max_losses')} losses; so far {token.f} and {token.l}"])  # fmt: skip
    emit(f"attempt     {relative(folder)}" for folder in attempts)
    return 0


def run_log(args: argparse.Namespace) -> int:
    paths = lab_of(args)
    job, _ = _find(args, paths)
    attempts = _attempts(paths, str(_spec(paths, job)["exp"]), job)
    for folder in reversed(attempts):
        try:
            text = FS.read(f"{folder}/log.txt", MAX_LOG_BYTES).decode("utf-8", "replace")
        except FileNotFoundError:
            continue
        lines = text.splitlines()
        shown = lines if args.all else lines[-max(0, args.lines) :] if args.lines else []
        if args.json:
            emit_json({"job": job, "path": f"{folder}/log.txt", "lines": shown, "total_lines": len(lines)})
            return 0
        for line in shown:
            print(line)
        sys.stdout.flush()
        if len(shown) < len(lines):
            say(f"the last {len(shown)} of {len(lines)} lines of {relative(folder)}/log.txt")
        return 0
    raise NotFound(f"{job} has no log yet: {explain(FS, paths, CLOCK, job)}")


def run_explain(args: argparse.Namespace) -> int:
    paths = lab_of(args)
    job, tokens = _find(args, paths)
    why = explain(FS, paths, CLOCK, job)
    if args.json:
        emit_json({"job": job, "state": tokens[job][0].word, "explain": why})
    else:
        emit([f"{job}: {why}"])
    return 0


def _change(args: argparse.Namespace, change: Any) -> int:
    paths = lab_of(args)
    job, _ = _find(args, paths)
    queue = open_queue(paths)
    try:
        outcome = change(queue, job)
    finally:
        queue.events.flush()
    return report(args, job, [outcome])


def run_cancel(args: argparse.Namespace) -> int:
    from lab.cli.exp import _user
    from lab.queue_ops import cancel_job

    return _change(args, lambda queue, job: cancel_job(queue, job, by=_user(), why=args.why))


def run_retry(args: argparse.Namespace) -> int:
    from lab.queue_ops import retry_job

    return _change(args, retry_job)


def run_hold(args: argparse.Namespace) -> int:
    from lab.queue_ops import hold_job

    return _change(args, hold_job)


def run_unhold(args: argparse.Namespace) -> int:
    from lab.queue_ops import unhold_job

    return _change(args, unhold_job)
