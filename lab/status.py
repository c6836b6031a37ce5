"""What `lab status` knows: one read-only look at the queue and the beats, as plain data without any drawing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lab.clock import Clock
from lab.fsio import Fs
from lab.job import JobState
from lab.paths import LabPaths
from lab.reasons import reason
from lab.token import Token, host_of
from lab.units import utc_now_text
from lab.view import View, Worker, cause_of, dicts, finite, last_words, read_view

__all__ = [
    "FAILURES",
    "SCHEMA_VERSION",
    "End",
    "Gpu",
    "Pending",
    "Running",
    "StatusSnapshot",
    "Worker",
    "progress_fields",
    "take_snapshot",
]

SCHEMA_VERSION = 1
RECENT_ENDS = 5
HISTORY_S = 86_400.0
FAILURES = (JobState.failed, JobState.quarantine, JobState.cancelled)
ACTIVE = (JobState.waiting, JobState.ready, JobState.delayed, JobState.held)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as its host's daemon publishes it."""

    host: str
    index: int
    name: str
    holder: str | None
    epoch: int | None
    worker_state: str
    age_s: float | None
    util_pct: float | None
    mem_used_bytes: int | None
    mem_total_bytes: int | None
    temp_c: float | None


@dataclass(frozen=True, slots=True)
class Running:
    """One running job; progress is None until the task reports some."""

    job: str
    exp: str
    host: str
    inc: str
    epoch: int
    worker_state: str
    done: float | None
    total: float | None
    unit: str
    rate: float | None
    elapsed_s: float | None
    time_limit_s: float | None
    eta_s: float | None
    metric: tuple[str, float] | None


@dataclass(frozen=True, slots=True)
class Pending:
    """One job that is to run, with the reason why it does not yet."""

    job: str
    exp: str
    state: str
    waited_s: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class End:
    """One job that ended."""

    job: str
    exp: str
    state: str
    at: str
    cause: str
    path: str  # where its log is, "" if no attempt is known


@dataclass(slots=True)
class StatusSnapshot:
    """Everything on the status screen."""

    lab: str
    at: str
    counts: dict[str, int]
    oldest_wait_s: float | None
    workers: list[Worker] = field(default_factory=list)
    gpus: list[Gpu] = field(default_factory=list)
    running: list[Running] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    experiments: int = 0

    def to_json(self) -> dict[str, Any]:
        """The document of `lab status --json`; keys are only ever added."""
        document: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        for row in document["running"]:
            if row["metric"]:
                row["metric"] = {"name": row["metric"][0], "value": row["metric"][1]}
        return document


def take_snapshot(fs: Fs, paths: LabPaths, clock: Clock) -> StatusSnapshot:
    """Look once at the whole lab."""
    view, beats, manifests = read_view(fs, paths, clock)
    holders = {token.inc for state, token, _ in view.states.values() if state is JobState.running}
    counts = Counter(state.word for state, _, _ in view.states.values())
    snapshot = StatusSnapshot(
        lab=paths.root,
        at=utc_now_text(view.now),
        counts={state.word: counts.get(state.word, 0) for state in JobState},
        oldest_wait_s=None,
        # Who said goodbye, or has been silent for a day, is history: unless jobs still hang on it.
        workers=[w for w in view.workers if w.inc in holders or not _is_history(w)],
        experiments=len(manifests),
    )
    by_inc = {worker.inc: worker for worker in view.workers}
    shown = {worker.inc for worker in snapshot.workers}
    snapshot.gpus = [gpu for inc, beat in beats.items() if inc in shown for gpu in _gpus(by_inc[inc], beat)]
    reported = {
        str(job.get("token")): (by_inc[inc], job) for inc, beat in beats.items() for job in dicts(beat.get("jobs"))
    }
    for state, token, folder in view.states.values():
        exp = _exp_of(token, view, folder)
        if state is JobState.running:
            snapshot.running.append(
                _running(token, exp, reported.get(token.name), by_inc, view.specs.get(token.job) or {})
            )
        elif state in ACTIVE:
            waited = max(0.0, view.now - int(token.seq[:13]) / 1000)
            snapshot.pending.append(Pending(token.job, exp, state.word, waited, reason(token.job, view)))
    waits = [row.waited_s for row in snapshot.pending if row.waited_s is not None and row.state == "ready"]
    snapshot.oldest_wait_s = max(waits, default=None)
    snapshot.pending.sort(key=lambda row: (_PENDING_ORDER.index(row.state), -(row.waited_s or 0)))
    snapshot.ends = _ends(fs, paths, view)
    return snapshot


_PENDING_ORDER = ("ready", "delayed", "waiting", "held")


def _is_history(worker: Worker) -> bool:
    return worker.state == "left" or (worker.state == "stale" and (worker.age_s is None or worker.age_s > HISTORY_S))


def _gpus(worker: Worker, beat: Mapping[str, Any]) -> list[Gpu]:
    epochs = {str(job.get("job")): job.get("epoch") for job in dicts(beat.get("jobs"))}
    rows = []
    for raw in dicts(beat.get("gpus")):
        holder = str(raw["holder"]) if raw.get("holder") else None
        used, total = (finite(raw.get(key)) for key in ("mem_used_bytes", "mem_total_bytes"))
        rows.append(
            Gpu(
                host=worker.host,
                index=int(finite(raw.get("index")) or 0),
                name=str(raw.get("name") or ""),
                holder=holder,
                epoch=epochs.get(holder or ""),
                worker_state=worker.state,
                age_s=worker.age_s,
                util_pct=finite(raw.get("util_pct")),
                mem_used_bytes=None if used is None else int(used),
                mem_total_bytes=None if total is None else int(total),
                temp_c=finite(raw.get("temp_c")),
            )
        )
    return rows


def _running(
    token: Token,
    exp: str,
    reported: tuple[Worker, Mapping[str, Any]] | None,
    by_inc: Mapping[str, Worker],
    spec: Mapping[str, Any],
) -> Running:
    """A job in run/; until the next beat names it, only its token and its limit are known."""
    worker, raw = reported if reported else (by_inc.get(token.inc or ""), {})
    return Running(
        job=token.job,
        exp=exp,
        host=worker.host if worker else host_of(token.inc or ""),
        inc=token.inc or "",
        epoch=token.g,
        worker_state=worker.state if worker else "gone",
        elapsed_s=finite(raw.get("elapsed_s")),
        time_limit_s=finite(raw.get("time_limit_s")) or finite(spec.get("time_limit_s")),
        **progress_fields(raw.get("progress"), raw.get("metric")),
    )


def progress_fields(progress: Any, metric: Any) -> dict[str, Any]:
    """The fields of `Running` that a progress record tells (a beat's, or a task's progress.json); odd ones are None."""
    progress = progress if isinstance(progress, Mapping) else {}
    metric = metric if isinstance(metric, Mapping) else {}
    value = finite(metric.get("value"))
    done, total, rate, eta = (finite(progress.get(key)) for key in ("done", "total", "rate", "eta_s"))
    if eta is None and rate and done is not None and total is not None and total >= done:
        eta = (total - done) / rate
    return {
        "done": done,
        "total": total,
        "unit": str(progress.get("unit") or ""),
        "rate": rate,
        "eta_s": eta,
        "metric": None if value is None else (str(metric.get("name")), value),
    }


def _ends(fs: Fs, paths: LabPaths, view: View) -> list[End]:
    """The last ends, failures first."""
    ended = []
    for job, (state, token, folder) in view.states.items():
        if not state.terminal:
            continue
        event = view.events.get(job) or {}
        exp = _exp_of(token, view, folder)
        log = ""
        if token.inc and exp:
            # The attempt's epoch is the G of its run/ name, which was the rename before this one.
            log = f"{paths.attempt(exp, job, token.g - 1, token.inc)}/log.txt"
        ended.append(End(job, exp, state.word, str(event.get("at") or ""), cause_of(event).removeprefix(": "), log))

    def tell(end: End) -> End:
        """Failures say what their log ends with: the exit code alone helps nobody."""
        words = last_words(fs, paths, view.events.get(end.job)) if end.state == JobState.failed.word else ""
        return replace(end, cause=f"{end.cause}: {words}") if words and words not in end.cause else end

    latest = sorted(ended, key=lambda end: (end.at, end.job), reverse=True)
    # One failure may have cancelled hundreds of dependents: those must not hide it.
    causes = (JobState.failed.word, JobState.quarantine.word)
    bad = [end for end in latest if end.state in causes][:RECENT_ENDS]
    rest = [end for end in latest if end.state not in causes]
    return [tell(end) for end in bad] + rest[: RECENT_ENDS - len(bad)]


def _exp_of(token: Token, view: View, folder: str) -> str:
    spec = view.specs.get(token.job)
    return str(spec["exp"]) if spec and spec.get("exp") else ""
