"""`lab protocol check|expand|schema|new` as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.cli.main import main
from lab.paths import LabPaths
from lab.protocol_yaml import schema_text

BAD = Path(__file__).parents[1] / "data" / "protocols" / "cycle.yaml"


def test_new_then_check_then_expand(make_lab: Callable[..., LabPaths], capsys: pytest.CaptureFixture[str]) -> None:
    lab = make_lab()
    assert main(["--lab", lab.root, "protocol", "new", "My question"]) == 0
    path = Path(lab.protocols, "My question.yaml")
    assert path.read_text().startswith("# yaml-language-server: $schema=./schema.json\n")
    assert Path(lab.protocols, "schema.json").read_text() == schema_text()
    capsys.readouterr()
    assert main(["protocol", "check", str(path)]) == 0
    assert "ok, 3 steps, 9 jobs" in capsys.readouterr().out
    assert main(["protocol", "expand", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [job["step"] for job in document["jobs"]] == ["few"] * 3 + ["many"] * 3 + ["match"] * 3
    assert document["limits_s"]["wall"] == 3600
    assert main(["protocol", "expand", str(path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 10


def test_new_never_overwrites(make_lab: Callable[..., LabPaths], capsys: pytest.CaptureFixture[str]) -> None:
    lab = make_lab()
    path = Path(lab.protocols, "x.yaml")
    path.write_text("mine")
    assert main(["--lab", lab.root, "protocol", "new", "x"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert main(["--lab", lab.root, "protocol", "new", "y", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["file"].endswith("/protocols/y.yaml")


def test_check_lists_everything_and_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("[")
    assert main(["protocol", "check", str(BAD), str(other)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"error: {BAD}:6:40: needs go in a circle" in err
    assert f"error: {other}:" in err
    assert "3 mistakes; nothing was queued" in err
    assert main(["protocol", "check", str(BAD), "--json"]) == 2
    (file,) = json.loads(capsys.readouterr().out)["files"]
    assert [(problem["line"], problem["col"]) for problem in file["problems"]] == [(6, 40), (10, 38)]


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["protocol", "check", str(tmp_path / "x.yaml")]) == 3
    assert "no such file" in capsys.readouterr().err


def test_schema_is_printed_or_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["protocol", "schema"]) == 0
    assert capsys.readouterr().out == schema_text()
    target = tmp_path / "schema.json"
    for _ in range(2):
        assert main(["protocol", "schema", "--out", str(target)]) == 0
    assert target.read_text() == schema_text()
    assert [path.name for path in tmp_path.iterdir()] == ["schema.json"]
