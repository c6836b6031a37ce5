"""Shape letters and array types shared by gocore's Python code.

A variable that holds an array carries its shape as a suffix (`planes_BCSS`, `policy_BA`), batch first:

    B  rows of a batch
    C  input planes (`gocore._core.NUM_PLANES`; their order is documented in cpp/features.h only)
    S  board size; row 0 is the top of the board
    P  points, S*S
    A  actions, S*S + 1; the last one is the pass

`value` is always the expected result of the side to move, in 0..1: 1 is a win, a draw is 0.5.
`score` is the side to move's points minus the other's, komi included.
`ownership` is +1 for a point of the side to move, -1 for the other side's, 0 for neither.
"""

from __future__ import annotations

import os
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float32]
Json: TypeAlias = dict[str, Any]
PathLike: TypeAlias = str | os.PathLike[str]


def num_actions(size: int) -> int:
    """Count the actions on a board: every point and the pass."""
    return size * size + 1
