"""Task specs: light to import, all problems at once, references pass anywhere, defaults pass their own check."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import jsonschema
import pytest

from gocore.tasks.params import show_loc
from gocore.tasks.specs import TASKS
from lab.tasks import TaskSpec as LabTaskSpec


def found(task: str, params: dict[str, Any]) -> dict[str, str]:
    return {show_loc(loc): message for loc, message in TASKS[task].check(params)}


def test_importing_specs_imports_nothing_heavy() -> None:
    code = "import sys, gocore.tasks.specs; print([m for m in ('torch', 'numpy', 'gocore._core') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("name", TASKS)
def test_a_spec_is_what_the_lab_expects(name: str) -> None:
    spec = TASKS[name]
    assert isinstance(spec, LabTaskSpec)
    assert spec.argv == ["{python}", "-m", "gocore.tasks", name] and spec.name == name
    jsonschema.Draft202012Validator.check_schema(spec.schema())


def test_all_problems_at_once() -> None:
    problems = found(
        "loop",
        {"size": 30, "net": {"blcks": 3, "channels": "wide"}, "iterations": True, "search": 5, "gmaes": 1},
    )
    assert problems == {
        "size": "must be from 2 to 19, not 30",
        "net.blcks": "is not a parameter here; did you mean blocks?",
        "net.channels": "must be an integer, not 'wide'",
        "iterations": "must be an integer, not True",
        "search": "must be a table, not 5",
        "gmaes": "is not a parameter here; did you mean games?",
    }


def test_required_and_related_parameters() -> None:
    assert set(found("match", {})) == {"player", "opponent"}
    assert found("train", {"records": []}) == {"records": "must not be an empty list"}
    assert found("train", {"records": ["a", 3]}) == {"records[1]": "must be a path, not 3"}
    assert found("match", {"player": {}, "opponent": {"kind": "random", "checkpoint": "x.pt"}, "slots": 5}) == {
        "player.checkpoint": "is missing: a player of kind net needs one",
        "opponent.checkpoint": "has no meaning for a player of kind random",
        "slots": "must be a multiple of groups (2)",
    }
    assert set(found("loop", {"search": {"visits": 8, "cheap_visits": 9}})) == {"search.cheap_visits"}
    assert set(found("loop", {"rules": {"komi": 6.3}})) == {"rules.komi"}
    assert set(found("selfplay", {"size": 5, "selfplay": {"opening_moves": 13}})) == {"selfplay.opening_moves"}
    assert set(found("train", {"records": "r", "training": {"rows_per_new_row": 9}})) == {"training.rows_per_new_row"}


def test_problems_between_parameters_come_with_the_others() -> None:
    params = {
        "size": 30,
        "gmaes": 1,
        "net": 3,
        "rules": {"komi": 6.3, "ko": 2},
        "search": {"visits": 8, "cheap_visits": 9},
        "selfplay": {"slots": "many", "opening_moves": 12, "move_cap": 12},
    }
    relations = {"rules.komi", "search.cheap_visits", "selfplay.move_cap", "health.early_moves"}
    assert set(found("loop", params)) == {"size", "gmaes", "net", "rules.ko", "selfplay.slots"} | relations
    assert set(found("match", {"opponent": {}, "rules": {"komi": 0.3}})) == {
        *("player", "opponent.checkpoint", "rules.komi")
    }
    assert params["net"] == 3  # the caller's own parameters stay as they are


def test_what_the_pool_would_refuse_is_refused_before() -> None:
    match = {"player": {"checkpoint": "n.pt"}, "opponent": {"kind": "random"}}
    assert set(found("match", match | {"opening_moves": 6, "move_cap": 6})) == {"move_cap"}
    assert found("match", match | {"opening_moves": 6, "move_cap": 7}) == {}
    short = {"selfplay": {"move_cap": 4}, "evaluation": {"opening_moves": 4}}
    assert set(found("loop", short)) == {"evaluation.opening_moves"}
    assert set(found("selfplay", {"rules": {"komi": 361.5}})) == {"rules.komi"}
    assert set(found("loop", {"training": {"lr": 10**400}})) == {"training.lr"}


def test_the_guard_against_early_passes_must_see_moves() -> None:
    late = {"selfplay": {"opening_moves": 9}}
    assert set(found("loop", late)) == {"health.early_moves"}
    assert found("loop", late | {"health": {"early_moves": 10}}) == {}
    assert found("loop", late | {"health": {"early_pass_max": None}}) == {}


def test_references_pass_for_any_type() -> None:
    later = "${steps.learn.artifacts.net}"
    assert found("loop", {"search": {"visits": 8, "cheap_visits": 9, "full_probability": later}}) == {}
    assert found("match", {"player": {"checkpoint": later}, "opponent": later, "pairs": "${sweep.pairs}"}) == {}
    assert found("loop", {"search": {"visits": later}, "rules": {"komi": later}, "seed": "${seed}"}) == {}


@pytest.mark.parametrize("name", TASKS)
def test_defaults_pass_their_own_check_and_schema(name: str) -> None:
    needed = {
        "selfplay": {},
        "train": {"records": "r"},
        "loop": {},
        "match": {"player": {"checkpoint": "n.pt"}, "opponent": {"kind": "random"}},
    }[name]
    filled = TASKS[name].fill(needed)
    assert TASKS[name].check(filled) == []
    assert TASKS[name].fill(filled) == filled
    jsonschema.validate(filled, TASKS[name].schema())
    assert set(filled) == set(TASKS[name].params)


def test_schema_refuses_what_check_refuses() -> None:
    for bad in ({"size": 30}, {"net": {"blcks": 3}}, {"iterations": "many"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, TASKS["loop"].schema())
    jsonschema.validate({"iterations": "${sweep.n}"}, TASKS["loop"].schema())


def test_nan_and_infinity_are_no_numbers() -> None:
    assert set(found("loop", {"rules": {"komi": float("nan")}})) == {"rules.komi"}
    assert set(found("loop", {"training": {"lr": float("inf")}})) == {"training.lr"}
