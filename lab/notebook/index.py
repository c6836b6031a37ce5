"""Keep results/index.md: every experiment's verdict, finding and cost, newest first, from the notes' front matter."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["front_matter", "parse_front_matter", "render_index"]


def front_matter(values: Mapping[str, Any]) -> list[str]:
    """Return YAML lines, one per key, values written as JSON (which is YAML), so that any reader can take them."""
    return [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]


def parse_front_matter(text: str) -> dict[str, Any]:
    """Read the front matter of a note back; {} if there is none that we wrote. A person's odd line is skipped."""
    if not text.startswith("---\n"):
        return {}
    end = text.find("\n---\n", 4)
    values: dict[str, Any] = {}
    for line in text[4:end].splitlines() if end > 0 else ():
        key, colon, raw = line.partition(": ")
        if not colon or line.startswith("#"):
            continue
        try:
            values[key] = json.loads(raw)
        except ValueError:
            values[key] = raw
    return values


def render_index(notes: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """Return the index of (experiment, front matter), newest first."""
    rows = sorted(notes, key=lambda item: (str(item[1].get("created", "")), item[0]), reverse=True)
    lines = [
        "# Results",
        "",
        "Every experiment of this lab, newest first. This file is rebuilt by `lab note build`: do not edit it.",
        "",
    ]
    if not rows:
        return "\n".join([*lines, "No experiment has a note yet.", ""])
    lines += ["| Date | Experiment | Theme | Verdict | Finding | Cost |", "|---|---|---|---|---|---|"]
    for exp, front in rows:
        cells = (
            str(front.get("created", ""))[:10],
            f"[{exp}]({exp}/NOTE.md)",
            front.get("theme") or "",
            f"**{front.get('verdict', '?')}**",
            front.get("finding") or front.get("title") or "",
            front.get("cost_text") or "",
        )
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    negative = [(exp, front) for exp, front in rows if front.get("verdict") in ("refuted", "inconclusive", "invalid")]
    if negative:
        lines += ["", "## Not supported", ""]
        lines += [
            f"- [{exp}]({exp}/NOTE.md) ({front['verdict']}): {front.get('question', '')}" for exp, front in negative
        ]
    return "\n".join([*lines, ""])
