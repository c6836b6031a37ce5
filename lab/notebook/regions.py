"""Merge generated regions into a note that a person also writes in, and never lose what the person wrote.

A generated region stands between `<!-- lab:begin NAME sha=… -->` and `<!-- lab:end NAME -->`; the sha is of the text
last generated. The writer replaces only inside markers and copies every other byte:

- the sha still matches: the region is replaced;
- somebody edited inside: the region is replaced and their text is kept under "Preserved edits";
- a marker is missing or doubled: the note is left as it is (`Merge.lost`), and the caller writes `NOTE.new.md`.

The front matter is a generated region too; its marker is a YAML comment in its last line, as it must come first.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Block", "Merge", "author", "generated", "merge", "neutral", "render"]

FRONT = "front"
PRESERVED_HEADING = "## Preserved edits"
_REGION = re.compile(
    r"<!-- lab:begin (?P<name>[a-z-]+) sha=(?P<sha>[0-9a-f]+) -->\n(?P<body>.*?)<!-- lab:end (?P=name) -->", re.S
)
_MARKER = re.compile(r"<!-- lab:(?:begin|end) ([a-z-]+)[^>]*-->")
_FRONT = re.compile(r"\A---\n(?P<body>.*?)# lab:front sha=(?P<sha>[0-9a-f]+)\n---\n", re.S)


@dataclass(frozen=True, slots=True)
class Block:
    """One part of a note in order: generated (replaced at each build) or the author's (written once, as a seed)."""

    name: str
    text: str
    generated: bool


@dataclass(slots=True)
class Merge:
    """What came of a merge: the text to write, warnings for the person, and whether the markers were lost."""

    text: str
    warnings: list[str] = field(default_factory=list)
    lost: bool = False


def generated(name: str, lines: Sequence[str]) -> Block:
    """Return a generated block of these lines; no text in them can pose as a marker."""
    return Block(name, neutral("\n".join(lines)).strip("\n") + "\n", True)


def author(name: str, lines: Sequence[str]) -> Block:
    """Return an author's block, seeded with these lines when the note is first written."""
    return Block(name, "\n".join(lines).strip("\n") + "\n", False)


def neutral(text: str) -> str:
    """Return text (of a protocol, of a task) made unable to pose as a marker."""
    return text.replace("<!-- lab:", "&lt;!-- lab:")


def render(blocks: Sequence[Block]) -> str:
    """Return a whole new note."""
    return "\n".join(_render_block(block) if block.generated else block.text for block in blocks)


def merge(old: str | None, blocks: Sequence[Block]) -> Merge:
    """Return the note `old` with its generated regions replaced by those of `blocks`."""
    if old is None or not old.strip():
        return Merge(render(blocks))
    wanted = {block.name: block for block in blocks if block.generated}
    found = {match["name"] for match in _REGION.finditer(old)}
    markers = [match[1] for match in _MARKER.finditer(old)]
    front = _FRONT.match(old)
    missing = [name for name in wanted if name != FRONT and name not in found]
    if FRONT in wanted and front is None:
        missing.insert(0, FRONT)
    # Each region has two markers; any other number means that one was lost, doubled or copied.
    missing += [name for name in wanted if markers.count(name) != (0 if name == FRONT else 2) and name not in missing]
    if missing:
        return Merge(render(blocks), [f"markers of {', '.join(missing)} are missing or doubled"], lost=True)

    warnings: list[str] = []
    preserved: list[tuple[str, str]] = []

    def check(name: str, body: str, sha: str) -> None:
        if _sha(body) != sha and body != wanted[name].text:
            warnings.append(f"the generated part {name!r} was edited by hand; the edit is kept under Preserved edits")
            preserved.append((name, body))

    def replace(match: re.Match[str]) -> str:
        if match["name"] not in wanted:
            return match[0]
        check(match["name"], match["body"], match["sha"])
        return _render_block(wanted[match["name"]]).rstrip("\n")

    text = _REGION.sub(replace, old)
    if front is not None and FRONT in wanted:
        check(FRONT, front["body"], front["sha"])
        text = _render_block(wanted[FRONT]) + text[front.end() :]
    return Merge(_append_preserved(text, preserved), warnings)


def _append_preserved(text: str, preserved: Sequence[tuple[str, str]]) -> str:
    if not preserved:
        return text
    parts = [text if text.endswith("\n") else text + "\n"]
    if PRESERVED_HEADING not in text:
        parts.append(
            f"\n{PRESERVED_HEADING}\n\nThese texts stood inside generated parts, which are rewritten at every build. "
            "Move what matters into an author's section.\n"
        )
    for name, body in preserved:
        parts.append(f"\n### From {name}\n\n{_MARKER.sub('', body).strip()}\n")
    return "".join(parts)


def _render_block(block: Block) -> str:
    sha = _sha(block.text)
    if block.name == FRONT:
        return f"---\n{block.text}# lab:front sha={sha}\n---\n"
    return f"<!-- lab:begin {block.name} sha={sha} -->\n{block.text}<!-- lab:end {block.name} -->\n"


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
