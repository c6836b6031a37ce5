"""The frozen rule's five words: each is reached, and none by accident."""

from __future__ import annotations

import pytest

from lab.stats import Metric
from lab.verdict import judge

RULE = {"rule": "fixed", "primary": "m.winrate", "accept": ["m.winrate.ci_low > 0.9"], "guards": ["l.passes < 0.05"]}


def rate(low: float, high: float) -> Metric:
    return Metric((low + high) / 2, n=200, ci_low=low, ci_high=high)


def results(winrate: Metric, passes: float = 0.01) -> dict[str, dict[str, dict[str, Metric]]]:
    return {"m": {"m-1": {"winrate": winrate}}, "l": {"l-1": {"passes": Metric(passes)}}}


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.91, 0.99, "supported"),
        (0.85, 0.95, "inconclusive"),  # the bound lies inside the interval
        (0.60, 0.89, "refuted"),  # all of the interval is on the wrong side
        (0.90, 0.99, "inconclusive"),  # `>` is strict
        (0.80, 0.90, "refuted"),
    ],
)
def test_the_interval_decides(low: float, high: float, word: str) -> None:
    assert judge(RULE, results(rate(low, high))).word == word


def test_a_failed_guard_makes_a_fine_result_invalid() -> None:
    verdict = judge(RULE, results(rate(0.95, 0.99), passes=0.2))
    assert verdict.word == "invalid"
    assert "guard failed: l.passes < 0.05 (found 0.2 in l-1)" in verdict.reasons


def test_missing_jobs_metrics_and_disagreements_are_invalid() -> None:
    fine = results(rate(0.95, 0.99))
    assert judge(RULE, fine, missing_jobs=["x-1"]).word == "invalid"
    assert judge(RULE, fine, disagreements=["counts differ"]).word == "invalid"
    assert judge(RULE, {"l": fine["l"]}).word == "invalid"
    assert judge(RULE, {**fine, "m": {"m-1": {}}}).word == "invalid"
    no_interval = {**fine, "m": {"m-1": {"winrate": Metric(0.97)}}}
    assert "has no ci_low" in judge(RULE, no_interval).reasons[0]
    assert judge(RULE, {**fine, "m": {"m-1": {"winrate": Metric(float("nan"), ci_low=float("nan"))}}}).word == "invalid"


def test_without_a_rule_it_is_exploratory_but_guards_still_count() -> None:
    exploratory = {"rule": "exploratory", "guards": RULE["guards"]}
    assert judge(exploratory, results(rate(0.1, 0.2))).word == "exploratory"
    assert judge(exploratory, results(rate(0.1, 0.2), passes=0.5)).word == "invalid"


def test_every_arm_must_hold_and_one_can_contradict() -> None:
    arms = results(rate(0.95, 0.99))
    arms["m"]["m-2"] = {"winrate": rate(0.85, 0.95)}
    assert judge(RULE, arms).word == "inconclusive"
    arms["m"]["m-3"] = {"winrate": rate(0.5, 0.6)}
    assert judge(RULE, arms).word == "refuted"


def test_a_number_without_uncertainty_is_its_own_interval() -> None:
    rule = {"rule": "fixed", "accept": ["l.passes < 0.05"]}
    assert judge(rule, results(rate(0, 1), passes=0.04)).word == "supported"
    assert judge(rule, results(rate(0, 1), passes=0.06)).word == "refuted"


def test_an_upper_bound_works_the_other_way_round() -> None:
    rule = {"rule": "fixed", "accept": ["m.winrate.ci_high < 0.5"]}
    assert judge(rule, results(rate(0.3, 0.4))).word == "supported"
    assert judge(rule, results(rate(0.4, 0.6))).word == "inconclusive"
    assert judge(rule, results(rate(0.6, 0.7))).word == "refuted"
