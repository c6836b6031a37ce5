"""Win rates, Elo and their intervals against known values and laws."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gocore.ratings import Z_95, Tally, elo, elo_metric, pentanomial, wilson, winrate_metric


def test_wilson_known_value() -> None:
    low, high = wilson(80, 104)  # a published result: 76.9 %, 68 to 84 %
    assert (round(low, 2), round(high, 2)) == (0.68, 0.84)
    for end in (low, high):  # what defines the interval: the observed rate is 1.96 standard errors of `end` away
        assert math.isclose(abs(80 / 104 - end) / math.sqrt(end * (1 - end) / 104), Z_95)


def test_wilson_ends() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(10, 10)[1] == 1.0 and 0.7 < wilson(10, 10)[0] < 0.73
    assert wilson(0, 10)[0] == 0.0
    with pytest.raises(ValueError, match="11 points"):
        wilson(11, 10)


@given(st.integers(1, 2000), st.data())
def test_wilson_laws(n: int, data: st.DataObject) -> None:
    points = data.draw(st.integers(0, 2 * n)) / 2
    low, high = wilson(points, n)
    assert 0 <= low <= points / n <= high <= 1
    mirrored = wilson(n - points, n)
    assert math.isclose(low, 1 - mirrored[1], abs_tol=1e-12)


def test_elo() -> None:
    assert elo(0.5) == 0
    assert math.isclose(elo(10 / 11), 400)
    assert elo(1.0) == math.inf and elo(0.0) == -math.inf


def test_elo_metric_of_a_clean_sweep_is_a_bound() -> None:
    sweep = elo_metric(200, 200)
    assert sweep["bound"] == "lower" and sweep["value"] == sweep["ci_low"] and sweep["ci_high"] is None
    assert 600 < sweep["value"] < 800
    lost = elo_metric(0, 200)
    assert lost["bound"] == "upper" and math.isclose(lost["value"], -sweep["value"]) and lost["ci_low"] is None
    even = elo_metric(100, 200)
    assert even["value"] == 0 and math.isclose(even["ci_low"], -even["ci_high"]) and "bound" not in even
    assert elo_metric(0, 0)["value"] is None


def test_winrate_metric_counts_draws_as_halves() -> None:
    assert winrate_metric(1.5, 2)["value"] == 0.75


def test_tally() -> None:
    tally = Tally()
    for points in (1.0, 1.0, 0.5, 0.0):
        tally.add(points)
    assert tally.to_json() == {"wins": 2, "losses": 1, "draws": 1} and tally.games == 4 and tally.points == 2.5
    with pytest.raises(ValueError, match=r"0\.7"):
        tally.add(0.7)


def test_pentanomial() -> None:
    assert pentanomial([2, 2.0, 1.5, 0]) == {"2": 2, "1.5": 1, "1": 0, "0.5": 0, "0": 1}
    with pytest.raises(ValueError, match="pair"):
        pentanomial([2.5])
