"""Fixtures for all tests: hostile folder names, a clock that only tests move, and labs to play in."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import FakeClock

from lab.paths import LabPaths


@pytest.fixture
def weird_tmp_path(tmp_path: Path) -> Path:
    """A folder whose name breaks whoever forgets to quote: spaces, quotes, a dollar, and letters beyond ASCII."""
    path = tmp_path / 'la\'b "dir" $HOME ünï 碁'
    path.mkdir()
    return path


@pytest.fixture
def fake_clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make_lab(weird_tmp_path: Path) -> Callable[..., LabPaths]:
    """Call it to get an empty lab, in a folder of its own."""

    def make(name: str = "lab") -> LabPaths:
        paths = LabPaths((weird_tmp_path / name).as_posix())
        for folder in paths.skeleton():
            os.makedirs(folder)
        Path(paths.queue_id).write_text('{"format":1,"id":"0123456789abcdef","created":"2026-11-23T04:30:00Z"}\n')
        return paths

    return make


@pytest.fixture(autouse=True)
def _no_lab_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may find the developer's own lab through the environment."""
    monkeypatch.delenv("LAB_ROOT", raising=False)
