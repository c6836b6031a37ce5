"""What holds in every position of a random game: consistent sets and hashes, exact undo, independent copies."""

from __future__ import annotations

import pickle
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import gocore

rules = st.builds(
    gocore.Rules,
    ko=st.sampled_from(["positional", "situational", "simple"]),
    suicide=st.booleans(),
    komi=st.sampled_from([0.0, 6.5, 7.0]),
)
SETTINGS = settings(max_examples=60, deadline=None)


def state(game: gocore.Game) -> tuple[Any, ...]:
    """Everything visible, the legal moves standing for the ko history."""
    return (
        game.board().tobytes(),
        game.legal_mask().tobytes(),
        game.liberties().tobytes(),
        game.hash,
        game.to_play,
        game.is_over,
        game.result,
        game.pass_would_end(),
        tuple(game.moves),
    )


def random_game(size: int, rules: gocore.Rules, seed: int, plies: int) -> tuple[gocore.Game, list[tuple[Any, ...]]]:
    """Any legal move, own eyes and passes among them; gives the state before each move, and the last."""
    rng = random.Random(seed)
    game = gocore.Game(size, rules)
    states = [state(game)]
    for _ in range(plies):
        legal = game.legal_moves()
        if not legal:
            break
        game.play(rng.choice(legal[:-1] or legal) if rng.random() > 0.05 else "pass")
        states.append(state(game))
    return game, states


@SETTINGS
@given(size=st.integers(1, 19), rules=rules, seed=st.integers(0, 2**32), plies=st.integers(0, 150))
def test_sets_counts_and_hashes_equal_recomputed_ones(size: int, rules: gocore.Rules, seed: int, plies: int) -> None:
    rng = random.Random(seed)
    game = gocore.Game(size, rules)
    for _ in range(plies):
        legal = game.legal_moves()
        if not legal:
            break
        game.play(rng.choice(legal))
        assert game.check() == ""
    # The hash is that of the position alone: the same stones set up give the same.
    stones = [(point, int(color)) for point, color in enumerate(game.board().ravel()) if color]
    again = gocore.Game(size, rules)
    again.set_up(stones, 1 if game.to_play == "black" else 2)
    assert again.hash == game.hash


@SETTINGS
@given(size=st.integers(1, 9), rules=rules, seed=st.integers(0, 2**32), plies=st.integers(0, 60))
def test_undo_returns_every_earlier_state(size: int, rules: gocore.Rules, seed: int, plies: int) -> None:
    game, states = random_game(size, rules, seed, plies)
    for expected in reversed(states[:-1]):
        game.undo()
        assert state(game) == expected


@SETTINGS
@given(rules=rules, seed=st.integers(0, 2**32), plies=st.integers(0, 60))
def test_undo_and_replay_on_a_tiny_board_keep_superko(rules: gocore.Rules, seed: int, plies: int) -> None:
    """2x2 boards repeat positions all the time, so a history lost by undo would show."""
    game, states = random_game(2, rules, seed, plies)
    moves = game.moves
    back = len(moves) // 2
    for _ in range(back):
        game.undo()
    for move in moves[len(moves) - back :]:
        game.play(move)
    assert state(game) == states[-1]


@SETTINGS
@given(size=st.integers(2, 9), rules=rules, seed=st.integers(0, 2**32), plies=st.integers(0, 60))
def test_copies_are_equal_and_independent(size: int, rules: gocore.Rules, seed: int, plies: int) -> None:
    game, states = random_game(size, rules, seed, plies)
    twin, thawed = game.copy(), pickle.loads(pickle.dumps(game))
    assert state(twin) == state(thawed) == states[-1]
    assert twin.rules == thawed.rules == rules
    if not game.is_over:
        game.play(game.legal_moves()[0])
        assert state(twin) == states[-1]
        twin.play("pass")
        assert state(thawed) == states[-1]
    while game.moves:
        game.undo()
    assert twin.moves[: len(states) - 1] == thawed.moves


@SETTINGS
@given(size=st.integers(1, 9), rules=rules, seed=st.integers(0, 2**32), plies=st.integers(0, 80))
def test_mask_moves_and_reasons_agree(size: int, rules: gocore.Rules, seed: int, plies: int) -> None:
    game, _ = random_game(size, rules, seed, plies)
    mask = game.legal_mask()
    assert mask.shape == (size * size + 1,)
    assert list(mask) == [game.why_illegal(point) == "" for point in range(size * size + 1)]
    assert len(game.legal_moves()) == mask.sum()
    for move in game.legal_moves():
        twin = game.copy()
        twin.play(move)
        assert twin.num_moves == game.num_moves + 1
