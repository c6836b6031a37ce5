"""lab COMMAND …: read the command line, run one command, turn what went wrong into one line and an exit code.

Exit codes: 0 ok, 1 a job failed, 2 usage or invalid protocol, 3 not found, 4 held by another, 5 environment.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from lab.cli.common import Parser, common_options, say, tame_streams
from lab.errors import LabError, ProtocolErrors

__all__ = ["build_parser", "main"]

# In the order in which a user meets them.
COMMANDS = ("init", "submit", "run", "status", "worker", "exp", "job", "note", "protocol", "doctor")


def build_parser(command: str | None = None) -> Parser:
    """Return the parser of the whole command line, or (it is faster) of one command of it."""
    parser = Parser(
        prog="lab",
        description="A research lab that lives in a folder: protocols in, honest lab notes out.",
        parents=[common_options()],
    )
    from lab import __version__

    parser.add_argument("--version", action="version", version=f"golab {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for name in COMMANDS if command not in COMMANDS else (command,):
        importlib.import_module(f"lab.cli.{name}").register(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code. Nothing a user can do wrong ends in a traceback."""
    tame_streams()
    try:
        words = sys.argv[1:] if argv is None else argv
        # Only where the command comes first: with options before it, let argparse find it.
        parser = build_parser(words[0] if words else None)
        args = parser.parse_args(argv)
        if getattr(args, "run", None) is None:
            parser.print_help()
            return 2
        code = args.run(args)
        sys.stdout.flush()
        return int(code or 0)
    except ProtocolErrors as error:
        for problem in error.problems:
            say(f"error: {problem}")
        if error.hint:
            say(f"hint: {error.hint}")
        return error.exit_code
    except LabError as error:
        return _complain(str(error), error.hint, error.exit_code)
    except KeyboardInterrupt:
        say("interrupted; the queue is consistent, and what was done until now stays")
        return 130
    except BrokenPipeError:
        # The reader (head, less) has gone: not an error. Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except PermissionError as error:
        return _complain(f"{error.filename}: {error.strerror}", "lab doctor", 5)
    except OSError as error:
        return _complain(f"{error.filename or 'file system'}: {error.strerror or error}", "lab doctor", 5)


def _complain(message: str, hint: str | None, code: int) -> int:
    if os.environ.get("LAB_DEBUG"):
        raise
    say(f"error: {message}")
    if hint:
        say(f"hint: {hint}")
    return code
