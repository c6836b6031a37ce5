"""The protocol model itself."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lab.errors import ProtocolErrors
from lab.protocol import Protocol
from lab.template import template
from protocols import load, play, text_of


def test_a_steps_resources_go_over_the_protocols() -> None:
    protocol = load(
        resources={"cpus": 4, "gpus": 1, "memory": "2GiB"},
        steps=[play("a"), play("b", resources={"gpus": 0, "roles": ["x"]})],
    )
    a, b = (protocol.resources_of(step) for step in protocol.steps)
    assert (a.cpus, a.gpus, a.memory) == (4, 1, "2GiB")
    assert (b.cpus, b.gpus, b.memory, b.roles) == (4, 0, "2GiB", ["x"])


def test_a_protocol_is_frozen_and_survives_its_own_dump() -> None:
    protocol = load(sweep={"matrix": {"a": [1]}, "seeds": [3, 4]}, steps=[play("a", needs=[], time="1h30m")])
    with pytest.raises(ValueError):
        protocol.title = "other"  # type: ignore[misc]
    assert Protocol.model_validate(json.loads(json.dumps(protocol.to_dict()))) == protocol
    assert protocol.step("a").time_s == 5400


def test_one_need_may_be_a_plain_word() -> None:
    assert load(steps=[play("a"), play("b", needs="a")]).step("b").needs == ["a"]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"seed": True}, "seed: must be a whole number"),
        ({"seed": "1"}, "seed: must be a whole number"),
        ({"seed": -1}, "seed: must be at least 0"),
        ({"title": " "}, "title: must not be empty"),
        ({"title": 5}, "title: must be text"),
        ({"name": "A B"}, "lower-case letters"),
        ({"parents": ["a", "a"]}, "a is there twice"),
        ({"steps": []}, "steps: must not be empty"),
        ({"steps": "x"}, "steps: must be a list"),
        ({"resources": []}, "resources: must be a mapping"),
        ({"resources": {"memory": 5}}, "size needs a unit"),
        ({"steps": [play("a", time="0s")]}, "longer than nothing"),
        ({"steps": [play("a", repeat=0)]}, "repeat: must be at least 1"),
        ({"steps": [{"id": "a", "run": "echo hi"}]}, "run: must be a list"),
        ({"steps": [{"id": "a", "run": ["echo", 5]}]}, "run.1: must be text"),
        ({"sweep": {"matrix": {"a b": [1]}}}, "a key here is a word"),
        ({"sweep": {"matrix": {"seed": [1]}}}, "swept by `seeds:`"),
        ({"sweep": {"matrix": {"a": ["${seed}"]}}}, "references are not used in a sweep"),
        ({"decision": {}}, "`decision.rule` is required"),
        ({"decision": {"rule": "fixed"}}, "rule `fixed` needs `accept`"),
        ({"version": "1"}, "version: must be 1"),
        ({"version": 0}, "version: must be 1"),
        ({"version": True}, "version: must be 1"),
    ],
)
def test_wrong_values_say_what_would_be_right(parts: dict[str, object], words: str) -> None:
    with pytest.raises(ProtocolErrors) as caught:
        load(**parts)
    assert words in str(caught.value)


def test_the_template_is_valid_and_says_where_the_schema_is() -> None:
    from lab.protocol_yaml import load_protocol

    text = template("A question", "protocols/q.yaml", "./schema.json")
    assert text.startswith("# yaml-language-server: $schema=./schema.json\n")
    protocol = load_protocol("q.yaml", text=text).protocol
    assert protocol.title == "A question"
    assert protocol.decision.rule == "fixed"


def test_status_needs_no_pydantic() -> None:
    code = "import sys, lab.token, lab.paths, lab.fsio, lab.job, lab.units; assert 'pydantic' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_text_builder_is_honest() -> None:
    assert "question: Q?" in text_of()
