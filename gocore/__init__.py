"""gocore: the instrument of the lab. Go rules, search, self-play, training, matches.

    import gocore
    game = gocore.Game(9, gocore.Rules(ko="positional", komi=7.0))
    game.play("D4"); game.play("pass")

Names load on first use (PEP 562), so that the rules need neither torch nor the time to import it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gocore.board import Game, IllegalMove, Rules
    from gocore.sgf import SgfError, SgfGame

_HOME = {
    "Game": "gocore.board",
    "IllegalMove": "gocore.board",
    "Rules": "gocore.board",
    "SgfError": "gocore.sgf",
    "SgfGame": "gocore.sgf",
}

__all__ = ["Game", "IllegalMove", "Rules", "SgfError", "SgfGame"]


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'gocore' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
