"""What every command shares: finding the lab, selectors, output as text or as one JSON document, and colour."""

from __future__ import annotations

import argparse
import codecs
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from lab.clock import RealClock
from lab.errors import NotFound, UsageError, near
from lab.fsio import RealFs
from lab.job import JobState
from lab.paths import LabPaths, find_lab

__all__ = [
    "EXIT_JOB_FAILED",
    "SCHEMA_VERSION",
    "Parser",
    "add_command",
    "emit",
    "emit_json",
    "is_terminal",
    "lab_of",
    "relative",
    "say",
    "select",
    "state_text",
    "symbols_fit",
    "table",
]

SCHEMA_VERSION = 1
EXIT_JOB_FAILED = 1
FS = RealFs()
CLOCK = RealClock()


class Parser(argparse.ArgumentParser):
    """An argument parser whose mistakes are one clear line, with the near names."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(_plainly(message), f"{self.prog} --help")


def _plainly(message: str) -> str:
    """Argparse's own words for a wrong choice list every choice; say which ones are near instead."""
    marker = "invalid choice: "
    if marker not in message:
        return message
    tail = message.split(marker, 1)[1]
    wrong = tail.split(" (choose from", 1)[0].strip("'\"")
    choices = [part.strip(" '\")") for part in tail.split("(choose from", 1)[-1].split(",")]
    return f"no command or choice {wrong!r}{near(wrong, choices) or '; there are ' + ', '.join(choices)}"


def add_command(subparsers: Any, name: str, help_text: str, run: Any, *, data: bool = False) -> Parser:
    """Add a command; `data` gives it --json. `run(args)` returns the exit code."""
    parser: Parser = subparsers.add_parser(name, help=help_text, description=help_text, parents=[common_options()])
    if data:
        parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)
    return parser


def common_options() -> argparse.ArgumentParser:
    """Options that may stand before or after the command."""
    parent = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    parent.add_argument("--lab", metavar="DIR", help="the lab folder (else LAB_ROOT, else the nearest parent)")
    parent.add_argument("--color", choices=("auto", "always", "never"), help="colour on a terminal (auto)")
    return parent


def lab_of(args: argparse.Namespace) -> LabPaths:
    """The lab that the command is about."""
    return find_lab(explicit=getattr(args, "lab", None))


def emit(lines: Iterable[str]) -> None:
    """Print data on stdout."""
    for line in lines:
        print(line)


def say(text: str) -> None:
    """Talk, on stderr."""
    print(text, file=sys.stderr, flush=True)


def emit_json(document: Mapping[str, Any]) -> None:
    """Print the one JSON document of a command, with its schema version first."""
    body = {"schema_version": SCHEMA_VERSION, **document}
    print(json.dumps(body, ensure_ascii=True, indent=2, allow_nan=False))


# One character for one, so that columns stay straight.
_ASCII = {"–": "-", "−": "-", "→": ">", "…": ".", "·": "|", "│": "|", "█": "#", "░": ".", "°": " ", "∞": "~"}
_ASCII |= {state.symbol: state.ascii_symbol for state in JobState}


def _plain_characters(error: UnicodeError) -> tuple[str, int]:
    """Replace what an encoding lacks by its nearest ASCII character."""
    assert isinstance(error, UnicodeEncodeError)
    return "".join(_ASCII.get(char, "?") for char in error.object[error.start : error.end]), error.end


def tame_streams() -> None:
    """Let no character that the terminal's encoding lacks end a command with a traceback."""
    codecs.register_error("lab-ascii", _plain_characters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="lab-ascii")


def symbols_fit(stream: Any = None) -> bool:
    """Say whether the stream can show the symbols and bars."""
    encoding = getattr(stream or sys.stdout, "encoding", None) or "ascii"
    try:
        "".join(state.symbol for state in JobState).encode(encoding)
        "━╸".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def is_terminal(args: argparse.Namespace | None = None) -> bool:
    """Say whether tables may be drawn: stdout is a terminal that is not `dumb`."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def wants_colour(args: argparse.Namespace) -> bool:
    """Say whether colours may be used: --color, then NO_COLOR, then the terminal."""
    choice = getattr(args, "color", "auto")
    if choice != "auto":
        return bool(choice == "always")
    return is_terminal() and not os.environ.get("NO_COLOR")


def console(args: argparse.Namespace, *, width: int | None = None) -> Any:
    """A rich console on stdout under the command's settings."""
    from rich.console import Console

    colour = wants_colour(args)
    return Console(
        no_color=not colour,
        force_terminal=True if is_terminal() or colour else None,
        color_system="auto" if colour else None,
        highlight=False,
        soft_wrap=False,
        width=width,
        emoji=False,
        markup=False,
    )


def state_text(word: str) -> str:
    """A state as symbol and word."""
    return f"{JobState.from_word(word).symbol} {word}"


def table(args: argparse.Namespace, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows: columns on a terminal, tab-separated with a header and never cut when piped."""
    cells = [[str(cell) for cell in row] for row in rows]
    if not is_terminal(args):
        emit("\t".join(str(cell).replace("\t", " ").replace("\n", " ") for cell in row) for row in [header, *cells])
        return
    if not cells:
        return
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for index, name in enumerate(header):
        # Ids are never cut; free text folds.
        drawn.add_column(name.lower(), overflow="fold", no_wrap=index == 0)
    for row in cells:
        drawn.add_row(*(Text(cell) for cell in row))
    console(args).print(drawn)


def relative(path: str) -> str:
    """A path as short as it can be typed from here."""
    short = os.path.relpath(path)
    return short if not short.startswith("../..") else path


def select(wanted: str, ids: Sequence[str], what: str) -> str:
    """Return the id meant by a unique prefix, or by `last` (the newest; `ids` are oldest first)."""
    if wanted == "last":
        if not ids:
            raise NotFound(f"no {what} yet", "lab submit FILE")
        return ids[-1]
    if wanted in ids:
        return wanted
    matches = [item for item in ids if item.startswith(wanted)] if wanted else []
    if len(matches) == 1:
        return matches[0]
    if matches:
        shown = ", ".join(matches[:4]) + (" …" if len(matches) > 4 else "")
        raise UsageError(f"{wanted!r} is not one {what} but {len(matches)}: {shown}", "give more letters")
    hint = near(wanted, ids).removeprefix("; ")
    raise NotFound(f"no {what} {wanted!r}", hint or f"lab {'exp' if what == 'experiment' else what} list")
