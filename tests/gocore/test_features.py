"""Input planes: against a slow reference, under all symmetries, and at the leaves of a search."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from fakenet import FloatArray, hash_net, selfplay
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import liberties

import gocore
from gocore._core import NUM_PLANES, Pool, decode_record, encode


def turn(array: FloatArray, symmetry: int) -> FloatArray:
    """Turn the last two axes: 4 transposes, then 2 flips columns and 1 flips rows."""
    if symmetry & 4:
        array = np.swapaxes(array, -1, -2)
    if symmetry & 2:
        array = array[..., ::-1]
    if symmetry & 1:
        array = array[..., ::-1, :]
    return array


def reference_planes(game: gocore.Game) -> FloatArray:
    size = game.size
    planes = np.zeros((NUM_PLANES, size, size), np.float32)
    board = game.board()
    legal = game.legal_mask()
    mine = game.color_to_play
    planes[0] = 1
    for point in range(size * size):
        at = divmod(point, size)
        if board[at] == 0:
            planes[(6, *at)] = not legal[point] and game.why_illegal(point) in ("ko", "superko")
            continue
        planes[(1 if board[at] == mine else 2, *at)] = 1
        count = len(liberties(tuple(board.ravel()), size, point))
        if count <= 3:
            planes[(2 + count, *at)] = 1
    for back, move in enumerate(reversed(game.points()[-5:])):
        if move < size * size:
            planes[(7 + back, *divmod(move, size))] = 1
    planes[12] = game.pass_would_end()
    planes[13] = (1 if mine == 2 else -1) * game.komi / 20
    planes[14] = game.ko_rule == "simple"
    planes[15] = game.ko_rule == "situational"
    planes[16] = game.suicide_legal
    return planes


def random_game(size: int, rules: gocore.Rules, seed: int, plies: int) -> list[gocore.Game]:
    """Positions of a random game that captures, fights kos and sometimes passes."""
    rng = np.random.default_rng(seed)
    game = gocore.Game(size, rules)
    positions = [game.copy()]
    for _ in range(plies):
        if game.is_over:
            break
        moves = np.flatnonzero(game.legal_mask())
        if len(moves) > 1 and rng.random() < 0.9:
            moves = moves[:-1]
        game.play_point(int(rng.choice(moves)))
        positions.append(game.copy())
    return positions


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(2, 6),
    ko=st.sampled_from(("positional", "situational", "simple")),
    suicide=st.booleans(),
    komi=st.sampled_from((0.0, 7.0, 6.5, -3.0)),
    seed=st.integers(0, 10**6),
)
def test_planes_are_as_documented(size: int, ko: gocore.board.KoRule, suicide: bool, komi: float, seed: int) -> None:
    for game in random_game(size, gocore.Rules(ko=ko, suicide=suicide, komi=komi), seed, 3 * size * size):
        if game.is_over:
            continue
        np.testing.assert_allclose(encode(game), reference_planes(game), rtol=1e-6)


@pytest.mark.parametrize("symmetry", range(8))
def test_symmetry_turns_every_plane(symmetry: int) -> None:
    for game in random_game(5, gocore.Rules(), 3, 60):
        np.testing.assert_array_equal(encode(game, symmetry), turn(encode(game), symmetry))


def test_the_random_games_meet_ko_and_captures() -> None:
    seen = np.zeros(NUM_PLANES)
    shrank = False
    for seed in range(20):
        games = random_game(4, gocore.Rules(), seed, 60)
        stones = [int((game.board() > 0).sum()) for game in games]
        shrank |= any(after < before for before, after in itertools.pairwise(stones))
        for game in games:
            seen += encode(game).sum(axis=(1, 2))
    assert shrank and seen[6] > 0 and seen[12] > 0


@pytest.mark.parametrize("ko", ["positional", "simple"])
def test_leaves_equal_the_replayed_move_list(ko: str) -> None:
    """Every leaf a pool asks about is, up to a symmetry, what `encode` gives for the moves that lead there."""
    config = selfplay(size=3, games=20, slots=1, groups=1, visits=3, tree_reuse=False, ko=ko, prune_pass_alive=False)
    config |= {"opening_moves": 4, "temperature_moves": 100, "move_cap": 30}
    pool = Pool(config)
    asked: list[FloatArray] = []
    records: list[bytes] = []
    while pool.collect(0):
        planes = pool.planes(0, 0)
        asked.append(planes[0].copy())
        pool.supply(0, 0, *hash_net(planes))
        records += pool.take_records()
    records += pool.take_records()
    expected: set[bytes] = set()
    for record in map(decode_record, records):
        game = gocore.Game(3, gocore.Rules(ko=record["ko"], komi=record["komi"]))
        for move in record["moves"]:
            for path in itertools.chain(*(itertools.product(range(10), repeat=depth) for depth in range(3))):
                leaf = game.copy()
                for step in path:
                    if leaf.is_over or not leaf.legal_mask()[step]:
                        break
                    leaf.play_point(step)
                else:
                    if not leaf.is_over:
                        expected.update(encode(leaf, symmetry).tobytes() for symmetry in range(8))
            game.play_point(int(move))
    assert len(asked) > 200
    assert all(planes.tobytes() in expected for planes in asked)
    assert len({planes.tobytes() for planes in asked}) > 150


def test_symmetry_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="symmetry"):
        encode(gocore.Game(5), 8)
