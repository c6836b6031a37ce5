"""Docs are true: links resolve, `lab` commands in fenced blocks parse, skills follow the open specification."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from lab.cli.main import build_parser

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("skills/*/*.md"), *ROOT.glob("protocols/*.md")])
SKILLS = sorted(ROOT.glob("skills/*/SKILL.md"))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"[a-z]+://|#|mailto:", target):
            assert (page.parent / target.split("#")[0]).exists(), f"{relative(page)} links to {target}"


def lab_commands(page: Path) -> list[str]:
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    lines = [part.split("#")[0].strip() for block in blocks for line in block.splitlines() for part in line.split("&&")]
    return [line for line in lines if re.match(r"(\S*/)?lab\s", line)]


@pytest.mark.parametrize("page", [page for page in PAGES if lab_commands(page)], ids=relative)
def test_fenced_lab_commands_parse(page: Path) -> None:
    parser = build_parser()
    for command in lab_commands(page):
        words = shlex.split(command)[1:]
        try:
            parser.parse_args(words)
        except SystemExit as stop:
            pytest.fail(f"{relative(page)}: `{command}` does not parse (exit {stop.code})")


@pytest.mark.parametrize("path", SKILLS, ids=relative)
def test_skill_follows_the_specification(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("---\n")
    front = yaml.safe_load(text.split("---\n")[1])
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", front["name"]) and len(front["name"]) <= 64
    assert front["name"] == path.parent.name
    assert 1 <= len(front["description"]) <= 1024 and "Use when" in front["description"]
    assert set(front) <= {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}
    assert len(front.get("compatibility", "")) <= 500
    assert len(text.splitlines()) < 500
    assert "The command that proves it worked" in text
