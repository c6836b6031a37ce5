"""Why is a job not running? One true line for each, derived from where tokens are and who is there to serve them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.clock import Clock
from lab.errors import NotFound
from lab.fsio import Fs
from lab.job import JobState
from lab.paths import LabPaths
from lab.token import host_of
from lab.units import utc_now_text
from lab.view import View, Worker, cause_of, last_words, read_view

__all__ = ["explain", "reason"]

TROUBLED = (JobState.failed, JobState.quarantine, JobState.delayed)


def reason(job: str, view: View) -> str:
    """Say in one true line where a job is and what it waits for."""
    if job not in view.states:
        return "in the manifest, but its token is not placed yet (a worker finishes the expansion)"
    state, token, _ = view.states[job]
    spec = view.specs.get(job) or {}
    cause = cause_of(view.events.get(job))
    if state is JobState.running:
        return f"running on {host_of(token.inc or '?')}, epoch {token.g}"
    if state is JobState.done:
        return f"done: accepted from {host_of(token.inc or '?')}"
    if state is JobState.waiting:
        return _waits_for(spec, view)
    if state is JobState.delayed:
        left = max(0.0, (token.t or 0) - view.now)
        when = f"not before {utc_now_text(token.t or 0)}" + (f" (in {left:.0f} s)" if left else " (due now)")
        if token.f:
            return f"{when} after failure {token.f}/{spec.get('max_failures', '?')}{cause}"
        return f"{when} after loss {token.l}/{spec.get('max_losses', '?')}{cause}"
    if state is JobState.held:
        return f"held by a person{cause}; lab job unhold {job}"
    if state is JobState.ready:
        return _unserved(spec, view)
    ended = {
        JobState.failed: f"failed by itself {_times(token.f)}",
        JobState.quarantine: f"in quarantine: lost with its worker {_times(token.l)}",
        JobState.cancelled: "cancelled",
    }[state]
    return f"{ended}{cause}; lab job retry {job}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _waits_for(spec: Mapping[str, Any], view: View) -> str:
    open_needs = [
        (need, view.states[need][0].word if need in view.states else "not placed")
        for need in spec.get("needs") or ()
        if need not in view.states or view.states[need][0] is not JobState.done
    ]
    if not open_needs:
        return "its needs are done: a worker makes it ready next" + ("" if _up(view) else "; no worker is up")
    shown = ", ".join(f"{need} ({word})" for need, word in open_needs[:2])
    return f"waits for {shown}" + (f" and {len(open_needs) - 2} more" if len(open_needs) > 2 else "")


def _unserved(spec: Mapping[str, Any], view: View) -> str:
    """Why nobody has claimed a ready job."""
    up = _up(view)
    if not up:
        return "no worker is up: lab worker starts one"
    resources = spec.get("resources") or {}
    if roles := set(resources.get("roles") or ()):
        up = [worker for worker in up if roles <= view.roles_of.get(worker.inc, frozenset())]
        if not up:
            return f"no worker has the roles {', '.join(sorted(roles))}"
    gpus, cpus = int(resources.get("gpus") or 0), int(resources.get("cpus") or 1)
    if gpus and not any(view.gpus_of.get(worker.inc, 0) >= gpus for worker in up):
        most = max((view.gpus_of.get(worker.inc, 0) for worker in up), default=0)
        return f"no worker has {gpus} gpu{'s' if gpus > 1 else ''} (the most is {most})"
    if not any(worker.cpus_total >= cpus for worker in up):
        return f"no worker has {cpus} cpus (the most is {max(worker.cpus_total for worker in up)})"
    if not any(worker.cpus_total - worker.cpus_used >= cpus for worker in up):
        return f"no worker has {cpus} cpu{'s' if cpus > 1 else ''} free now"
    if kind := resources.get("gpu_type"):
        return f"waits for a worker with {gpus} free gpu{'s' if gpus > 1 else ''} of type {kind}"
    return "next free worker takes it"


def _up(view: View) -> list[Worker]:
    return [worker for worker in view.workers if worker.state in ("up", "late")]


def explain(fs: Fs, paths: LabPaths, clock: Clock, job: str) -> str:
    """One true line on why a job is not running; NotFound if there is no such job."""
    view, _, _ = read_view(fs, paths, clock)
    if job not in view.states and job not in view.specs:
        raise NotFound(f"no job {job}", "lab job list shows them")
    line = reason(job, view)
    if job in view.states and view.states[job][0] in TROUBLED:
        words = last_words(fs, paths, view.events.get(job))
        return f"{line}; its log ends: {words}" if words else line
    return line
