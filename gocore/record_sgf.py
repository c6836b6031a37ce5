"""Writes a game record as SGF, so that any Go program can show it."""

from __future__ import annotations

from gocore.board import Game, Rules, format_result, vertex
from gocore.sgf import SgfGame, format_rules, write
from gocore.types import Json


def record_to_sgf(game: Json, *, names: tuple[str, ...], title: str = "") -> str:
    """Write a decoded record as SGF. `names` are the players, by their index in the record."""
    size = int(game["size"])
    rules = Rules(ko=game["ko"], suicide=game["suicide"], komi=game["komi"])
    opening = int(game["opening_moves"])
    comments = {opening: f"The first {opening} moves are a random opening."} if opening else {}
    return write(
        SgfGame(
            size=size,
            komi=float(game["komi"]),
            rules=format_rules(rules),
            result=result_text(game),
            black=names[int(game["black_player"])],
            white=names[int(game["white_player"])],
            moves=[
                ("white" if number % 2 else "black", vertex(int(move), size))
                for number, move in enumerate(game["moves"])
            ],
            comments=comments,
            extra={"GN": [title]} if title else {},
        )
    )


def result_text(game: Json) -> str:
    """Write the result as SGF does: B+3.5, W+1, 0 for a draw, Void for no result, ? when the cap cut the game."""
    if game["no_result"]:
        return "Void"
    if game["finished"] == "move_cap":
        return "?"
    return format_result(float(game["score"]))


def final_position(game: Json) -> str:
    """Draw the final position of a decoded record: X Black, O White, the last stone in parentheses."""
    size = int(game["size"])
    board = Game(size, Rules(ko=game["ko"], suicide=game["suicide"], komi=game["komi"]))
    for move in game["moves"]:
        board.play(vertex(int(move), size))
    return str(board)
