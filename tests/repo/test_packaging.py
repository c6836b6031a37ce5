"""The project's files agree with each other: dependencies, pins, ignored run-time state."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def names(lines: list[str]) -> set[str]:
    """Canonical distribution names at the start of requirement lines."""
    found = (re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", line) for line in lines if not line.lstrip().startswith("#"))
    return {re.sub(r"[-_.]+", "-", match[1]).lower() for match in found if match}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_requirements_name_what_pyproject_declares() -> None:
    declared = names(project()["dependencies"]) | names(project()["optional-dependencies"]["dev"])
    assert names((ROOT / "requirements.txt").read_text().splitlines()) == declared - {"torch"}


def test_every_direct_dependency_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[^=\s]+", line) for line in lines if line and not line.startswith("#"))
    declared = names(project()["dependencies"]) | names(project()["optional-dependencies"]["dev"])
    assert declared <= names(lines)


def test_queue_is_not_a_package() -> None:
    # A queue/__init__.py would shadow the standard library's module for everything run from the root.
    assert not (ROOT / "queue" / "__init__.py").exists()
