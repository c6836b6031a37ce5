"""The number of legal positions: published counts, and the board's own opinion of each small colouring."""

from __future__ import annotations

import itertools

import pytest
from reference import liberties

from gocore import _core


@pytest.mark.parametrize(("size", "count"), [(1, 1), (2, 57), (3, 12675), (4, 24318165)])
def test_published_counts(size: int, count: int) -> None:
    assert _core.count_legal_positions(size) == count


@pytest.mark.parametrize("size", [0, 5, -1])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="sizes 1 to 4"):
        _core.count_legal_positions(size)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_every_colouring_can_be_set_up_exactly_when_each_chain_has_a_liberty(size: int) -> None:
    legal = 0
    for colors in itertools.product((0, 1, 2), repeat=size * size):
        if not all(color == 0 or liberties(colors, size, point) for point, color in enumerate(colors)):
            continue
        legal += 1
        game = _core.Game(size)
        game.set_up([(point, color) for point, color in enumerate(colors) if color], 1)
        assert tuple(game.board().ravel()) == colors
        assert game.check() == ""
    assert legal == _core.count_legal_positions(size)
