"""A slow, obvious implementation of the rules to compare the core with: sets, floods, and whole boards as history."""

from __future__ import annotations

from dataclasses import dataclass, field

EMPTY, BLACK, WHITE = 0, 1, 2
Board = tuple[int, ...]


def neighbours(point: int, size: int) -> list[int]:
    row, column = divmod(point, size)
    around = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
    return [r * size + c for r, c in around if 0 <= r < size and 0 <= c < size]


def component(board: Board, size: int, start: int, colors: set[int]) -> set[int]:
    """The points joined to `start` through points of the colours."""
    found, todo = {start}, [start]
    while todo:
        for q in neighbours(todo.pop(), size):
            if board[q] in colors and q not in found:
                found.add(q)
                todo.append(q)
    return found


def border(points: set[int], size: int) -> set[int]:
    return {q for p in points for q in neighbours(p, size)} - points


def components(board: Board, size: int, colors: set[int]) -> list[set[int]]:
    seen: set[int] = set()
    found = []
    for point in range(size * size):
        if board[point] in colors and point not in seen:
            part = component(board, size, point, colors)
            seen |= part
            found.append(part)
    return found


def liberties(board: Board, size: int, point: int) -> set[int]:
    chain = component(board, size, point, {board[point]})
    return {q for q in border(chain, size) if board[q] == EMPTY}


def place(board: Board, size: int, point: int, color: int) -> tuple[Board, int]:
    """Put a stone, take what has no liberty (the other colour first); gives the board and the own stones lost."""
    now = list(board)
    now[point] = color
    for q in neighbours(point, size):
        if now[q] == 3 - color and not liberties(tuple(now), size, q):
            for p in component(tuple(now), size, q, {3 - color}):
                now[p] = EMPTY
    lost = 0
    if not liberties(tuple(now), size, point):
        chain = component(tuple(now), size, point, {color})
        lost = len(chain)
        for p in chain:
            now[p] = EMPTY
    return tuple(now), lost


def area_owner(board: Board, size: int) -> list[int]:
    owner = list(board)
    for region in components(board, size, {EMPTY}):
        touched = {board[q] for q in border(region, size)}
        if len(touched) == 1:
            for p in region:
                owner[p] = next(iter(touched))
    return owner


def pass_alive(board: Board, size: int, suicide: bool) -> list[int]:
    """Benson's algorithm as the papers state it: drop chains and regions until nothing changes."""
    owner = [EMPTY] * (size * size)
    for color in (BLACK, WHITE):
        chains = components(board, size, {color})
        if not chains:
            continue
        all_regions = components(board, size, {EMPTY, 3 - color})

        def vital(region: set[int], chain: set[int]) -> bool:
            must_touch = region if suicide else {p for p in region if board[p] == EMPTY}
            return all(any(q in chain for q in neighbours(p, size)) for p in must_touch)

        alive, regions = list(chains), list(all_regions)
        while True:
            kept = [chain for chain in alive if sum(vital(region, chain) for region in regions) >= 2]
            stones = set().union(*kept)
            closed = [region for region in regions if border(region, size) <= stones]
            if len(kept) == len(alive) and len(closed) == len(regions):
                break
            alive, regions = kept, closed
        for chain in alive:
            for p in chain:
                owner[p] = color
        for region in regions:
            internal = [p for p in region if all(board[q] != color for q in neighbours(p, size))]
            if len(internal) <= 1:
                for p in region:
                    owner[p] = color
    return owner


@dataclass
class ReferenceGame:
    """Points are row-major, size*size is the pass; see cpp/game.h for the conventions."""

    size: int
    ko: str
    suicide: bool
    board: Board = ()
    to_play: int = BLACK
    banned: int | None = None  # the simple ko
    passes: int = 0
    over: bool = False
    no_result: bool = False
    boards: list[Board] = field(default_factory=list)
    situations: list[tuple[Board, int]] = field(default_factory=list)  # since the last pass under simple ko
    after_pass: list[tuple[Board, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.board = (EMPTY,) * (self.size * self.size)
        self.boards = [self.board]
        self.situations = [(self.board, BLACK)]

    def is_legal(self, point: int) -> bool:
        if self.over:
            return False
        if point == self.size * self.size:
            return True
        if self.board[point] != EMPTY or point == self.banned:
            return False
        after, lost = place(self.board, self.size, point, self.to_play)
        if lost == 1 or (lost and not self.suicide):
            return False
        if self.ko == "positional":
            return after not in self.boards
        if self.ko == "situational":
            return (after, 3 - self.to_play) not in self.situations
        return True

    def play(self, point: int) -> None:
        color = self.to_play
        self.to_play = 3 - color
        if point == self.size * self.size:
            had_ban = self.ko == "simple" and self.banned is not None
            self.passes = 0 if had_ban else self.passes + 1
            self.banned = None
            situation = (self.board, self.to_play)
            self.over = self.passes == 2 or (self.ko == "simple" and situation in self.after_pass)
            self.after_pass.append(situation)
            if self.ko == "simple":
                self.situations = []
        else:
            self.passes = 0
            after, lost = place(self.board, self.size, point, color)
            taken = [p for p in range(len(after)) if self.board[p] == 3 - color and after[p] == EMPTY]
            self.banned = None
            if len(taken) == 1 and not lost:
                alone = component(after, self.size, point, {color}) == {point}
                if alone and liberties(after, self.size, point) == set(taken):
                    self.banned = taken[0]
            self.board = after
        self.boards.append(self.board)
        self.situations.append((self.board, self.to_play))
        if self.ko == "simple" and point != self.size * self.size and self.situations.count(self.situations[-1]) >= 3:
            self.over = self.no_result = True
