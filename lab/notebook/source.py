"""Read what a note is built from: the manifest, the accepted results, the tokens and the events. Nothing else."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.errors import LabError, NotFound
from lab.fsio import Fs
from lab.job import JobState, read_manifest
from lab.paths import LabPaths
from lab.queue import ODD
from lab.results import accepted_result
from lab.stats import MatchCount, Metric, disagreements, metrics_of, read_match
from lab.token import Token
from lab.view import last_words, scan_tokens

__all__ = ["Attempt", "NoteSource", "read_source"]

MAX_LINES_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Attempt:
    """The accepted attempt of one job."""

    job: str
    step: str
    arm: Mapping[str, Any]
    seed: int
    folder: str  # absolute
    relative: str  # from results/<exp>/, for links
    result: Mapping[str, Any]  # the lab's result.json
    files: Mapping[str, Mapping[str, Any]]  # the manifest: name -> bytes, sha256
    several_seeds: bool = False  # whether the experiment runs this step with more than one seed
    repetition: int = 0  # of a step with `repeat`, from 1; 0 if the step has none
    shard: int | None = None  # of a step with `shards`

    @property
    def task(self) -> Mapping[str, Any]:
        """What the task itself wrote as its result."""
        task = self.result.get("task")
        return task if isinstance(task, Mapping) else {}

    @property
    def metrics(self) -> dict[str, Metric]:
        return metrics_of(self.task)

    @property
    def matches(self) -> list[MatchCount]:
        found = []
        for raw in self.task.get("matches") or ():
            try:
                found.append(read_match(raw))
            except (ValueError, AttributeError):
                continue  # reported by disagreements()
        return found

    @property
    def label(self) -> str:
        """The job in words: its step, and its arm and seed if there are several."""
        seed = f"seed={self.seed}" if self.several_seeds else ""
        shard = "" if self.shard is None else f"shard={self.shard}"
        return " ".join(part for part in (self.step, self.group, seed, shard) if part)

    @property
    def group(self) -> str:
        """The arm without the seed, and the repetition: runs of one group differ by chance only."""
        parts = [f"{key}={value}" for key, value in sorted(self.arm.items()) if key != "seed"]
        return " ".join([*parts, *([f"repeat={self.repetition}"] if self.repetition else [])])

    @property
    def variant(self) -> str:
        """The label without the step."""
        return self.label.removeprefix(self.step).strip()

    def number(self, key: str) -> float:
        """A figure of the lab's result.json, 0 if it is absent."""
        value = self.result.get(key)
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


@dataclass(slots=True)
class NoteSource:
    """Everything one note says, before it is put in words."""

    exp: str
    manifest: Mapping[str, Any]
    attempts: list[Attempt]  # in the order of the manifest
    states: dict[str, tuple[JobState, Token]]
    events: Sequence[Mapping[str, Any]]
    problems: list[str] = field(default_factory=list)
    protocol_path: str = ""

    @property
    def protocol(self) -> Mapping[str, Any]:
        return self.manifest.get("protocol") or {}

    @property
    def jobs(self) -> Sequence[Mapping[str, Any]]:
        return self.manifest.get("jobs") or ()

    @property
    def ended(self) -> bool:
        """Say whether no job can run any more without a person's `retry`."""
        return all(job["job"] in self.states and self.states[job["job"]][0].terminal for job in self.jobs)

    @property
    def missing(self) -> list[str]:
        accepted = {attempt.job for attempt in self.attempts}
        return [job["job"] for job in self.jobs if job["job"] not in accepted]

    @property
    def status(self) -> str:
        if not self.ended:
            return "running" if self.attempts or self.events else "pending"
        return "failed" if self.missing else "done"

    def metrics_by_step(self) -> dict[str, dict[str, dict[str, Metric]]]:
        """What the decision rule looks at: of a step with `repeat` only the last repetition, its outcome."""
        by_step: dict[str, dict[str, dict[str, Metric]]] = {}
        last = {step: max(numbers) for step, numbers in _numbers(self.jobs, "repetition", 1).items()}
        for attempt in self.attempts:
            if attempt.repetition and attempt.repetition < last[attempt.step]:
                continue
            by_step.setdefault(attempt.step, {})[attempt.job] = attempt.metrics
        return by_step

    def disagreements(self) -> list[str]:
        found = list(self.problems)
        for attempt in self.attempts:
            found += [f"{attempt.job}: {text}" for text in disagreements(attempt.task)]
        return found

    def times(self) -> tuple[str, str]:
        """First start and last end of the accepted attempts, as ISO text ('' if there are none)."""
        started = [str(a.result["started"]) for a in self.attempts if a.result.get("started")]
        finished = [str(a.result["finished"]) for a in self.attempts if a.result.get("finished")]
        return (min(started, default=""), max(finished, default=""))


def read_source(fs: Fs, paths: LabPaths, exp: str) -> NoteSource:
    """Read one experiment; raises NotFound if no such experiment was ever submitted."""
    try:
        manifest = read_manifest(fs, paths.manifest(exp), exp)
    except FileNotFoundError:
        raise NotFound(f"no experiment {exp}", "lab exp list shows them") from None
    ids = {str(job["job"]) for job in manifest.get("jobs") or ()}
    states = {token.job: (state, token) for state, token, _ in scan_tokens(fs, paths, exp) if token.job in ids}
    source = NoteSource(exp, manifest, [], states, read_events(fs, paths, exp))
    _read_attempts(fs, paths, source)
    try:
        fs.read(f"{paths.result_exp(exp)}/protocol.yaml")
        source.protocol_path = "protocol.yaml"
    except FileNotFoundError:
        pass
    return source


def _read_attempts(fs: Fs, paths: LabPaths, source: NoteSource) -> None:
    """Read what done/ accepted, in the manifest's order; a damaged result is a problem of the note, not a crash."""
    repetitions, shards = _numbers(source.jobs, "repetition", 1), _numbers(source.jobs, "shard", 0)
    for job in source.jobs:
        state = source.states.get(str(job["job"]))
        if state is None or state[0] is not JobState.done or state[1].inc is None:
            continue
        token = state[1]
        try:
            found = accepted_result(fs, paths, source.exp, token.job)
            # What the note quotes must be what was accepted; larger files are checked by whoever uses them.
            for name in ("out/result.json", "out/metrics.jsonl"):
                found.verify(fs, name)
        except (LabError, OSError) as error:
            source.problems.append(f"{token.job}: its accepted result cannot be read: {error}")
            continue
        relative = posixpath.relpath(found.folder, paths.result_exp(source.exp))
        step, arm, seed = str(job["step"]), job.get("arm") or {}, int(job.get("seed") or 0)
        seeds = len({other.get("seed") for other in source.jobs if other.get("step") == step}) > 1
        source.attempts.append(
            Attempt(
                token.job,
                step,
                arm,
                seed,
                found.folder,
                relative,
                found.result,
                found.files,
                seeds,
                int(job.get("repetition") or 1) if len(repetitions[step]) > 1 else 0,
                int(job.get("shard") or 0) if len(shards[step]) > 1 else None,
            )
        )


def _numbers(jobs: Sequence[Mapping[str, Any]], key: str, default: int) -> dict[str, set[int]]:
    """The repetitions or shards that each step has."""
    found: dict[str, set[int]] = {}
    for job in jobs:
        found.setdefault(str(job.get("step")), set()).add(int(job.get(key) or default))
    return found


def read_events(fs: Fs, paths: LabPaths, exp: str) -> list[dict[str, Any]]:
    """Read every event of one experiment, oldest first; half-written last lines are left out."""
    events = []
    for inc in fs.listdir(paths.events_root):
        try:
            rows = [row for name in fs.listdir(paths.events_dir(inc))
                    for row in _json_lines(fs, f"{paths.events_dir(inc)}/{name}")]  # fmt: skip
        except OSError as error:
            if error.errno not in ODD:
                raise
            continue  # a stray file or folder costs no note
        events += [event for event in rows if event.get("exp") == exp]
    # A failed attempt's own last words tell more than its exit code; its log never changes again.
    for event in events:
        if event.get("to") in ("delayed", "failed", "quarantine") and (words := last_words(fs, paths, event)):
            event["detail"] = "; ".join(part for part in (str(event.get("detail") or ""), f"log ends: {words}") if part)
    return sorted(events, key=lambda event: (str(event.get("at")), str(event.get("token")), str(event.get("job"))))


def read_rows(fs: Fs, path: str) -> list[dict[str, Any]]:
    """Read metrics.jsonl; lines that do not parse (a job killed in mid-write) are left out."""
    try:
        return _json_lines(fs, path)
    except FileNotFoundError:
        return []


def _json_lines(fs: Fs, path: str) -> list[dict[str, Any]]:
    rows = []
    for line in fs.read(path, MAX_LINES_BYTES).decode("utf-8", "replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows
