"""The core against the slow reference: small boards, every combination of rules, random games that fill eyes."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ReferenceGame, area_owner, liberties, pass_alive

import gocore
from gocore.board import vertex

ALL_RULES = list(itertools.product(("positional", "situational", "simple"), (False, True)))


def compare(game: gocore.Game, reference: ReferenceGame) -> None:
    size = reference.size
    assert game.is_over == reference.over
    assert game.no_result == reference.no_result
    assert tuple(game.board().ravel()) == reference.board
    assert list(game.legal_mask()) == [reference.is_legal(point) for point in range(size * size + 1)]
    assert game.check() == ""


def play_both(size: int, ko: str, suicide: bool, seed: int, plies: int, pass_rate: float = 0.1) -> gocore.Game:
    """Play one random game on both and compare every position."""
    rng = random.Random(seed)
    game = gocore.Game(size, gocore.Rules(ko=ko, suicide=suicide, komi=0))  # type: ignore[arg-type]
    reference = ReferenceGame(size, ko, suicide)
    for _ in range(plies):
        compare(game, reference)
        legal = [point for point in range(size * size + 1) if game.legal_mask()[point]]
        if not legal:
            break
        point = size * size if rng.random() < pass_rate else rng.choice(legal[:-1] or legal)
        game.play(vertex(point, size))
        reference.play(point)
    compare(game, reference)
    return game


@pytest.mark.parametrize(("ko", "suicide"), ALL_RULES)
@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 4), seed=st.integers(0, 2**32))
def test_random_games_agree_at_every_ply(ko: str, suicide: bool, size: int, seed: int) -> None:
    play_both(size, ko, suicide, seed, plies=60)


@pytest.mark.parametrize(("ko", "suicide"), ALL_RULES)
def test_long_games_on_tiny_boards_meet_every_rule(ko: str, suicide: bool) -> None:
    """2x2 games without many passes run into superko, suicide and cycles."""
    ends = [play_both(2, ko, suicide, seed, plies=80, pass_rate=0.03) for seed in range(40)]
    assert any(game.is_over for game in ends)
    if ko == "simple":
        assert any(game.result == "Void" for game in ends)
    else:
        assert not any(game.result == "Void" for game in ends)


@settings(max_examples=120, deadline=None)
@given(size=st.integers(1, 6), suicide=st.booleans(), seed=st.integers(0, 2**32), plies=st.integers(0, 80))
def test_area_pass_alive_and_liberties_agree(size: int, suicide: bool, seed: int, plies: int) -> None:
    game = gocore.Game(size, gocore.Rules(suicide=suicide, komi=0))
    for _ in range(plies):
        if game.is_over:
            break
        game.play(game.random_move(seed))
    board = tuple(int(color) for color in game.board().ravel())
    alive, owner = pass_alive(board, size, suicide), area_owner(board, size)
    assert list(game.pass_alive().ravel()) == alive
    assert list(game.area_owner(False).ravel()) == owner
    assert game.area_score("as_is") == owner.count(1) - owner.count(2)
    settled = [now if now else was for now, was in zip(alive, owner, strict=True)]
    assert list(game.area_owner().ravel()) == settled
    assert game.area_score("pass_dead_removed") == settled.count(1) - settled.count(2)
    for point, color in enumerate(board):
        expected = len(liberties(board, size, point)) if color else 0
        assert game.liberties().ravel()[point] == expected


@settings(max_examples=300, deadline=None)
@given(colors=st.lists(st.sampled_from([0, 0, 1, 2]), min_size=25, max_size=25), suicide=st.booleans())
def test_benson_agrees_on_arbitrary_positions(colors: list[int], suicide: bool) -> None:
    """Dense set-up positions reach shapes that random play does not."""
    size = 5
    board = tuple(colors)
    board = tuple(color if color and liberties(board, size, point) else 0 for point, color in enumerate(board))
    game = gocore.Game(size, gocore.Rules(suicide=suicide))
    game.set_up([(point, color) for point, color in enumerate(board) if color], 1)
    assert tuple(game.board().ravel()) == board
    assert list(game.pass_alive().ravel()) == pass_alive(board, size, suicide)
