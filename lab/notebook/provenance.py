"""Put a note's provenance and cost in words: what ran, where, from which code, and what it took."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lab.notebook.source import Attempt, NoteSource
from lab.notebook.words import table
from lab.units import format_duration, format_size

__all__ = ["cost", "cost_text", "costs", "provenance"]

MAX_TABLE_ROWS = 60
MAX_ARTIFACTS = 40
MAX_COMMAND_CHARS = 200


def provenance(source: NoteSource) -> list[str]:
    manifest = source.manifest
    code = manifest.get("code") or {}
    lines = ["## Provenance", ""]
    if code:
        dirty = "with uncommitted changes, which are in the snapshot" if code.get("dirty") else "clean working tree"
        lines.append(f"- Code snapshot `{code.get('id')}`: commit `{code.get('commit') or '–'}`, {dirty}.")
    else:
        lines.append("- Code: not frozen (the lab's folder is no git repository); the installed version ran.")
    lines.append(f"- Protocol sha256 `{manifest.get('protocol_sha256', '–')}`.")
    lines.append(f"- Submitted {manifest.get('created', '?')} by {manifest.get('submitted_by') or '?'}.")
    seeds = sorted({job["seed"] for job in source.jobs if "seed" in job})
    lines.append(f"- Seeds: {', '.join(str(seed) for seed in seeds) or '–'}.")
    for text, names in _grouped(source.attempts, _environment):
        lines.append(f"- {text} ({names}).")
    if source.protocol_path:
        lines += ["", "To run it again:", "", "```sh", f"lab submit results/{source.exp}/{source.protocol_path}", "```"]
    commands = [
        (f"`{attempt.job}`", f"[`{attempt.relative}`]({attempt.relative}/)", f"`{_command(attempt)}`")
        for attempt in source.attempts
    ]
    if commands:
        lines += ["", *table(("Job", "Accepted attempt", "Command"), commands[:MAX_TABLE_ROWS])]
    rows = [row for attempt in source.attempts for row in _artifacts(attempt)]
    if rows:
        lines += ["", *table(("Artifact", "File", "Size", "sha256"), rows[:MAX_ARTIFACTS])]
        lines += ["", "The sums of every file of an accepted attempt are in its `manifest.json`."]
    return lines


def _artifacts(attempt: Attempt) -> list[tuple[str, str, str, str]]:
    """One row for each artifact that the task named: a file with its sum, a folder with how much is in it."""
    named = attempt.task.get("artifacts")
    rows = []
    for name, path in sorted(named.items()) if isinstance(named, Mapping) else ():
        relative = f"out/artifacts/{path}".rstrip("/")
        inside = [entry for file, entry in attempt.files.items() if file == relative or file.startswith(relative + "/")]
        if not inside:
            continue
        size = format_size(sum(int(entry.get("bytes", 0)) for entry in inside))
        single = relative in attempt.files
        shown = f"`{inside[0].get('sha256', '')}`" if single else f"{len(inside)} files"
        rows.append((f"{attempt.label}: {name}", f"[`{path}`]({attempt.relative}/{relative})", size, shown))
    return rows


def _environment(attempt: Attempt) -> str:
    result = attempt.result
    versions: Any = result.get("versions") if isinstance(result.get("versions"), Mapping) else {}
    info: Any = attempt.task.get("info") if isinstance(attempt.task.get("info"), Mapping) else {}
    # Version-like facts that only the task knows (torch, device) come from its own result.
    known = {**versions, **{key: value for key, value in info.items() if key in ("torch", "numpy", "device", "gocore")}}
    parts = [f"Host {str(result.get('inc', '?'))[:-17] or '?'}"]
    parts += [str(result[key]) for key in ("platform", "cpu_model") if result.get(key)]
    parts += [f"{key} {value}" for key, value in sorted(known.items()) if value]
    gpus = result.get("gpus") or []
    parts.append(f"{len(gpus)} GPU" + ("s" if len(gpus) != 1 else "") if gpus else "no GPU")
    return ", ".join(parts)


def _grouped(attempts: Sequence[Attempt], key: Any) -> list[tuple[str, str]]:
    groups: dict[str, list[str]] = {}
    for attempt in attempts:
        groups.setdefault(key(attempt), []).append(attempt.label)
    return [(text, ", ".join(names[:6]) + (" …" if len(names) > 6 else "")) for text, names in groups.items()]


def _command(attempt: Attempt) -> str:
    argv = attempt.result.get("argv") or []
    text = " ".join(str(part) for part in argv) if isinstance(argv, list) else json.dumps(argv)
    # A whole script on the command line would drown the table; result.json has every word.
    return text if len(text) <= MAX_COMMAND_CHARS else text[:MAX_COMMAND_CHARS] + " …"


def costs(source: NoteSource) -> dict[str, float]:
    """The accepted attempts' cost: summed job wall time, CPU time, GPU time, and the span from first start to end."""
    wall = sum(attempt.number("wall_s") for attempt in source.attempts)
    cpu = sum(attempt.number("cpu_s") for attempt in source.attempts)
    gpu = sum(attempt.number("wall_s") * len(attempt.result.get("gpus") or ()) for attempt in source.attempts)
    return {"wall_s": round(wall, 3), "cpu_s": round(cpu, 3), "gpu_s": round(gpu, 3)}


def cost_text(source: NoteSource) -> str:
    spent = costs(source)
    text = f"{format_duration(spent['wall_s'])} wall, {format_duration(spent['cpu_s'])} CPU"
    return text + (f", {format_duration(spent['gpu_s'])} GPU" if spent["gpu_s"] else ", no GPU")


def cost(source: NoteSource) -> list[str]:
    lines = ["## Cost", ""]
    rows = [
        (
            f"`{attempt.job}`",
            format_duration(attempt.number("wall_s")),
            format_duration(attempt.number("cpu_s")),
            format_duration(attempt.number("wall_s") * len(attempt.result.get("gpus") or ())),
            format_size(int(attempt.number("max_rss_bytes"))),
        )
        for attempt in source.attempts[:MAX_TABLE_ROWS]
    ]
    spent = costs(source)
    total = ("**all**", *(format_duration(spent[key]) for key in ("wall_s", "cpu_s", "gpu_s")), "–")
    lines += table(("Job", "Wall time", "CPU time", "GPU time", "Peak memory"), [*rows, total])
    lines += ["", "Accepted attempts only; attempts that were lost or failed are listed under Deviations."]
    return lines
