"""Statistics against published or hand-computed values, and the counts that must not be believed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.stats import Metric, disagreements, elo, elo_interval, metrics_of, read_match, wilson, winrate


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (5, 10, 0.2366, 0.7634),  # Newcombe 1998, method 3, and R's binom.wilson
        (15, 148, 0.0624, 0.1605),  # Newcombe 1998, table I, 15/148
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, 81/263
        (0, 20, 0.0, 0.1611),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilson_gives_the_published_intervals(k: int, n: int, low: float, high: float) -> None:
    assert wilson(k, n) == pytest.approx((low, high), abs=1e-4)


def test_nothing_is_known_from_no_games() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert math.isnan(winrate(0, 0, 0).value)


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (1, 0)])
def test_impossible_counts_are_refused(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="wilson"):
        wilson(k, n)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_point_and_stays_inside(case: tuple[int, int]) -> None:
    k, n = case
    low, high = wilson(k, n)
    assert 0.0 <= low <= k / n <= high <= 1.0
    mirrored = wilson(n - k, n)
    assert (1 - high, 1 - low) == pytest.approx(mirrored, abs=1e-12)


def test_a_draw_is_half_a_win() -> None:
    assert winrate(3, 3, 4).value == 0.5
    assert winrate(0, 0, 10).value == winrate(5, 5, 0).value


@pytest.mark.parametrize(("p", "points"), [(0.5, 0.0), (0.75, 190.85), (10 / 11, 400.0), (0.25, -190.85)])
def test_elo_of_known_expectations(p: float, points: float) -> None:
    assert elo(p) == pytest.approx(points, abs=0.01)


def test_elo_has_no_finite_value_without_a_loss() -> None:
    value, low, high = elo_interval(winrate(200, 0, 0))
    assert value == high == math.inf
    assert low == pytest.approx(686.7, abs=0.5)  # Wilson's lower bound 0.98115 is 686.7 points
    assert elo(0.0) == -math.inf


def test_metrics_are_read_as_numbers_or_objects_and_nothing_else() -> None:
    read = metrics_of({"metrics": {"a": 2, "b": {"value": 0.5, "n": 3, "ci_low": 0.1}, "c": True, "d": "x", "e": {}}})
    assert read == {"a": Metric(2.0), "b": Metric(0.5, n=3, ci_low=0.1)}
    assert metrics_of({"metrics": [1]}) == {}


def counts(**changes: object) -> dict[str, object]:
    return {
        "player": "p",
        "opponent": "q",
        "games": 200,
        "no_result": 0,
        "black": {"wins": 98, "losses": 1, "draws": 1},
        "white": {"wins": 97, "losses": 3, "draws": 0},
        **changes,
    }


def test_a_consistent_match_has_no_problem() -> None:
    claimed = {
        "winrate": {"value": 0.9775, "n": 200, "ci_low": 0.946, "ci_high": 0.991, "method": "wilson"},
        "elo": 655,
    }
    pairs = {"2": 95, "1.5": 1, "1": 4, "0.5": 0, "0": 0}
    assert disagreements({"matches": [counts(pairs=pairs)], "metrics": claimed}) == []


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ({"matches": [counts(games=201)]}, "201 games, but 200 results"),
        ({"matches": [counts(pairs={"2": 100})]}, "the pairs score 200 points, the games 195.5"),
        ({"matches": [counts(pairs={"2": 101})]}, "202 games in pairs"),
        ({"matches": [counts()], "metrics": {"winrate": 0.99}}, "win rate value is 0.99, the recount 0.9775"),
        ({"matches": [counts()], "metrics": {"winrate": {"value": 0.9775, "n": 199}}}, "199 games in its win rate"),
        ({"matches": [counts(elo=700)]}, "Elo value is 700, the recount 655"),
        ({"matches": [counts()], "metrics": {"elo_diff": 600}}, "Elo value is 600, the recount 655"),
        (
            {"matches": [counts()], "metrics": {"winrate_black": 0.5}},
            "win rate as Black value is 0.5, the recount 0.985",
        ),
        (
            {"matches": [counts(winrate={"value": 0.9775, "ci_low": 0.96, "ci_high": 0.991, "method": "wilson"})]},
            "lower bound is 0.96",
        ),
        ({"matches": [counts(black={"wins": -1})]}, "wins is -1"),
        ({"matches": [counts(white=None)]}, "no counts for white"),
        ({"matches": ["x"]}, "not an object"),
    ],
)
def test_every_disagreement_is_told(task: dict[str, object], told: str) -> None:
    assert any(told in problem for problem in disagreements(task)), disagreements(task)


def test_with_several_matches_a_job_level_win_rate_is_not_compared() -> None:
    assert disagreements({"matches": [counts(), counts()], "metrics": {"winrate": 0.1}}) == []


def test_read_match_sums_both_colours() -> None:
    match = read_match(counts())
    assert (match.wins, match.losses, match.draws) == (195, 4, 1)
    assert match.rate.n == 200
    assert (match.rate_black.n, match.rate_white.n) == (100, 100)


def test_a_count_that_is_no_number_is_no_count() -> None:
    metric = Metric.read({"value": 1, "n": float("inf")})
    assert metric is not None and metric.n is None
