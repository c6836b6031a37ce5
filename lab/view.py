"""Read the lab without changing it: tokens, beats, manifests and last events, in a few listings and reads."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lab import token as tokens
from lab.clock import Clock
from lab.errors import CorruptFile
from lab.fsio import Fs, read_json
from lab.job import JobState, read_manifest
from lab.paths import CLASSES, PRIORITIES, LabPaths
from lab.token import Token, host_of
from lab.units import parse_duration, parse_utc

__all__ = [
    "View",
    "Worker",
    "cause_of",
    "dicts",
    "expire_seconds",
    "finite",
    "last_words",
    "read_beats",
    "read_manifests",
    "read_view",
    "scan_tokens",
]

DEFAULT_EXPIRE_S = 90.0
MAX_LOG_BYTES = 16 << 20
MAX_WORDS_CHARS = 300


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
            found[exp] = read_manifest(fs, paths.manifest(exp), exp)
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


@dataclass(frozen=True, slots=True)
class Worker:
    """One daemon, as its last beat tells. `age_s` compares two hosts' clocks: for people, not for decisions."""

    inc: str
    host: str
    state: str  # up, draining, late, stale, left
    age_s: float | None
    cpus_used: int
    cpus_total: int
    jobs: int


@dataclass(slots=True)
class View:
    """What reasons are derived from: where every job is, what it needs, and who is there to serve it."""

    states: dict[str, tuple[JobState, Token, str]]
    specs: dict[str, Mapping[str, Any]]
    workers: list[Worker]
    gpus_of: dict[str, int]
    now: float
    events: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # job -> its last event
    roles_of: dict[str, frozenset[str]] = field(default_factory=dict)


def read_view(
    fs: Fs, paths: LabPaths, clock: Clock
) -> tuple[View, dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Read tokens, beats and manifests; returns (view, beats, manifests)."""
    now = clock.wall()
    states = {token.job: (state, token, folder) for state, token, folder in scan_tokens(fs, paths)}
    manifests = read_manifests(fs, paths)
    specs = {str(job["job"]): job for manifest in manifests.values() for job in dicts(manifest.get("jobs"))}
    beats = read_beats(fs, paths)
    expire_s = expire_seconds(fs, paths)
    workers = [_worker(inc, beat, now, expire_s) for inc, beat in beats.items()]
    view = View(states, specs, workers, {inc: len(dicts(beat.get("gpus"))) for inc, beat in beats.items()}, now)
    view.events = _last_events(fs, paths)
    if any((spec.get("resources") or {}).get("roles") for spec in specs.values()):
        view.roles_of = {worker.inc: _roles(fs, paths, worker.inc) for worker in workers}
    return view, beats, manifests


def _roles(fs: Fs, paths: LabPaths, inc: str) -> frozenset[str]:
    """What a daemon may be used for; its info.json is written once, so no beat repeats it."""
    try:
        roles = read_json(fs, paths.info(inc), 1 << 20).get("roles")
    except (OSError, CorruptFile):
        return frozenset()
    return frozenset(str(role) for role in roles) if isinstance(roles, list) else frozenset()


def _worker(inc: str, beat: Mapping[str, Any], now: float, expire_s: float) -> Worker:
    try:
        age = max(0.0, now - parse_utc(str(beat.get("at"))))
    except ValueError:
        age = None
    state = str(beat.get("state") or "stale")
    if state == "left":
        pass  # it said goodbye: no beat is expected
    elif age is None or age >= expire_s:
        state = "stale"
    elif age >= expire_s / 2:
        state = "late"
    cpus = beat.get("cpus") if isinstance(beat.get("cpus"), Mapping) else {}
    used, total = (int(finite(cpus.get(key)) or 0) for key in ("used", "total"))  # type: ignore[union-attr]
    return Worker(inc, str(beat.get("host") or host_of(inc)), state, age, used, total, len(dicts(beat.get("jobs"))))


def _last_events(fs: Fs, paths: LabPaths) -> dict[str, Mapping[str, Any]]:
    """The last event of each job, from the newest file of each daemon (older files are history)."""
    last: dict[str, Mapping[str, Any]] = {}
    for inc in fs.listdir(paths.events_root):
        try:
            numbers = [
                int(name[:-6])
                for name in fs.listdir(paths.events_dir(inc))
                if name[:-6].isascii() and name[:-6].isdigit()
            ]
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


def last_words(fs: Fs, paths: LabPaths, event: Mapping[str, Any] | None) -> str:
    """The last line of the log of the attempt that an event ended; "" if there is none.

    The attempt's epoch is the G of its run/ name, one before the token that the event tells of.
    """
    ended = tokens.parse(str((event or {}).get("token") or ""))
    if event is None or ended is None or event.get("from") != JobState.running.word:
        return ""
    inc = ended.inc or str(event.get("inc") or "")
    exp, job = str(event.get("exp") or ""), ended.job
    try:
        log = fs.read(f"{paths.attempt(exp, job, ended.g - 1, inc)}/log.txt", MAX_LOG_BYTES)
    except (OSError, ValueError):
        return ""
    lines = [line.strip() for line in log[-4096:].decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:MAX_WORDS_CHARS] if lines else ""


def cause_of(event: Mapping[str, Any] | None) -> str:
    if not event or not event.get("cause"):
        return ""
    detail = str(event.get("detail") or "").strip().splitlines()
    return f": {event['cause']}" + (f" ({detail[0][:160]})" if detail else "")


def dicts(raw: Any) -> list[Mapping[str, Any]]:
    return [item for item in raw if isinstance(item, Mapping)] if isinstance(raw, list) else []


def finite(raw: Any) -> float | None:
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not math.isfinite(raw):
        return None
    return float(raw)
