"""Copy sample games beside the note and give their main line as text; a damaged file is named, never fatal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["MainLine", "main_line", "moves_text"]

_COLUMNS = "ABCDEFGHJKLMNOPQRST"  # no I, as on every Go board


@dataclass(frozen=True, slots=True)
class MainLine:
    """The main line of an SGF: root properties and moves as (colour, vertex)."""

    properties: dict[str, str]
    moves: tuple[tuple[str, str], ...]

    @property
    def size(self) -> int:
        return int(self.properties.get("SZ", "19"))


def main_line(text: str) -> MainLine:
    """Read the main line (each first variation) of an SGF; raises ValueError that says what is wrong."""
    properties: dict[str, str] = {}
    raw_moves: list[tuple[str, str]] = []
    for node, key, value in _properties(text):
        if key in ("B", "W"):
            raw_moves.append((key, value))
        elif node == 0:
            properties.setdefault(key, value)
    if not properties and not raw_moves:
        raise ValueError("no SGF game in it")
    size_text = properties.get("SZ", "19")
    if not size_text.isdigit() or not 1 <= int(size_text) <= len(_COLUMNS):
        raise ValueError(f"board size {size_text!r}")
    size = int(size_text)
    return MainLine(properties, tuple((colour, _vertex(value, size)) for colour, value in raw_moves))


def moves_text(line: MainLine, per_row: int = 10) -> list[str]:
    """Return the moves as numbered rows of text."""
    rows = []
    for start in range(0, len(line.moves), per_row):
        cells = [f"{colour} {vertex:<4}" for colour, vertex in line.moves[start : start + per_row]]
        rows.append(f"{start + 1:>4}  " + " ".join(cells).rstrip())
    return rows


def _vertex(value: str, size: int) -> str:
    if value == "" or (value == "tt" and size <= 19):
        return "pass"
    if len(value) != 2:
        raise ValueError(f"move {value!r}")
    x, y = ord(value[0]) - ord("a"), ord(value[1]) - ord("a")
    if not (0 <= x < size and 0 <= y < size):
        raise ValueError(f"move {value!r} is off the board")
    return f"{_COLUMNS[x]}{size - y}"


def _properties(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield (node number, key, value) along the main line: up to the first closed variation."""
    node, key, position, opened = -1, "", 0, False
    while position < len(text):
        char = text[position]
        if char == "[":
            value, position = _value(text, position + 1)
            if key:
                yield max(node, 0), key, value
            continue
        if char == ";":
            node, key = node + 1, ""
        elif char == "(":
            opened, key = True, ""
        elif char == ")":
            if not opened:
                raise ValueError("a bracket closes what was never opened")
            return
        elif char.isupper():
            # After a value a letter starts the next key.
            key = char if position and text[position - 1] in "];( \n\r\t" else key + char
        position += 1
    if opened:
        raise ValueError("the file ends in the middle of the game")


def _value(text: str, position: int) -> tuple[str, int]:
    out = []
    while position < len(text):
        char = text[position]
        if char == "\\":
            out.append(text[position + 1 : position + 2])
            position += 2
            continue
        if char == "]":
            return "".join(out), position + 1
        out.append(char)
        position += 1
    raise ValueError("the file ends inside a value")
