"""Matches: pairs share an opening with colours swapped, none comes twice, counts add up, resumes count once."""

from __future__ import annotations

import numpy as np
import pytest
from nets import tiny_params

from gocore._core import decode_record
from gocore.match import MatchConfig, Pair, make_pair, opening_key, play_match, player_points
from gocore.reporting import Preempted


def config(**changes: object) -> MatchConfig:
    params = tiny_params("match", **changes)
    names = ("size", "rules", "player", "opponent", "pairs", "opening_moves", "slots", "groups")
    names += ("temperature_moves", "temperature")  # type: ignore[assignment]
    return MatchConfig(**{name: params[name] for name in names}, seed=4, threads=2)


def test_pairs_are_colour_swapped_on_one_opening() -> None:
    result = play_match(config())
    assert [pair.number for pair in result.pairs] == list(range(6))
    keys = set()
    for pair in result.pairs:
        black, white = decode_record(pair.black), decode_record(pair.white)
        assert (black["black_player"], black["white_player"]) == (0, 1)
        assert (white["black_player"], white["white_player"]) == (1, 0)
        assert black["opening_moves"] == 3 and np.array_equal(black["moves"][:3], white["moves"][:3])
        assert black["komi"] == white["komi"]
        keys.add(opening_key(black))
    assert len(keys) == 6


def test_counts_add_up() -> None:
    result = play_match(config())
    black, white = result.tallies()
    assert black.games + white.games + result.no_results() == 12
    points = [pair.points for pair in result.pairs if pair.points is not None]
    if result.no_results() == 0:
        assert sum(points) == black.points + white.points
    assert sum(result.pentanomial().values()) == len(points)
    by_hand = sum(float(decode_record(pair.black)["result"]) for pair in result.pairs if pair.points_black is not None)
    assert black.points == by_hand  # result is Black's, and the player is Black there


def test_player_points_by_side() -> None:
    game = {"no_result": False, "settled": True, "result": 1.0, "black_player": 1}
    assert (player_points(game, 1), player_points(game, 0)) == (1.0, 0.0)
    assert player_points(game | {"result": 0.5}, 0) == 0.5
    assert player_points(game | {"settled": False}, 0) is None
    assert player_points(game | {"no_result": True}, 0) is None
    assert Pair(0, b"", b"", 1.0, None).points is None


def test_same_seed_same_match_whatever_the_threads() -> None:
    first, second = play_match(config()), play_match(config())
    assert [(p.black, p.white) for p in first.pairs] == [(p.black, p.white) for p in second.pairs]


def test_stopped_match_goes_on_where_it_was() -> None:
    stopped: list[Pair] = []
    with pytest.raises(Preempted):
        play_match(
            config(slots=2, groups=1),
            on_pair=lambda pair, counted: stopped.append(pair),
            should_stop=lambda: len(stopped) >= 2,
        )
    assert 2 <= len(stopped) < 6
    earlier = [record for pair in stopped for record in (pair.black, pair.white)]
    new: list[int] = []
    result = play_match(config(), earlier=earlier, on_pair=lambda pair, counted: new.append(counted))
    assert [pair.number for pair in result.pairs] == list(range(6))
    assert [pair.black for pair in result.pairs[: len(stopped)]] == [pair.black for pair in stopped]
    assert len(new) == 6 - len(stopped)


def test_repeated_openings_are_played_again_and_then_given_up() -> None:
    result = play_match(config(opening_moves=1, pairs=12, slots=16))  # of 25 points some come twice
    keys = [opening_key(decode_record(pair.black)) for pair in result.pairs]
    assert len(keys) == len(set(keys)) == 12 and result.repeated_openings > 0
    impossible = play_match(config(size=2, opening_moves=1, pairs=5))  # the board has four points
    assert len(impossible.pairs) <= 4 and impossible.repeated_openings > 5


def test_records_that_are_no_pair() -> None:
    pairs = play_match(config()).pairs
    with pytest.raises(ValueError, match="are not a pair"):
        make_pair(pairs[0].white, pairs[1].black)
