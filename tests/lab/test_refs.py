"""`${…}` references: what they are, and what takes their place when."""

from __future__ import annotations

import pytest

from lab.refs import ABSENT, Ref, RefError, bind, bind_argv, find, parse_ref, substitute

VALUES = {"seed": 3, "sweep": 1e-3, "shard": 0, "shards": 2, "arm": "x-s3", "repeat": 1}


def static(ref: Ref) -> object:
    return ABSENT if ref.kind == "previous" else VALUES[ref.kind]


@pytest.mark.parametrize(
    ("inner", "ref"),
    [
        ("seed", Ref("${seed}", "seed")),
        ("sweep.lr", Ref("${sweep.lr}", "sweep", name="lr")),
        ("steps.a-b.artifacts.net.pt", Ref("${steps.a-b.artifacts.net.pt}", "steps", "a-b", "artifacts", "net.pt")),
        ("previous.metrics.loss", Ref("${previous.metrics.loss}", "previous", "", "metrics", "loss")),
    ],
)
def test_references_parse(inner: str, ref: Ref) -> None:
    assert parse_ref(inner) == ref
    assert parse_ref(f" {inner} ").kind == ref.kind


@pytest.mark.parametrize(
    "inner", ["", "seeds", "sweep", "sweep.", "steps.a", "steps.a.files.b", "steps..artifacts.b", "env.X"]
)
def test_other_words_are_no_references(inner: str) -> None:
    with pytest.raises(RefError, match="not a reference"):
        parse_ref(inner)


def test_find_says_where_and_whether_alone() -> None:
    value = {"a": ["${seed}", {"b": "x${shard}-${arm}"}], "c": "$${seed} $5 {x}", "d": "${", "e": 3}
    found = [(loc, ref.kind if isinstance(ref, Ref) else "?", whole) for loc, ref, whole in find(value)]
    assert found == [
        (("a", 0), "seed", True),
        (("a", 1, "b"), "shard", False),
        (("a", 1, "b"), "arm", False),
        (("d",), "?", False),
    ]


def test_a_lone_reference_keeps_its_type_and_others_become_text() -> None:
    value = {"lr": "${sweep.lr}", "name": "run-${seed}/${sweep.lr}", "list": ["${shard}"], "n": 1}
    assert substitute(value, static) == {"lr": 1e-3, "name": "run-3/0.001", "list": [0], "n": 1}


def test_runtime_references_and_escapes_wait_for_bind() -> None:
    value = {"net": "${steps.a.artifacts.net}", "path": "${steps.a.artifacts.net}/x", "sh": "$${seed}"}
    assert substitute(value, static) == value
    assert bind(value, lambda ref: f"/r/{ref.step}.{ref.name}") == {
        "net": "/r/a.net",
        "path": "/r/a.net/x",
        "sh": "${seed}",
    }


def test_the_first_of_a_repeat_has_no_previous() -> None:
    value = {"net": "${previous.artifacts.net}", "more": ["${previous.artifacts.net}", 1]}
    assert substitute(value, static) == {"more": [1]}


def test_gathered_references_become_lists_and_words() -> None:
    assert bind(["${steps.a.artifacts.net}"], lambda ref: ["/1", "/2"]) == [["/1", "/2"]]
    assert bind_argv(["cat", "${steps.a.artifacts.net}", "-n"], lambda ref: ["/1", "/2"]) == ["cat", "/1", "/2", "-n"]
    assert bind_argv(["x", "${steps.a.metrics.n}"], lambda ref: 3) == ["x", "3"]
    with pytest.raises(RefError, match="stand alone"):
        bind("x${steps.a.artifacts.net}", lambda ref: ["/1", "/2"])


def test_a_bound_value_is_not_looked_into_again() -> None:
    assert bind(["${steps.a.artifacts.net}", "$${x}"], lambda ref: "/r/${seed}") == ["/r/${seed}", "${x}"]
