"""What people ask of jobs and experiments: cancel, retry, hold, unhold."""

from __future__ import annotations

from dataclasses import dataclass

from lab import births
from lab.errors import LeaseError
from lab.fsio import dump_json, publish, remove
from lab.job import JobState
from lab.queue import Queue
from lab.release import Releaser
from lab.units import utc_now_text

STOPPABLE = (JobState.waiting, JobState.ready, JobState.delayed, JobState.held)
TRIES = 5


@dataclass(frozen=True)
class Outcome:
    """What became of a request: the job's state now, and a sentence."""

    job: str
    state: JobState
    changed: bool
    text: str


def cancel_job(queue: Queue, job: str, *, by: str = "", why: str = "") -> Outcome:
    """Leave a durable intent, then move the token if nobody runs it. If done/ won, the answer is "already done"."""
    spec = queue.spec(job)
    state, token, _ = queue.find(job)
    if state.terminal:
        return Outcome(job, state, False, f"already {state.word}")
    tmp = queue.tmp_name()
    nonce = tmp.rpartition(".")[2]
    intent = {"format": 1, "nonce": nonce, "by": by or queue.who, "at": utc_now_text(queue.clock.wall()), "why": why}
    publish(queue.fs, queue.paths.tmp(tmp), queue.paths.cancel(job), dump_json(intent), nonce)
    for _ in range(TRIES):
        state, token, _ = queue.find(job)
        if state is JobState.cancelled:
            return Outcome(job, state, True, "cancelled")
        if state.terminal:
            return Outcome(job, state, False, f"already {state.word}")
        if state is JobState.running:
            return Outcome(job, state, True, f"its worker {token.inc} will stop it")
        if queue.go(spec, state, token, JobState.cancelled, token.next(t=None), "cancelled", why):
            return Outcome(job, JobState.cancelled, True, "cancelled")
    return Outcome(job, state, True, "it keeps moving; whoever takes it next will cancel it")


def retry_job(queue: Queue, job: str) -> Outcome:
    """Put a job that ended without a result back to waiting, with fresh limits."""
    spec = queue.spec(job)
    for _ in range(TRIES):
        state, token, _ = queue.find(job)
        if state is JobState.done:
            return Outcome(job, state, False, "already done")
        if not state.terminal:
            if queue.cancel_intended(job) and state is not JobState.running:
                remove(queue.fs, queue.paths.cancel(job))
            return Outcome(job, state, False, f"it is {state.word} already")
        if queue.cancel_intended(job):
            remove(queue.fs, queue.paths.cancel(job))
        if queue.go(spec, state, token, JobState.waiting, token.next(l=0, f=0, t=None, inc=None), "retry"):
            return Outcome(job, JobState.waiting, True, "waiting again")
    raise LeaseError(f"job {job} keeps moving", "try again")


def hold_job(queue: Queue, job: str) -> Outcome:
    """Keep a job that does not run yet from running until unhold."""
    return _shift(queue, job, (JobState.waiting, JobState.ready, JobState.delayed), JobState.held, "held")


def unhold_job(queue: Queue, job: str) -> Outcome:
    """Let a held job go on; it waits for its needs as before."""
    return _shift(queue, job, (JobState.held,), JobState.waiting, "unheld")


def _shift(queue: Queue, job: str, sources: tuple[JobState, ...], to: JobState, cause: str) -> Outcome:
    spec = queue.spec(job)
    for _ in range(TRIES):
        state, token, _ = queue.find(job)
        if state not in sources:
            return Outcome(job, state, False, f"it is {state.word}")
        if queue.go(spec, state, token, to, token.next(t=None), cause):
            return Outcome(job, to, True, cause)
    raise LeaseError(f"job {job} keeps moving", "try again")


def cancel_exp(queue: Queue, exp: str, *, by: str = "", why: str = "") -> list[Outcome]:
    """Cancel every job of an experiment, last steps first, so that nothing new becomes ready meanwhile."""
    births.expand(queue, exp)  # a half-done submit is finished first: a job without a token cannot be cancelled
    return [cancel_job(queue, job, by=by, why=why) for job in reversed(queue.jobs_of(exp))]


def retry_exp(queue: Queue, exp: str) -> list[Outcome]:
    """Retry what failed, was quarantined or cancelled; done jobs stay. What is ready starts at once."""
    births.expand(queue, exp)
    outcomes = [retry_job(queue, job) for job in queue.jobs_of(exp)]
    Releaser(queue).release()
    return outcomes
