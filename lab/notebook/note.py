"""Build an experiment's NOTE.md, its figures and samples from its accepted results; the same input, the same bytes."""

from __future__ import annotations

import posixpath
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.conditions import parse_condition
from lab.fsio import Fs, ensure_dir, replace
from lab.notebook import provenance, sections
from lab.notebook.figures import Bar, Curve, Figure, draw_curves, draw_times, draw_winrates, slug
from lab.notebook.index import front_matter, parse_front_matter, render_index
from lab.notebook.regions import FRONT, Block, author, generated, merge
from lab.notebook.samples import main_line, moves_text
from lab.notebook.source import NoteSource, read_rows, read_source
from lab.paths import LabPaths
from lab.units import parse_utc
from lab.verdict import PENDING, Verdict, judge

__all__ = ["Built", "build_index", "build_note"]

MAX_SAMPLES = 40
SHOWN_SAMPLES = 1  # of each job; the others are links
MAX_DRAWN_MATCHES = 24
MAX_SAMPLE_BYTES = 1 << 20
# Transitions of a plan that goes well, in the words of JobState; a submit has neither.
NORMAL = {
    ("", ""),
    ("", "waiting"),
    ("waiting", "ready"),
    ("ready", "running"),
    ("running", "done"),
    ("delayed", "ready"),
}


@dataclass(slots=True)
class Built:
    """What a build did."""

    exp: str
    path: str  # absolute, of the note (or of NOTE.new.md)
    verdict: str
    finding: str
    changed: bool
    warnings: list[str] = field(default_factory=list)


def build_note(fs: Fs, paths: LabPaths, exp: str, *, figures: bool = True) -> Built:
    """Write the note of `exp` with its figures and samples, then the index. Author sections are never touched."""
    source = read_source(fs, paths, exp)
    problems = source.disagreements()
    verdict = _verdict(source, problems)
    warnings: list[str] = []
    folder = paths.result_exp(exp)
    changed = False

    drawn = _figures(fs, source, warnings) if figures else []
    if drawn:
        ensure_dir(fs, f"{folder}/figures")
    for figure in drawn:
        base = f"{folder}/figures/{figure.name}"
        for ending, data in (("svg", figure.svg), ("png", figure.png), ("csv", figure.csv.encode())):
            changed |= write_if_changed(fs, f"{base}.{ending}", data)

    copied = []
    for title, name, data, text in _samples(fs, source, warnings):
        ensure_dir(fs, f"{folder}/samples")
        changed |= write_if_changed(fs, f"{folder}/samples/{name}", data)
        copied.append((title, f"samples/{name}", text))

    blocks = _blocks(source, verdict, problems, drawn, copied)
    old = _read_text(fs, paths.note(exp))
    merged = merge(old, blocks)
    warnings += merged.warnings
    target = paths.note(exp)
    if merged.lost:
        target = posixpath.join(posixpath.dirname(target), "NOTE.new.md")
        warnings.append(f"NOTE.md is left as it is; the new note is {target}")
    changed |= write_if_changed(fs, target, merged.text.encode())
    build_index(fs, paths)
    return Built(exp, target, verdict.word, sections.finding(source, verdict), changed, warnings)


def build_index(fs: Fs, paths: LabPaths) -> str:
    """Write results/index.md from the front matter of every note; returns its path."""
    results = posixpath.dirname(paths.result_exp("x"))
    notes = []
    for exp in sorted(fs.listdir(results)):
        try:
            text = fs.read(paths.note(exp)).decode("utf-8", "replace")
        except OSError:  # a plain file, or an experiment without a note yet
            continue
        if front := parse_front_matter(text):
            notes.append((exp, front))
    path = f"{results}/index.md"
    write_if_changed(fs, path, render_index(notes).encode())
    return path


def write_if_changed(fs: Fs, path: str, data: bytes) -> bool:
    """Replace the file in one step, unless it already has these bytes."""
    try:
        if fs.read(path) == data:
            return False
    except FileNotFoundError:
        pass
    folder, name = posixpath.split(path)
    replace(fs, f"{folder}/.tmp-{uuid.uuid4().hex}-{name}", path, data)
    return True


def _read_text(fs: Fs, path: str) -> str | None:
    try:
        return fs.read(path).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None


def _verdict(source: NoteSource, problems: Sequence[str]) -> Verdict:
    if not source.ended:
        return Verdict(PENDING, ())
    rule = source.manifest.get("decision") or source.protocol.get("decision") or {}
    return judge(rule, source.metrics_by_step(), missing_jobs=source.missing, disagreements=problems)


def deviations(source: NoteSource) -> list[str]:
    """List every event that the plan did not foresee, in the order of their times, and every job that did not end."""
    found = []
    for event in source.events:
        step = (str(event.get("from") or ""), str(event.get("to") or ""))
        if step in NORMAL and event.get("cause") != "refused":
            continue
        cause = str(event.get("cause") or "no cause given")
        detail = f": {event['detail']}" if event.get("detail") else ""
        moved = f"`{event.get('job')}` {step[0]} → {step[1]} " if event.get("job") else ""
        found.append(f"{event.get('at', '?')} {moved}({cause}{detail})")
    for job, (state, token) in sorted(source.states.items()):
        if token.l or token.f:
            lost = f"{token.l} lost to infrastructure, {token.f} failed by themselves"
            found.append(f"`{job}` needed more than one attempt or did not end well: {lost}; it is {state.word}")
        elif state.terminal and state.word != "done":
            found.append(f"`{job}` is {state.word}")
    return found


def _blocks(
    source: NoteSource,
    verdict: Verdict,
    problems: Sequence[str],
    drawn: Sequence[Figure],
    copied: Sequence[tuple[str, str, Sequence[str]]],
) -> list[Block]:
    started, finished = source.times()
    manifest, code = source.manifest, source.manifest.get("code") or {}
    front: Mapping[str, Any] = {
        "id": source.exp,
        "title": str(manifest.get("title") or source.exp),
        "theme": source.protocol.get("theme"),
        "parents": list(source.protocol.get("parents") or []),
        "status": source.status,
        "verdict": verdict.word,
        "finding": sections.finding(source, verdict),
        "question": str(source.protocol.get("question") or "").strip(),
        "protocol_sha256": manifest.get("protocol_sha256"),
        "commit": code.get("commit"),
        "dirty": code.get("dirty"),
        "created": manifest.get("created"),
        "started": started or None,
        "finished": finished or None,
        "cost": provenance.costs(source),
        "cost_text": provenance.cost_text(source),
    }
    return [
        generated(FRONT, front_matter(front)),
        generated("head", sections.head(source, verdict)),
        generated("question", sections.question(source)),
        generated("decision", sections.decision(source, verdict)),
        generated("protocol", sections.protocol(source, deviations(source))),
        generated("results", sections.results(source)),
        generated("figures", sections.figures(drawn)),
        generated("health", sections.health(source, verdict, problems)),
        author("interpretation", _INTERPRETATION),
        author("next", _NEXT),
        generated("samples", sections.samples(copied)),
        generated("provenance", provenance.provenance(source)),
        generated("cost", provenance.cost(source)),
        author("amendments", _AMENDMENTS),
    ]


_INTERPRETATION = (
    "## Interpretation",
    "",
    "*This section is the author's; the lab never rewrites it. Answer, citing only numbers from above:*",
    "",
    "- *Does the result support the hypothesis, and how sure is that?*",
    "- *What else could explain it?*",
    "- *What does it not show?*",
)
_NEXT = (
    "## Decision and next steps",
    "",
    "*The author's: promote, park, refute or repeat? Which follow-ups, in which order, at which cost?*",
)
_AMENDMENTS = (
    "## Amendments",
    "",
    "*Append only: date, who, what is corrected and why. Nothing above is edited after the fact.*",
)


# --- figures and samples -------------------------------------------------------------------------


def _figures(fs: Fs, source: NoteSource, warnings: list[str]) -> list[Figure]:
    drawn: list[Figure | None] = []
    wanted: dict[tuple[str, str], tuple[Mapping[str, Any], list[Curve]]] = {}
    for attempt in source.attempts:
        specs = [spec for spec in attempt.task.get("curves") or () if isinstance(spec, Mapping)]
        rows = read_rows(fs, f"{attempt.folder}/out/metrics.jsonl") if specs else []
        for spec in specs:
            key = (attempt.step, str(spec.get("title") or "Learning curve"))
            wanted.setdefault(key, (spec, []))[1].append(Curve(attempt.variant, attempt.group, rows))
    for (step, title), (spec, curves) in wanted.items():
        drawn.append(_safely(warnings, draw_curves, f"{step}-{slug(title)}", spec, curves, source.exp))
    matches = [(attempt, match) for attempt in source.attempts for match in attempt.matches]
    rule = source.manifest.get("decision") or {}
    labelled = [
        ("\n".join(part for part in (match.player, f"against {match.opponent}", attempt.variant) if part), match)
        for attempt, match in matches[:MAX_DRAWN_MATCHES]
    ]
    judged = source.metrics_by_step()
    bounds = {}
    for index, (attempt, _) in enumerate(matches[:MAX_DRAWN_MATCHES]):
        for text in rule.get("accept") or ():
            condition = _condition(text)
            # A line stands for a bound of this very rate: the job's only match, a job that is judged, its lower end.
            fits = condition and condition.step == attempt.step and attempt.job in judged.get(attempt.step, {})
            if fits and len(attempt.matches) == 1 and (condition.metric, condition.field) == ("winrate", "ci_low"):
                bounds[index] = condition.bound
    drawn.append(_safely(warnings, draw_winrates, "winrates", labelled, bounds, source.exp))
    drawn.append(_safely(warnings, draw_times, "times", _bars(source), source.exp))
    return [figure for figure in drawn if figure is not None]


def _safely(warnings: list[str], draw: Any, name: str, *args: Any) -> Figure | None:
    """A figure that cannot be drawn (odd data from a task) must not cost the note."""
    try:
        figure: Figure | None = draw(name, *args)
        return figure
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        warnings.append(f"figure {name} could not be drawn: {error}")
        return None


def _condition(text: Any) -> Any:
    try:
        return parse_condition(str(text))
    except ValueError:
        return None


def _bars(source: NoteSource) -> list[Bar]:
    timed = []
    for attempt in source.attempts:
        try:
            timed.append((parse_utc(str(attempt.result.get("started"))), attempt))
        except ValueError:
            continue
    if not timed:
        return []
    first = min(start for start, _ in timed)
    bars = [Bar(a.label, start - first, a.number("wall_s"), a.number("cpu_s")) for start, a in timed]
    return bars[:40]


def _samples(fs: Fs, source: NoteSource, warnings: list[str]) -> list[tuple[str, str, bytes, list[str]]]:
    """Collect (title, file name, bytes, lines of text) of the sample games that the tasks named."""
    found: list[tuple[str, str, bytes, list[str]]] = []
    for attempt in source.attempts:
        for index, raw in enumerate(attempt.task.get("samples") or ()):
            if len(found) >= MAX_SAMPLES or not isinstance(raw, Mapping) or not isinstance(raw.get("sgf"), str):
                continue
            inside = posixpath.normpath(raw["sgf"])
            if inside.startswith(("/", "..")):
                warnings.append(f"{attempt.job}: sample {raw['sgf']!r} lies outside the job's folder")
                continue
            path = f"{attempt.folder}/out/{inside}"
            try:
                data = fs.read(path, MAX_SAMPLE_BYTES)
                line = main_line(data.decode("utf-8", "replace"))
            except (OSError, ValueError) as error:
                warnings.append(f"{path}: sample left out: {error}")
                continue
            shown = {key: line.properties[key] for key in ("PB", "PW", "RE") if key in line.properties}
            if index >= SHOWN_SAMPLES:
                found.append((str(raw.get("title") or f"game {index + 1}"), f"{attempt.job}-{index + 1}.sgf", data, []))
                continue
            text = [f"Black: {shown.get('PB', '?')}   White: {shown.get('PW', '?')}   result: {shown.get('RE', '?')}"]
            text += ["", *moves_text(line)]
            if isinstance(raw.get("text"), str):  # a task may add a picture of the final position
                text += ["", *raw["text"].rstrip().splitlines()]
            found.append((str(raw.get("title") or f"game {index + 1}"), f"{attempt.job}-{index + 1}.sgf", data, text))
    return found
