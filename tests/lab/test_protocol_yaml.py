"""Protocol files: every mistake at once, at its place; and the scalars of YAML 1.2."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import LabError, NotFound, ProtocolErrors
from lab.protocol_yaml import json_schema, load_protocol, schema_text, task_names
from lab.yaml_nodes import MAX_BYTES, YamlError, read_yaml
from protocols import HEAD, REGISTRY, load, text_of

ROOT = Path(__file__).parents[2]
BAD = sorted((ROOT / "tests/data/protocols").glob("*.yaml"))
_EXPECT = re.compile(r"^# expect (\d+):(\d+) (.*)$", re.MULTILINE)


def problems_of(data: str | bytes) -> list[str]:
    with pytest.raises(ProtocolErrors) as caught:
        load_protocol("p.yaml", text=data, registry=REGISTRY)
    assert caught.value.exit_code == 2
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_reports_exactly_its_mistakes(path: Path) -> None:
    expected = [(int(line), int(col), text) for line, col, text in _EXPECT.findall(path.read_text())]
    assert expected
    with pytest.raises(ProtocolErrors) as caught:
        load_protocol(str(path), registry=REGISTRY)
    found = [(problem.line, problem.col) for problem in caught.value.problems]
    assert found == [(line, col) for line, col, _ in expected], str(caught.value)
    for problem, (_, _, text) in zip(caught.value.problems, expected):
        assert text in problem.message
        assert problem.file == str(path)
        assert "\n" not in str(problem)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        (".5", 0.5),
        ("-1.", -1.0),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("+7", 7),
        ("1_000", "1_000"),
        ("true", True),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("NULL", None),
        ("nUll", "nUll"),
        ("2026-11-23", "2026-11-23"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("|-\n  1", "1"),
        ("=", "="),
        ("٣", "٣"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = read_yaml(f"x: {text}\n".encode())[0]["x"]
    assert found == value
    assert type(found) is type(value)


def test_an_alias_bomb_is_refused_in_no_time() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert "aliases expand to more than" in problems_of("\n".join(lines))[0]


@pytest.mark.parametrize("text", ["a: &a [*a]", "&a {x: *a}", "a: &a {b: {c: *a}}"])
def test_an_alias_inside_itself_is_refused(text: str) -> None:
    assert "contains itself" in problems_of(text)[0]


def test_plain_anchors_are_fine() -> None:
    assert read_yaml(b"a: &x {b: 1}\nc: *x\n")[0] == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize(
    ("data", "start"),
    [
        (b"", "p.yaml:1:1: a protocol is a mapping"),
        (b"# nothing\n", "p.yaml:1:1: a protocol is a mapping"),
        (b"just words", "p.yaml:1:1: a protocol is a mapping"),
        (b"a: 1\nb: \xc3\x28\n", "p.yaml:2:4: not UTF-8: byte 0xc3"),
        (b"\xff\xfea\x00:\x00", "p.yaml:1:1: not UTF-8"),
        (b"a: 1\nb: x\x00y\n", "p.yaml:2:5: not YAML: character U+0000"),
        (b"a: [1\nb: 2", "p.yaml:2:"),
        (b"a: 1\n\tb: 2", "p.yaml:2:1: not YAML"),
        (b"a: 1\n---\nb: 2\n", "p.yaml:2:1: not YAML"),
        (b"a: *nowhere", "p.yaml:1:4: not YAML: found undefined alias"),
        (b"%PDF-1.7\n\x80", "p.yaml:2:1: not UTF-8"),
        (b"[" * 5000, "p.yaml:1:41: nested more than"),
        (b"- " * 5000, "p.yaml:1:81: nested more than"),
        (b'a: "\\ud800"', "p.yaml:1:4: a text may not hold"),
        (b"a: " + b"9" * 5000, "p.yaml:1:4: a number of more than"),
        (b"x" * (MAX_BYTES + 1), "p.yaml:1:1: the file has"),
    ],
)
def test_what_is_no_protocol_is_one_clear_line(data: bytes, start: str) -> None:
    problems = problems_of(data)
    assert len(problems) == 1
    assert problems[0].startswith(start), problems[0]
    assert "\n" not in problems[0]


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=" \n\t-:[]{},&*!|>'\"%@`#?abc01.~<\\\x85\u2028é", max_size=60))
def test_no_text_crashes_the_reader(text: str) -> None:
    try:
        read_yaml(text.encode())
    except YamlError as error:
        assert error.mistakes
        assert all(mistake.line >= 1 and mistake.col >= 1 for mistake in error.mistakes)


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(alphabet="ab.${}-> 1", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "needs", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = ["steps", "sweep", "decision", "budget", "resources", "seed", "version", "name", "parents"]
STEP_KEYS = ["id", "task", "run", "needs", "gather", "repeat", "shards", "time", "with", "retries", "artifacts"]


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), junk), st.dictionaries(st.sampled_from(STEP_KEYS), junk))
def test_any_value_anywhere_is_a_report_and_not_a_crash(parts: dict[str, Any], step: dict[str, Any]) -> None:
    data = {**HEAD, "steps": [{"id": "play", **step}, {"id": "b", "needs": "play"}], **parts}
    try:
        load_protocol("p.yaml", text=json.dumps(data), registry=REGISTRY)
    except ProtocolErrors as error:
        assert error.problems


def test_a_byte_order_mark_and_windows_line_ends_are_fine() -> None:
    text = "\ufeff" + text_of().replace("\n", "\r\n")
    assert load_protocol("p.yaml", text=text, registry=REGISTRY).protocol.title == "T"


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        load_protocol(str(tmp_path / "x.yaml"))
    with pytest.raises(LabError):
        load_protocol(str(tmp_path))
    (tmp_path / "big.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(LabError, match="cannot be read"):
        load_protocol(str(tmp_path / "big.yaml"))


def test_positions_point_into_the_text() -> None:
    loaded = load_protocol("p.yaml", text=text_of(), registry=REGISTRY)
    assert loaded.positions.at(("title",)) == (2, 8)
    assert loaded.positions.at(("title",), key=True) == (2, 1)
    assert loaded.positions.at(("nothing",)) == (1, 1)
    assert loaded.text == text_of()


def test_task_names_are_read_from_files_with_mistakes() -> None:
    assert task_names(b"steps: [{task: b.x}, {task: a.y}, {run: [x]}, 3]\nfoo: bar") == ["a.y", "b.x"]
    assert task_names(b"steps: 3") == []
    assert task_names(b"a: [") is None


# The schema that editors use


def test_the_committed_schema_is_the_generated_one() -> None:
    assert (ROOT / "protocols/schema.json").read_text() == schema_text(), (
        "run: lab protocol schema --out protocols/schema.json"
    )


def test_the_schema_takes_every_protocol_here_and_refuses_unknown_keys() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())
    files = sorted((ROOT / "protocols").glob("*.yaml"))
    texts = [path.read_text() for path in files] + [text_of(), text_of(sweep={"seeds": [1, 2]}, budget={"wall": "2h"})]
    for text in texts:
        data = read_yaml(text.encode())[0]
        assert list(validator.iter_errors(data)) == []
        for place in (data, data["steps"][0], data["decision"]):
            place["surprise"] = 1
            assert list(validator.iter_errors(data))
            del place["surprise"]
    del data["question"]
    assert list(validator.iter_errors(data))


def test_every_object_of_the_schema_is_closed() -> None:
    for name, part in json_schema()["$defs"].items():
        assert part["additionalProperties"] is False, name


def test_the_protocols_here_are_valid() -> None:
    for path in sorted((ROOT / "protocols").glob("*.yaml")):
        load_protocol(str(path))


def test_a_good_protocol_keeps_what_was_written() -> None:
    protocol = load(sweep={"seeds": 2}, resources={"cpus": 2, "memory": "2GiB"})
    assert protocol.sweep.seeds == 2
    assert protocol.to_dict()["resources"]["memory"] == "2GiB"


def test_each_of_two_steps_with_one_id_is_checked_on_its_own() -> None:
    text = """\
version: 1
title: T
question: Q?
hypothesis: H.
sweep: {matrix: {a: [1, 2]}}
steps:
  - {id: x, task: fake.play, with: {size: 7}, gather: [a]}
  - {id: x, task: fake.nothing, with: {whatever: 1}}
  - {id: y, task: other.play, with: {big: 1}}
  - {id: y, run: [echo, "${sweep.a}"]}
  - {id: x, run: ["true"], with: {n: "${sweep.a}"}}
decision: {rule: exploratory}
"""
    found = problems_of(text)
    assert not [line for line in found if "not a parameter" in line or "runs once over" in line or "missing" in line]
    assert sum("is there already" in line for line in found) == 3
    assert sum("unknown task" in line for line in found) == 2
