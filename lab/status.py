"""What `lab status` knows: one read-only look at the queue and the beats, as plain data without any drawing."""

from __future__ import annotations

import json
import math
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lab import token as tokens
from lab.clock import Clock
from lab.errors import CorruptFile, NotFound
from lab.fsio import Fs, read_json
from lab.job import JobState
from lab.paths import CLASSES, PRIORITIES, LabPaths
from lab.token import Token, host_of
from lab.units import parse_duration, parse_utc, utc_now_text

__all__ = [
    "SCHEMA_VERSION",
    "End",
    "Gpu",
    "Pending",
    "Running",
    "StatusSnapshot",
    "Worker",
    "explain",
    "read_beats",
    "scan_tokens",
    "take_snapshot",
]

SCHEMA_VERSION = 1
DEFAULT_EXPIRE_S = 90.0
RECENT_ENDS = 5
FAILURES = (JobState.failed, JobState.quarantine, JobState.cancelled)
ACTIVE = (JobState.waiting, JobState.ready, JobState.delayed, JobState.held)


# --- reading -------------------------------------------------------------------------------------


def scan_tokens(fs: Fs, paths: LabPaths, exp: str | None = None) -> list[tuple[JobState, Token, str]]:
    """List every token as (state, token, folder); each job once.

    Folders are read in the order in which tokens travel, so that one that moves meanwhile is met again rather than
    missed; of two sightings the one with the higher G is the later. Names that are no tokens are left out.
    With `exp`, run/ and done/ of the other experiments are not read.
    """
    seen: dict[str, tuple[JobState, Token, str]] = {}
    for state, folder in _folders(fs, paths, exp):
        try:
            names = fs.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):  # an experiment that no job of has run yet
            continue
        for name in names:
            found = tokens.parse(name)
            if found is not None and (found.job not in seen or seen[found.job][1].g < found.g):
                seen[found.job] = (state, found, folder)
    return sorted(seen.values(), key=lambda item: item[1].seq)


def _folders(fs: Fs, paths: LabPaths, exp: str | None) -> Iterable[tuple[JobState, str]]:
    yield JobState.held, paths.held
    yield JobState.waiting, paths.waiting
    yield JobState.delayed, paths.delayed
    for klass in CLASSES:
        for prio in PRIORITIES:
            yield JobState.ready, paths.ready(klass, prio)
    for state, root in ((JobState.running, paths.run_root), (JobState.done, paths.done_root)):
        for name in [exp] if exp is not None else sorted(fs.listdir(root)):
            yield state, f"{root}/{name}"
    yield JobState.failed, paths.failed
    yield JobState.quarantine, paths.quarantine
    yield JobState.cancelled, paths.cancelled


def read_beats(fs: Fs, paths: LabPaths) -> dict[str, dict[str, Any]]:
    """Read every worker's beat by incarnation; one that is missing or damaged is {}."""
    beats: dict[str, dict[str, Any]] = {}
    for inc in sorted(fs.listdir(paths.workers)):
        if not tokens.is_inc(inc):
            continue
        try:
            beats[inc] = read_json(fs, paths.beat(inc), 4 << 20)
        except (OSError, CorruptFile):
            beats[inc] = {}
    return beats


def read_manifests(fs: Fs, paths: LabPaths) -> dict[str, dict[str, Any]]:
    """Read every experiment's manifest, oldest first; a damaged one is left out (`lab doctor` names it)."""
    found = {}
    for exp in fs.listdir(paths.exps):
        try:
            found[exp] = read_json(fs, paths.manifest(exp))
        except (OSError, CorruptFile):
            continue
    return dict(sorted(found.items(), key=lambda item: (str(item[1].get("created", "")), item[0])))


def expire_seconds(fs: Fs, paths: LabPaths) -> float:
    """How long a beat may stand still. Read without the full check of cluster.toml, which costs an import."""
    try:
        lease = tomllib.loads(fs.read(paths.cluster_toml, 1 << 20).decode()).get("lease") or {}
        return parse_duration(lease["expire"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return DEFAULT_EXPIRE_S


# --- the snapshot --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Worker:
    """One daemon, as its last beat tells. `age_s` compares two hosts' clocks: for people, not for decisions."""

    inc: str
    host: str
    state: str  # up, draining, late, stale
    age_s: float | None
    cpus_used: int
    cpus_total: int
    jobs: int


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


@dataclass(slots=True)
class View:
    """What reasons are derived from: where every job is, what it needs, and who is there to serve it."""

    states: dict[str, tuple[JobState, Token, str]]
    specs: dict[str, Mapping[str, Any]]
    workers: list[Worker]
    gpus_of: dict[str, int]
    now: float
    events: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # job -> its last event
    roles_of: dict[str, list[str]] = field(default_factory=dict)


def take_snapshot(fs: Fs, paths: LabPaths, clock: Clock) -> StatusSnapshot:
    """Look once at the whole lab."""
    view, beats, manifests = read_view(fs, paths, clock)
    counts = Counter(state.word for state, _, _ in view.states.values())
    snapshot = StatusSnapshot(
        lab=paths.root,
        at=utc_now_text(view.now),
        counts={state.word: counts.get(state.word, 0) for state in JobState},
        oldest_wait_s=None,
        workers=view.workers,
        experiments=len(manifests),
    )
    by_inc = {worker.inc: worker for worker in view.workers}
    snapshot.gpus = [gpu for inc, beat in beats.items() for gpu in _gpus(by_inc[inc], beat)]
    reported = {
        str(job.get("token")): (by_inc[inc], job) for inc, beat in beats.items() for job in _dicts(beat.get("jobs"))
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


def read_view(
    fs: Fs, paths: LabPaths, clock: Clock
) -> tuple[View, dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Read tokens, beats and manifests; returns (view, beats, manifests)."""
    now = clock.wall()
    states = {token.job: (state, token, folder) for state, token, folder in scan_tokens(fs, paths)}
    manifests = read_manifests(fs, paths)
    specs = {str(job["job"]): job for manifest in manifests.values() for job in _dicts(manifest.get("jobs"))}
    beats = read_beats(fs, paths)
    expire_s = expire_seconds(fs, paths)
    workers = [_worker(inc, beat, now, expire_s) for inc, beat in beats.items()]
    view = View(states, specs, workers, {inc: len(_dicts(beat.get("gpus"))) for inc, beat in beats.items()}, now)
    view.events = _last_events(fs, paths)
    return view, beats, manifests


def _worker(inc: str, beat: Mapping[str, Any], now: float, expire_s: float) -> Worker:
    try:
        age = max(0.0, now - parse_utc(str(beat.get("at"))))
    except ValueError:
        age = None
    state = str(beat.get("state") or "stale")
    if age is None or age >= expire_s:
        state = "stale"
    elif age >= expire_s / 2:
        state = "late"
    cpus = beat.get("cpus") if isinstance(beat.get("cpus"), Mapping) else {}
    used, total = (int(_float(cpus.get(key)) or 0) for key in ("used", "total"))  # type: ignore[union-attr]
    return Worker(inc, str(beat.get("host") or host_of(inc)), state, age, used, total, len(_dicts(beat.get("jobs"))))


def _gpus(worker: Worker, beat: Mapping[str, Any]) -> list[Gpu]:
    epochs = {str(job.get("job")): job.get("epoch") for job in _dicts(beat.get("jobs"))}
    rows = []
    for raw in _dicts(beat.get("gpus")):
        holder = str(raw["holder"]) if raw.get("holder") else None
        used, total = (_float(raw.get(key)) for key in ("mem_used_bytes", "mem_total_bytes"))
        rows.append(
            Gpu(
                host=worker.host,
                index=int(_float(raw.get("index")) or 0),
                name=str(raw.get("name") or ""),
                holder=holder,
                epoch=epochs.get(holder or ""),
                worker_state=worker.state,
                age_s=worker.age_s,
                util_pct=_float(raw.get("util_pct")),
                mem_used_bytes=None if used is None else int(used),
                mem_total_bytes=None if total is None else int(total),
                temp_c=_float(raw.get("temp_c")),
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
        elapsed_s=_float(raw.get("elapsed_s")),
        time_limit_s=_float(raw.get("time_limit_s")) or _float(spec.get("time_limit_s")),
        **progress_fields(raw.get("progress"), raw.get("metric")),
    )


def progress_fields(progress: Any, metric: Any) -> dict[str, Any]:
    """The fields of `Running` that a progress record tells (a beat's, or a task's progress.json); odd ones are None."""
    progress = progress if isinstance(progress, Mapping) else {}
    metric = metric if isinstance(metric, Mapping) else {}
    value = _float(metric.get("value"))
    done, total, rate, eta = (_float(progress.get(key)) for key in ("done", "total", "rate", "eta_s"))
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


# --- why is it not running? ----------------------------------------------------------------------


def reason(job: str, view: View) -> str:
    """Say in one true line where a job is and what it waits for."""
    if job not in view.states:
        return "in the manifest, but its token is not placed yet (a worker finishes the expansion)"
    state, token, _ = view.states[job]
    spec = view.specs.get(job) or {}
    cause = _cause(view.events.get(job))
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
        return f"held by a person{cause}"
    if state is JobState.ready:
        return _unserved(spec, view)
    ended = {
        JobState.failed: f"failed by itself {token.f} times",
        JobState.quarantine: f"in quarantine: lost with its worker {token.l} times",
        JobState.cancelled: "cancelled",
    }[state]
    return f"{ended}{cause}; lab job retry {job}"


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
    gpus, cpus = int(resources.get("gpus") or 0), int(resources.get("cpus") or 1)
    if gpus and not any(view.gpus_of.get(worker.inc, 0) >= gpus for worker in up):
        most = max((view.gpus_of.get(worker.inc, 0) for worker in up), default=0)
        return f"no worker has {gpus} gpu{'s' if gpus > 1 else ''} (the most is {most})"
    if not any(worker.cpus_total >= cpus for worker in up):
        return f"no worker has {cpus} cpus (the most is {max(worker.cpus_total for worker in up)})"
    if not any(worker.cpus_total - worker.cpus_used >= cpus for worker in up):
        return f"no worker has {cpus} cpu{'s' if cpus > 1 else ''} free now"
    return "next free worker takes it"


def _up(view: View) -> list[Worker]:
    return [worker for worker in view.workers if worker.state in ("up", "late")]


def explain(fs: Fs, paths: LabPaths, clock: Clock, job: str) -> str:
    """One true line on why a job is not running; NotFound if there is no such job."""
    view, _, _ = read_view(fs, paths, clock)
    if job not in view.states and job not in view.specs:
        raise NotFound(f"no job {job}", "lab job list shows them")
    return reason(job, view)


# --- ends ----------------------------------------------------------------------------------------


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
        ended.append(End(job, exp, state.word, str(event.get("at") or ""), _cause(event).removeprefix(": "), log))
    latest = sorted(ended, key=lambda end: (end.at, end.job), reverse=True)
    bad = [end for end in latest if end.state != JobState.done.word][:RECENT_ENDS]
    return bad + [end for end in latest if end.state == JobState.done.word][: RECENT_ENDS - len(bad)]


def _last_events(fs: Fs, paths: LabPaths) -> dict[str, Mapping[str, Any]]:
    """The last event of each job, from the newest file of each daemon (older files are history)."""
    last: dict[str, Mapping[str, Any]] = {}
    for inc in fs.listdir(paths.events_root):
        try:
            numbers = [int(name[:-6]) for name in fs.listdir(paths.events_dir(inc)) if name[:-6].isdigit()]
            data = fs.read(paths.events(inc, max(numbers)), 64 << 20) if numbers else b""
        except OSError:
            continue
        for line in data.splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            job = event.get("job") if isinstance(event, dict) else None
            if job and (job not in last or str(last[job].get("at")) <= str(event.get("at"))):
                last[job] = event
    return last


def _cause(event: Mapping[str, Any] | None) -> str:
    if not event or not event.get("cause"):
        return ""
    detail = str(event.get("detail") or "").strip().splitlines()
    return f": {event['cause']}" + (f" ({detail[0][:160]})" if detail else "")


def _exp_of(token: Token, view: View, folder: str) -> str:
    spec = view.specs.get(token.job)
    return str(spec["exp"]) if spec and spec.get("exp") else ""


def _dicts(raw: Any) -> list[Mapping[str, Any]]:
    return [item for item in raw if isinstance(item, Mapping)] if isinstance(raw, list) else []


def _float(raw: Any) -> float | None:
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not math.isfinite(raw):
        return None
    return float(raw)
