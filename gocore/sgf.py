"""Read and write SGF (FF[4]) game records: the main line, set-up stones and the usual root properties.

    text = sgf.dumps(game, black="trained", white="random")
    record = sgf.loads(text); game = record.to_game()

Variations are skipped (the first one is the main line), properties not understood are kept at the root and left out
elsewhere. Points are GTP vertices as everywhere in gocore.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gocore.board import MAX_SIZE, Game, KoRule, Player, Rules, point_of, vertex

Node = dict[str, list[str]]  # property -> values, unescaped

_LETTERS = "abcdefghijklmnopqrs"
_ROOT_ORDER = ("GM", "FF", "CA", "AP", "SZ", "KM", "RU", "PB", "PW", "RE", "PL", "AB", "AW")


class SgfError(ValueError):
    """Text that is no SGF game of Go; the message says what is wrong and where."""


@dataclass
class SgfGame:
    """One game: what the root says, the set-up, and the main line."""

    size: int = 19
    komi: float = 0.0
    rules: str = ""  # RU, as written
    result: str = ""  # RE, as written: "B+3.5", "W+R", "0", "Void", "" when not given
    black: str = ""
    white: str = ""
    setup_black: list[str] = field(default_factory=list)
    setup_white: list[str] = field(default_factory=list)
    first: Player = "black"
    moves: list[tuple[Player, str]] = field(default_factory=list)
    comments: dict[int, str] = field(default_factory=dict)  # number of moves played before it was made -> text
    extra: dict[str, list[str]] = field(default_factory=dict)  # other root properties

    def to_game(self, rules: Rules | None = None) -> Game:
        """Replay the main line. Without `rules` they come from RU and KM (see `parse_rules`).

        A player who moves twice in a row is taken to have been passed to. SgfError names the first illegal move.
        """
        rules = rules or parse_rules(self.rules, self.komi)
        try:
            game = Game.from_position(self.size, self.setup_black, self.setup_white, to_play=self.first, rules=rules)
        except ValueError as error:
            raise SgfError(f"set-up stones: {error}") from error
        for number, (player, move) in enumerate(self.moves, start=1):
            try:
                if game.to_play != player:
                    game.play("pass")
                game.play(move)
            except ValueError as error:
                raise SgfError(f"move {number}, {player} {move}: {error}") from error
        return game


_KO_NAMES: dict[str, KoRule] = {
    "positional superko": "positional",
    "situational superko": "situational",
    "simple ko": "simple",
}


def format_rules(rules: Rules) -> str:
    """Write rules as RU: 'area scoring, positional superko[, suicide]'; SGF names no rule set that says all of it."""
    ko = next(name for name, value in _KO_NAMES.items() if value == rules.ko)
    return f"{rules.scoring} scoring, {ko}{', suicide' if rules.suicide else ''}"


def parse_rules(text: str, komi: float) -> Rules:
    """Read what `format_rules` wrote; the usual names (Chinese, Tromp-Taylor, NZ, AGA) give the nearest area rules."""
    words = [word.strip().lower() for word in text.split(",")]
    for word in words:
        if word in _KO_NAMES:
            return Rules(ko=_KO_NAMES[word], suicide="suicide" in words, komi=komi)
    name = words[0].replace("-", "").replace(" ", "")
    if name in ("nz", "newzealand", "aga"):
        return Rules(ko="situational", suicide=name != "aga", komi=komi)
    if name in ("japanese", "korean"):
        return Rules(ko="simple", komi=komi)
    return Rules(ko="positional", suicide=name == "tromptaylor", komi=komi)


# --- Writing ---


def dumps(
    game: Game,
    *,
    black: str = "",
    white: str = "",
    result: str | None = None,
    comments: Mapping[int, str] | None = None,
    extra: Mapping[str, str] | None = None,
) -> str:
    """Write a game. `result` None takes the game's own; `comments` is keyed by the number of moves played before it.

    `extra` adds root properties (upper-case names), such as {"EV": "match 3", "DT": "2026-11-23"}.
    """
    players: tuple[Player, Player] = ("black", "white") if game.first_color == 1 else ("white", "black")
    stones = game.setup_stones()
    return write(
        SgfGame(
            size=game.size,
            komi=float(game.rules.komi),
            rules=format_rules(game.rules),
            result=(game.result or "") if result is None else result,
            black=black,
            white=white,
            setup_black=[vertex(point, game.size) for point, color in stones if color == 1],
            setup_white=[vertex(point, game.size) for point, color in stones if color == 2],
            first=players[0],
            moves=[(players[index % 2], move) for index, move in enumerate(game.moves)],
            comments=dict(comments or {}),
            extra={name: [value] for name, value in (extra or {}).items()},
        )
    )


def write(record: SgfGame) -> str:
    """Write a record as FF[4] text, UTF-8, one node a line up to ten moves."""
    size = record.size
    root: Node = {
        "GM": ["1"],
        "FF": ["4"],
        "CA": ["UTF-8"],
        "AP": ["golab"],
        "SZ": [str(size)],
        "KM": [f"{record.komi:g}"],
    }
    for name, value in (("RU", record.rules), ("PB", record.black), ("PW", record.white), ("RE", record.result)):
        if value:
            root[name] = [value]
    if record.first == "white" or record.setup_black or record.setup_white:
        root["PL"] = ["B" if record.first == "black" else "W"]
    for name, moves in (("AB", record.setup_black), ("AW", record.setup_white)):
        if moves:
            root[name] = [_to_sgf_point(move, size) for move in moves]
    for name, values in record.extra.items():
        if not (name.isascii() and name.isalpha() and name.isupper()):
            raise ValueError(f"extra property {name!r}: use upper-case letters only, such as 'EV'")
        if name in _ROOT_ORDER or name in ("B", "W", "C"):
            raise ValueError(f"extra property {name!r} is written by its own field")
        root[name] = list(values)
    if 0 in record.comments:
        root["C"] = [record.comments[0]]
    pieces = ["(;" + _format_node(root)]
    for number, (player, move) in enumerate(record.moves, start=1):
        node: Node = {"B" if player == "black" else "W": [_to_sgf_point(move, size)]}
        if number in record.comments:
            node["C"] = [record.comments[number]]
        pieces.append(("\n;" if number % 10 == 1 else ";") + _format_node(node))
    unknown = [number for number in record.comments if not 0 <= number <= len(record.moves)]
    if unknown:
        raise ValueError(f"comment after move {unknown[0]}: the game has {len(record.moves)} moves")
    return "".join(pieces) + ")\n"


def _format_node(node: Node) -> str:
    return "".join(name + "".join(f"[{_escape(value)}]" for value in values) for name, values in node.items())


def _escape(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\\", "\\\\").replace("]", "\\]")


def _to_sgf_point(move: str, size: int) -> str:
    point = point_of(move, size)
    if point == size * size:
        return ""
    row, column = divmod(point, size)
    return _LETTERS[column] + _LETTERS[row]


# --- Reading ---


def loads(text: str | bytes) -> SgfGame:
    """Read the main line of the first game in the text; SgfError when it is damaged or not Go."""
    nodes = _main_line(_decode(text) if isinstance(text, bytes) else text)
    root = nodes[0]
    if root.get("GM", ["1"])[0].strip() not in ("1", ""):
        raise SgfError(f"GM[{root['GM'][0]}]: not a game of Go, which is GM[1]")
    size = _read_size(root)
    record = SgfGame(size=size, komi=_read_komi(root))
    record.rules, record.result = _first(root, "RU"), _first(root, "RE")
    record.black, record.white = _first(root, "PB"), _first(root, "PW")
    first: Player | None = _read_player(root["PL"][0]) if "PL" in root else None
    known = {*_ROOT_ORDER, "B", "W", "C", "AE"}
    record.extra = {name: values for name, values in root.items() if name not in known}
    for node in nodes:
        if any(name in node for name in ("AB", "AW", "AE")):
            if record.moves:
                raise SgfError(
                    f"set-up stones after move {len(record.moves)}: only a set-up before the first move is read"
                )
            if "AE" in node:
                raise SgfError("AE (removing stones) is not read; give the stones that stand with AB and AW")
            record.setup_black += _read_points(node.get("AB", []), size)
            record.setup_white += _read_points(node.get("AW", []), size)
        if "PL" in node and not record.moves:
            first = _read_player(node["PL"][0])
        for name, player in _MOVERS:
            if name in node:
                record.moves.append((player, _read_move(node[name][0], size)))
        if "C" in node:
            number = len(record.moves)
            before = record.comments.get(number)
            record.comments[number] = node["C"][0] if before is None else f"{before}\n{node['C'][0]}"
    if first is None:
        # A handicap game: White starts unless the record says otherwise.
        first = record.moves[0][0] if record.moves else ("white" if record.setup_black else "black")
    record.first = first
    return record


_MOVERS: tuple[tuple[Literal["B", "W"], Player], ...] = (("B", "black"), ("W", "white"))


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _main_line(text: str) -> list[Node]:
    """Parse the nodes of the first game, following the first variation at each fork."""
    start = text.find("(")
    if start < 0 or text[start + 1 :].lstrip()[:1] != ";":
        raise SgfError("no game found: SGF starts with '(;'")
    nodes: list[Node] = []
    position, depth, skipping = start, 0, 0  # skipping: the depth at which a second variation began, 0 for none
    ended: set[int] = set()  # depths at which a variation has been read already
    name = ""
    while position < len(text):
        char = text[position]
        if char == "(":
            depth += 1
            if not skipping and depth in ended:
                skipping = depth
            name = ""
        elif char == ")":
            if skipping == depth:
                skipping = 0
            ended.add(depth)
            depth -= 1
            if depth == 0:
                break
        elif char == ";":
            if not skipping:
                nodes.append({})
            name = ""
        elif char == "[":
            value, position = _read_value(text, position)
            if not name:
                raise SgfError(f"a value without a property at character {position}")
            if not skipping:
                nodes[-1].setdefault(name, []).append(value)
            continue
        elif char.isalpha() and char.isascii():
            end = position
            while end < len(text) and text[end].isascii() and text[end].isalpha():
                end += 1
            # FF[1..3] spelt names out, as in "GaMe": lower-case letters do not count.
            name = "".join(letter for letter in text[position:end] if letter.isupper())
            position = end
            continue
        elif not char.isspace():
            raise SgfError(f"unexpected {char!r} at character {position}")
        position += 1
    if depth != 0:
        raise SgfError("the text ends inside the game: a ')' is missing")
    if not nodes:
        raise SgfError("the game has no node")
    return nodes


def _read_value(text: str, position: int) -> tuple[str, int]:
    """Read '[...]' at `position`; gives the unescaped value and the position after it."""
    out: list[str] = []
    at = position + 1
    while at < len(text):
        char = text[at]
        if char == "]":
            return "".join(out).replace("\r\n", "\n").replace("\r", "\n"), at + 1
        if char == "\\":
            at += 1
            if at < len(text) and text[at] in "\r\n":  # an escaped line break is none
                at += 2 if text[at : at + 2] in ("\r\n", "\n\r") else 1
                continue
            if at >= len(text):
                break
            char = text[at]
        out.append(char)
        at += 1
    raise SgfError(f"the text ends inside the value that starts at character {position}")


def _first(node: Node, name: str) -> str:
    return node.get(name, [""])[0].strip()


def _read_size(root: Node) -> int:
    text = _first(root, "SZ") or "19"
    columns, _, rows = text.partition(":")
    if (rows and rows != columns) or not columns.isdecimal() or not 1 <= int(columns) <= MAX_SIZE:
        raise SgfError(f"SZ[{text}]: use a square board of 1 to {MAX_SIZE}")
    return int(columns)


def _read_komi(root: Node) -> float:
    text = _first(root, "KM") or "0"
    try:
        komi = float(text)
        Rules(komi=komi)  # its limits
    except ValueError:
        raise SgfError(f"KM[{text}]: komi is no usable number, such as 7 or 6.5") from None
    return komi


def _read_player(text: str) -> Player:
    letter = text.strip()[:1].upper()
    if letter not in ("B", "W"):
        raise SgfError(f"PL[{text}]: use B or W")
    return "black" if letter == "B" else "white"


def _read_move(text: str, size: int) -> str:
    text = text.strip()
    if text == "" or (text == "tt" and size <= MAX_SIZE):
        return "pass"
    return _read_points([text], size)[0]


def _read_points(values: list[str], size: int) -> list[str]:
    """Read points, rectangles ("aa:cc") opened."""
    points: list[str] = []
    for value in values:
        text = value.strip()
        corner, _, opposite = text.partition(":")
        ends = [corner, opposite or corner]
        if any(len(end) != 2 or any(letter not in _LETTERS[:size] for letter in end) for end in ends):
            raise SgfError(f"point [{text}] is not on a {size}x{size} board")
        (left, top), (right, bottom) = ((_LETTERS.index(end[0]), _LETTERS.index(end[1])) for end in ends)
        for row in range(top, bottom + 1):
            points += [vertex(row * size + column, size) for column in range(left, right + 1)]
    return points
