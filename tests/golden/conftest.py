"""`pytest tests/golden --update-golden` rewrites the golden files; the diff is then reviewed like any other."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "lab"))  # labfiles


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files instead of comparing")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Call it with a file name and the text that should be in it."""

    def check(name: str, text: str) -> None:
        path = HERE / name
        # Not known when pytest starts from another folder: then it compares.
        if request.config.getoption("--update-golden", default=False):
            path.write_text(text, encoding="utf-8")
            return
        expected = path.read_text(encoding="utf-8")
        difference = "\n".join(difflib.unified_diff(expected.splitlines(), text.splitlines(), name, "now", lineterm=""))
        assert text == expected, f"{difference}\nif this is meant: pytest tests/golden --update-golden"

    return check
