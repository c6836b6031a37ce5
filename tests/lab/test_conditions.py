"""Decision conditions: grammar, positions of mistakes, evaluation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.conditions import Condition, ConditionError, parse_condition, parse_metric


def test_the_parts_of_a_condition() -> None:
    text = "  match-2.winrate.ci_low >= -1.5e-1 "
    assert parse_condition(text) == Condition(text.strip(), "match-2", "winrate", "ci_low", ">=", -0.15)
    assert parse_condition("a.b<1").field == "value"
    assert parse_condition("a.b.value != .5").metric == "b"
    assert parse_condition("a.loss.policy.n == 3.").metric == "loss.policy"
    assert parse_condition("a.n > 3") == Condition("a.n > 3", "a", "n", "value", ">", 3)


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        ("", 0, "expected <step>.<metric>"),
        ("Match.x > 1", 0, "expected <step>.<metric>"),
        ("match > 1", 5, "after the step 'match'"),
        ("match.x => 1", 8, "expected one of"),
        ("match.x 1", 8, "expected one of"),
        ("match.x > one", 10, "expected a number"),
        ("match.x > 1 %", 12, "nothing may follow"),
        ("match.x > 1e999", 10, "too large"),
        ("match.x > nan", 10, "expected a number"),
        ("match.x..y > 1", 7, "expected one of"),
    ],
)
def test_mistakes_are_placed(text: str, offset: int, words: str) -> None:
    with pytest.raises(ConditionError, match=words) as caught:
        parse_condition(text)
    assert caught.value.offset == offset


@given(st.text(max_size=40))
def test_any_text_is_a_condition_or_a_condition_error(text: str) -> None:
    try:
        assert parse_condition(text).step in text
    except ConditionError as error:
        assert 0 <= error.offset <= len(text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("m.w.ci_low > 0.5", True),
        ("m.w.ci_low > 0.9", False),
        ("m.w > 0.96", True),
        ("m.w.n == 200", True),
        ("m.w.ci_high < 1", None),
        ("m.loss <= 2", True),
        ("m.loss.ci_low <= 2", None),
        ("m.gone > 0", None),
        ("other.w > 0", None),
        ("m.flag == 1", None),
        ("m.nan != 1", False),
    ],
)
def test_conditions_are_looked_up(text: str, answer: bool | None) -> None:
    metrics = {"w": {"value": 0.97, "n": 200, "ci_low": 0.6}, "loss": 2, "flag": True, "nan": float("nan")}
    assert parse_condition(text).evaluate({"m": metrics}) is answer


def test_a_bare_metric() -> None:
    assert parse_metric("verdict.elo_diff") == ("verdict", "elo_diff", "value")
    with pytest.raises(ConditionError) as caught:
        parse_metric("verdict.elo_diff > 3")
    assert caught.value.offset == 17
