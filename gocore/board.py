"""The public API of the rules: `Rules`, `Game` and `IllegalMove` over the compiled core.

Boards are arrays [S, S] with row 0 at the top; points have GTP names ("A1" bottom left, no column I). The exact
conventions of ko, superko, suicide and of the end of a game are written down once, in cpp/game.h.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from gocore import _core

KoRule = Literal["positional", "situational", "simple"]
Dead = Literal["as_is", "pass_dead_removed"]
Player = Literal["black", "white"]

COLUMNS = "ABCDEFGHJKLMNOPQRST"  # GTP leaves I out
MAX_SIZE = 19
_VERTEX = re.compile(r"([A-Za-z])([0-9]{1,2})\Z")
_PLAYERS: dict[Player, int] = {"black": 1, "white": 2}


class IllegalMove(ValueError):
    """A move that cannot be played: `.move` as it was given, `.reason` why.

    Reasons: "the point is occupied", "suicide", "ko", "superko", "game is over", "off the board", "not a vertex".
    """

    def __init__(self, move: object, reason: str, hint: str = "") -> None:
        super().__init__(f"illegal move {move!r}: {reason}" + (f"; {hint}" if hint else ""))
        self.move = move
        self.reason = reason
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        return (IllegalMove, (self.move, self.reason, self.hint))


@dataclass(frozen=True)
class Rules:
    """The rules of a game; `suicide` is that of two stones or more (single-stone suicide is never legal)."""

    ko: KoRule = "positional"
    scoring: Literal["area"] = "area"
    suicide: bool = False
    komi: float = 7.0  # points added to White's score

    def __post_init__(self) -> None:
        if self.ko not in get_args(KoRule):
            raise ValueError(f"Rules.ko is {self.ko!r}: use {', '.join(map(repr, get_args(KoRule)))}")
        if self.scoring != "area":
            raise ValueError(f"Rules.scoring is {self.scoring!r}: only 'area' exists")
        if not isinstance(self.suicide, bool):
            raise ValueError(f"Rules.suicide is {self.suicide!r}: use True or False")
        if isinstance(self.komi, bool) or not isinstance(self.komi, (int, float)) or not math.isfinite(self.komi):
            raise ValueError(f"Rules.komi is {self.komi!r}: use a finite number, such as 7 or 6.5")
        if abs(self.komi) > MAX_SIZE * MAX_SIZE:
            raise ValueError(f"Rules.komi is {self.komi!r}: use -{MAX_SIZE * MAX_SIZE} to {MAX_SIZE * MAX_SIZE}")


def vertex(point: int, size: int) -> str:
    """Name a point number (row-major from the top left; size*size is the pass) as GTP does."""
    if point == size * size:
        return "pass"
    row, column = divmod(point, size)
    return f"{COLUMNS[column]}{size - row}"


def point_of(move: object, size: int) -> int:
    """Read a GTP vertex, "pass" included, in any case; IllegalMove when it names no point of this board."""
    if isinstance(move, str):
        text = move.strip()
        if text.lower() == "pass":
            return size * size
        match = _VERTEX.match(text)
        if match:
            column, row = COLUMNS.find(match[1].upper()), int(match[2])
            if 0 <= column < size and 1 <= row <= size:
                return (size - row) * size + column
            corner = f"{COLUMNS[size - 1]}{size}"
            raise IllegalMove(move, "off the board", f"a {size}x{size} board has A1 to {corner}, without a column I")
    raise IllegalMove(move, "not a vertex", "use a column letter and a row number such as 'D4', or 'pass'")


def format_result(score: float) -> str:
    """Write a score (black minus white, komi counted) as SGF does: 'B+3.5', 'W+1', or '0' for a draw."""
    if score == 0:
        return "0"
    return f"{'B' if score > 0 else 'W'}+{abs(score):g}"


class Game(_core.Game):
    """A game of Go; it starts from the empty board with Black to play.

    Inherited from the core, all as fresh arrays: `legal_mask()` bool [S*S+1] (last = pass); `board()`, `pass_alive()`
    and `area_owner(remove_dead=True)` int8 [S, S] with 0 empty or neither, 1 black, 2 white; `liberties()` int16 [S, S]
    and the properties `size`, `is_over`, `no_result`, `hash`, `num_moves`. `hash` covers the stones; under situational
    superko the side to move as well.
    """

    def __init__(self, size: int = 9, rules: Rules | None = None) -> None:
        rules = Rules() if rules is None else rules
        if not isinstance(rules, Rules):
            raise ValueError(f"rules is {rules!r}: use gocore.Rules(...)")
        try:
            number = operator.index(size)
        except TypeError:
            number = 0
        if isinstance(size, bool) or not 1 <= number <= MAX_SIZE:
            raise ValueError(f"size is {size!r}: use a whole number from 1 to {MAX_SIZE}")
        super().__init__(number, rules.ko, rules.suicide, float(rules.komi))
        self._rules = rules

    @classmethod
    def from_position(
        cls,
        size: int,
        black: Iterable[str] = (),
        white: Iterable[str] = (),
        *,
        to_play: Player = "black",
        rules: Rules | None = None,
    ) -> Game:
        """Start from set-up stones instead of the empty board; every chain must have a liberty."""
        if to_play not in _PLAYERS:
            raise ValueError(f"to_play is {to_play!r}: use 'black' or 'white'")
        game = cls(size, rules)
        stones = [(point_of(move, game.size), 1) for move in black] + [(point_of(move, game.size), 2) for move in white]
        for point, _ in stones:
            if point == game.size * game.size:
                raise ValueError("a pass is no set-up stone: list points such as 'D4'")
        game.set_up(stones, _PLAYERS[to_play])
        return game

    @property
    def rules(self) -> Rules:
        return self._rules

    @property
    def to_play(self) -> Player:
        return "black" if self.color_to_play == 1 else "white"

    @property
    def moves(self) -> list[str]:
        """The moves so far as GTP vertices, set-up stones not among them."""
        return [vertex(point, self.size) for point in self.points()]

    def play(self, move: str) -> None:
        """Play a GTP vertex such as "D4", or "pass", for the side to move. Raises IllegalMove with the reason."""
        point = point_of(move, self.size)
        reason = self.why_illegal(point)
        if reason:
            raise IllegalMove(move, reason)
        self.play_point(point)

    def undo(self) -> None:
        """Take the last move back; everything, the ko history included, is as it was before it."""
        if not self.undo_move():
            raise ValueError("nothing to undo: no move has been played")

    def legal_moves(self) -> list[str]:
        """List the legal moves, row by row from the top left, the pass last; empty once the game is over."""
        return [vertex(int(point), self.size) for point in self.legal_mask().nonzero()[0]]

    @property
    def result(self) -> str | None:
        """None while undecided; then 'B+3.5', 'W+1', '0' for a draw, or 'Void' for no result (simple ko only).

        The score is `area_score("pass_dead_removed")`, the one that search, training and matches use.
        """
        if not self.is_over:
            return None
        return "Void" if self.no_result else format_result(self.area_score("pass_dead_removed"))

    def area_score(self, dead: Dead = "as_is") -> float:
        """Count the area now: black minus white minus komi.

        "as_is" takes every stone for alive (Tromp-Taylor); "pass_dead_removed" counts stones inside the opponent's
        pass-alive territory as captured.
        """
        if dead not in get_args(Dead):
            raise ValueError(f"dead is {dead!r}: use {' or '.join(map(repr, get_args(Dead)))}")
        return self.area_black_minus_white(dead == "pass_dead_removed") - float(self._rules.komi)

    def random_move(self, seed: int, game_id: int = 0) -> str:
        """Choose as the random player does: a uniform draw from the legal moves that fill no own one-point eye.

        A pass when nothing else is left. The draw depends on (seed, game_id, number of moves) only.
        """
        return vertex(self.random_point(seed, game_id), self.size)

    def copy(self) -> Game:
        """An independent copy, history included."""
        twin = type(self).__new__(type(self))
        _core.Game.__init__(twin, self)
        twin._rules = self._rules
        return twin

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Game:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (self.size, self._rules, self.setup_stones(), self.first_color, self.points()))

    def __repr__(self) -> str:
        state = f"over, {self.result}" if self.is_over else f"{self.to_play} to play"
        return f"<gocore.Game {self.size}x{self.size}, {self.num_moves} moves, {state}, {self._rules}>"

    def __str__(self) -> str:
        """Draw the board: X black, O white, the last move in parentheses."""
        points = self.points()
        last = points[-1] if points else -1
        letters = "   " + " ".join(COLUMNS[: self.size])
        lines = [letters]
        for row, colors in enumerate(self.board()):
            cells = ""
            for column, color in enumerate(colors):
                point = row * self.size + column
                before = "(" if point == last else ")" if column and point - 1 == last else " "
                cells += before + ".XO"[color]
            end = ")" if last >= 0 and last // self.size == row and last % self.size == self.size - 1 else " "
            lines.append(f"{self.size - row:2d}{cells}{end}{self.size - row}")
        return "\n".join([*lines, letters])


def _rebuild(size: int, rules: Rules, stones: list[tuple[int, int]], first_color: int, points: list[int]) -> Game:
    """Make a pickled game again."""
    game = Game(size, rules)
    game.set_up(stones, first_color)
    for point in points:
        game.play_point(point)
    return game
