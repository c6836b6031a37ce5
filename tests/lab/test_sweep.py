"""The arms of a sweep."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.protocol import Sweep
from lab.sweep import MAX_ARMS, MAX_SLUG_CHARS, SweepError, arm_slug, arms_of, slugify


def arms(base: int = 1, **sweep: Any) -> list[tuple[dict[str, Any], int, str]]:
    return [(arm.coords, arm.seed, arm.slug) for arm in arms_of(Sweep.model_validate(sweep), base)]


def test_no_sweep_is_one_arm_without_a_name() -> None:
    assert arms(7) == [({}, 7, "")]


def test_every_combination_with_the_same_seeds_in_each() -> None:
    assert arms(5, matrix={"search": ["Fixed 100", "pcr"], "lr": [1e-3]}, seeds=2) == [
        ({"search": "Fixed 100", "lr": 1e-3}, 5, "fixed-100-lr0-001-s5"),
        ({"search": "Fixed 100", "lr": 1e-3}, 6, "fixed-100-lr0-001-s6"),
        ({"search": "pcr", "lr": 1e-3}, 5, "pcr-lr0-001-s5"),
        ({"search": "pcr", "lr": 1e-3}, 6, "pcr-lr0-001-s6"),
    ]


def test_exclude_takes_away_and_include_adds() -> None:
    found = arms(matrix={"a": [1, 2], "b": [1, 2]}, exclude=[{"a": 1, "b": 2}, {"a": 2}], include=[{"a": 9, "b": 9}])
    assert [coords for coords, _, _ in found] == [{"a": 1, "b": 1}, {"a": 9, "b": 9}]
    assert [coords for coords, _, _ in arms(include=[{"x": 1}, {"x": True}])] == [{"x": 1}, {"x": True}]


def test_seeds_may_be_listed() -> None:
    assert [seed for _, seed, _ in arms(seeds=[11, 3])] == [11, 3]


@pytest.mark.parametrize(
    ("sweep", "loc", "words"),
    [
        ({"matrix": {"a": [1, 1]}}, ("matrix", "a"), "same value twice"),
        ({"seeds": [1, 1]}, ("seeds",), "same seed twice"),
        ({"matrix": {"a": [1]}, "exclude": [{"b": 1}]}, ("exclude", 0, "b"), "not a key"),
        ({"matrix": {"a": [1]}, "exclude": [{"a": 2}]}, ("exclude", 0), "excludes nothing"),
        ({"matrix": {"a": [1]}, "exclude": [{"a": 1}]}, ("exclude",), "nothing is left"),
        ({"matrix": {"a": [1]}, "include": [{"b": 1}]}, ("include", 0), "each of a"),
        ({"matrix": {"a": [1]}, "include": [{"a": 1}]}, ("include", 0), "in the sweep already"),
        ({"matrix": {"a": list(range(200)), "b": list(range(200))}}, ("matrix",), str(MAX_ARMS)),
        ({"matrix": {"a": list(range(200))}, "seeds": 200}, (), str(MAX_ARMS)),
    ],
)
def test_sweeps_without_sense_are_refused(sweep: dict[str, Any], loc: tuple[str, ...], words: str) -> None:
    with pytest.raises(SweepError, match=words) as caught:
        arms(**sweep)
    assert caught.value.loc == loc


@given(st.dictionaries(st.text(max_size=9), st.none() | st.booleans() | st.floats() | st.text(max_size=30), max_size=4))
def test_slugs_are_slugs(point: dict[str, Any]) -> None:
    slug = arm_slug(point, list(point))
    assert len(slug) <= MAX_SLUG_CHARS
    assert slug == slugify(slug)
    assert slug.isascii()
