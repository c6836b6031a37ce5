"""lab exp list|show|wait|cancel|retry: whole experiments."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lab.cli.common import (
    CLOCK,
    EXIT_JOB_FAILED,
    FS,
    add_command,
    emit,
    emit_json,
    lab_of,
    relative,
    say,
    select,
    state_text,
    table,
)  # fmt: skip
from lab.errors import NotFound, UsageError
from lab.job import JobState, read_manifest
from lab.paths import LabPaths
from lab.status import FAILURES
from lab.token import Token
from lab.units import parse_duration
from lab.view import read_manifests, scan_tokens

__all__ = ["experiment_ids", "experiment_state", "open_queue", "register", "wait_for"]

POLL_S = 0.5


def register(subparsers: Any) -> None:
    parser = add_command(subparsers, "exp", "experiments: list, show, wait, cancel, retry", None)
    nouns = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=type(parser))
    add_command(nouns, "list", "list the experiments, oldest first", run_list, data=True)
    for name, help_text, run in (
        ("show", "show an experiment's question, rule and jobs", run_show),
        ("wait", "wait until every job has ended; exit 1 if one failed", run_wait),
        ("cancel", "cancel every job that has not ended", run_cancel),
        ("retry", "run failed, quarantined and cancelled jobs again", run_retry),
    ):
        verb = add_command(nouns, name, help_text, run, data=True)
        verb.add_argument("exp", metavar="EXP", help="an id, a unique prefix of one, or `last`")
        if name == "wait":
            verb.add_argument("--timeout", metavar="TIME", help="give up after this long, such as 10m")
        if name == "cancel":
            verb.add_argument("--why", default="", help="a reason, kept with the job")


def experiment_ids(paths: LabPaths) -> list[str]:
    """Every experiment, oldest first."""
    return list(read_manifests(FS, paths))


def open_queue(paths: LabPaths) -> Any:
    """The queue for changing it (reading goes without: it costs imports)."""
    from lab.cluster import load_cluster
    from lab.queue import Queue, actor_name

    queue = Queue(FS, CLOCK, paths, actor_name(), load_cluster(paths.cluster_toml), log=say)
    queue.check_sentinel()
    return queue


def experiment_state(jobs: Sequence[str], states: Mapping[str, JobState]) -> str:
    """One word for a whole experiment."""
    found = [states.get(job, JobState.waiting) for job in jobs]
    if all(state is JobState.done for state in found):
        return "done"
    if all(state.terminal for state in found):
        return "cancelled" if all(s in (JobState.cancelled, JobState.done) for s in found) else "failed"
    return "running" if any(s is JobState.running or s.terminal for s in found) else "pending"


def _states(tokens: Iterable[tuple[JobState, Token, str]]) -> dict[str, JobState]:
    return {token.job: state for state, token, _ in tokens}


def _jobs_of(manifest: Mapping[str, Any]) -> list[str]:
    return [str(job["job"]) for job in manifest.get("jobs") or ()]


def run_list(args: argparse.Namespace) -> int:
    paths = lab_of(args)
    manifests = read_manifests(FS, paths)
    states = _states(scan_tokens(FS, paths))
    rows: list[dict[str, Any]] = []
    for exp, manifest in manifests.items():
        jobs = _jobs_of(manifest)
        counts = Counter(states.get(job, JobState.waiting).word for job in jobs)
        rows.append({"exp": exp, "state": experiment_state(jobs, states), "jobs": len(jobs), "counts": dict(counts),
                     "created": manifest.get("created"), "title": manifest.get("title")})  # fmt: skip
    if args.json:
        emit_json({"experiments": rows})
        return 0
    if not rows:
        say("no experiment yet; hint: lab submit FILE")
    table(
        args,
        ("EXPERIMENT", "STATE", "DONE", "CREATED", "TITLE"),
        [(r["exp"], r["state"], f"{r['counts'].get('done', 0)}/{r['jobs']}", r["created"], r["title"]) for r in rows],
    )
    return 0


def run_show(args: argparse.Namespace) -> int:
    paths = lab_of(args)
    exp = select(args.exp, experiment_ids(paths), "experiment")
    manifest = read_manifest(FS, paths.manifest(exp), exp)
    tokens = {token.job: (state, token) for state, token, _ in scan_tokens(FS, paths, exp)}
    states = {job: state for job, (state, _) in tokens.items()}
    jobs = []
    for spec in manifest.get("jobs") or ():
        state, token = tokens.get(spec["job"], (JobState.waiting, None))
        jobs.append({"job": spec["job"], "step": spec["step"], "state": state.word, "needs": spec.get("needs") or [],
                     "failures": token.f if token else 0, "losses": token.l if token else 0})  # fmt: skip
    word = experiment_state(_jobs_of(manifest), states)
    note, front = _note_if_any(paths, exp)
    if args.json:
        keys = ("title", "created", "submitted_by", "protocol_sha256", "code", "decision")
        emit_json({"exp": exp, "state": word, **{key: manifest.get(key) for key in keys},
                   "question": (manifest.get("protocol") or {}).get("question"), "verdict": front.get("verdict"),
                   "finding": front.get("finding"), "note": note, "jobs": jobs})  # fmt: skip
        return 0
    rule = manifest.get("decision") or {}
    emit([f"{exp}: {word}", f"title     {manifest.get('title')}",
          f"question  {str((manifest.get('protocol') or {}).get('question') or '').strip()}",
          f"rule      {rule.get('rule')}: {'; '.join(rule.get('accept') or []) or 'no conditions'}",
          f"submitted {manifest.get('created')} by {manifest.get('submitted_by')}"])  # fmt: skip
    if note:
        emit([f"verdict   {front.get('verdict', '?')}: {front.get('finding', '')}", f"note      {relative(note)}"])
    emit([""])
    table(args, ("JOB", "STATE", "FAILURES", "LOSSES", "NEEDS"),
          [(j["job"], state_text(j["state"]), j["failures"], j["losses"], " ".join(j["needs"]))
           for j in jobs])  # fmt: skip
    return 0


def _note_if_any(paths: LabPaths, exp: str) -> tuple[str | None, dict[str, Any]]:
    """The note's path and front matter, once it has been built."""
    from lab.notebook.index import parse_front_matter

    try:
        text = FS.read(paths.note(exp)).decode("utf-8", "replace")
    except FileNotFoundError:
        return None, {}
    return paths.note(exp), parse_front_matter(text)


def wait_for(paths: LabPaths, exp: str, timeout_s: float | None = None, tick: Any = None) -> dict[str, JobState]:
    """Wait until every job has ended; `tick(states)` is called at each look. UsageError at the time limit."""
    jobs = _jobs_of(read_manifest(FS, paths.manifest(exp), exp))
    deadline = None if timeout_s is None else CLOCK.monotonic() + timeout_s
    while True:
        found = _states(scan_tokens(FS, paths, exp))
        states = {job: found.get(job, JobState.waiting) for job in jobs}
        if tick is not None:
            tick(states)
        if all(state.terminal for state in states.values()):
            return states
        if deadline is not None and CLOCK.monotonic() >= deadline:
            raise UsageError(f"{exp} has not ended within the time given", f"lab exp show {exp}")
        CLOCK.sleep(POLL_S)


def run_wait(args: argparse.Namespace) -> int:
    paths = lab_of(args)
    try:
        timeout_s = parse_duration(args.timeout) if args.timeout else None
    except ValueError as error:
        raise UsageError(f"--timeout: {error}") from None
    exp = select(args.exp, experiment_ids(paths), "experiment")
    states = wait_for(paths, exp, timeout_s)
    word = experiment_state(list(states), states)
    if args.json:
        emit_json({"exp": exp, "state": word, "jobs": {job: state.word for job, state in states.items()}})
    else:
        emit([f"{exp}: {word}"])
        bad = [job for job, state in states.items() if state in FAILURES]
        for job in bad:
            say(f"{job} is {states[job].word}; see: lab job explain {job}")
    return 0 if word == "done" else EXIT_JOB_FAILED


def _change(args: argparse.Namespace, change: Any) -> int:
    paths = lab_of(args)
    exp = select(args.exp, experiment_ids(paths), "experiment")
    queue = open_queue(paths)
    try:
        outcomes = change(queue, exp)
    finally:
        queue.events.flush()
    return report(args, exp, outcomes)


def report(args: argparse.Namespace, what: str, outcomes: Sequence[Any]) -> int:
    """Say what became of a cancel or retry, job by job."""
    rows = [{"job": o.job, "state": o.state.word, "changed": o.changed, "text": o.text} for o in outcomes]
    if args.json:
        emit_json({"id": what, "jobs": rows})
    else:
        emit(f"{row['job']}: {row['text']}" for row in rows)
    return 0


def run_cancel(args: argparse.Namespace) -> int:
    from lab.queue_ops import cancel_exp

    return _change(args, lambda queue, exp: cancel_exp(queue, exp, by=_user(), why=args.why))


def run_retry(args: argparse.Namespace) -> int:
    from lab.queue_ops import retry_exp

    return _change(args, retry_exp)


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no passwd entry, as in many containers
        return "?"


def not_found(job: str) -> NotFound:
    """The error for a job that is nowhere."""
    return NotFound(f"no job {job!r}", "lab job list")
