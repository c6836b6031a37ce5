"""SGF: round trips of random games, sgfmill as a second reader and writer, and what damaged text answers."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sgfmill import sgf as sgfmill_sgf
from sgfmill import sgf_moves

import gocore
from gocore import sgf

RULES = st.builds(
    gocore.Rules,
    ko=st.sampled_from(["positional", "situational", "simple"]),
    suicide=st.booleans(),
    komi=st.sampled_from([0.0, 0.5, -3.5, 6.5, 7.0]),
)
TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]) | st.sampled_from("]\\[;()\n:"), max_size=30
)


def random_game(size: int, rules: gocore.Rules, seed: int, plies: int) -> gocore.Game:
    rng = random.Random(seed)
    game = gocore.Game(size, rules)
    for _ in range(plies):
        legal = game.legal_moves()
        if not legal:
            break
        game.play(rng.choice(legal))
    return game


@settings(max_examples=80, deadline=None)
@given(
    size=st.integers(1, 19),
    rules=RULES,
    seed=st.integers(0, 2**32),
    plies=st.integers(0, 60),
    black=TEXT.map(str.strip),
    comment=TEXT,
)
def test_round_trip(size: int, rules: gocore.Rules, seed: int, plies: int, black: str, comment: str) -> None:
    game = random_game(size, rules, seed, plies)
    comments = {len(game.moves): comment} if comment else {}
    text = sgf.dumps(game, black=black, comments=comments, extra={"EV": "round trip"})
    record = sgf.loads(text)
    again = record.to_game()
    assert again.moves == game.moves
    assert again.rules == rules
    assert again.hash == game.hash and again.result == game.result
    assert (record.black, record.result, record.comments) == (black, game.result or "", comments)
    assert record.extra == {"EV": ["round trip"]}
    assert sgf.loads(text.encode()) == record
    assert sgf.write(record) == text


@settings(max_examples=40, deadline=None)
@given(size=st.integers(2, 19), seed=st.integers(0, 2**32), plies=st.integers(0, 80), comment=TEXT)
def test_sgfmill_reads_the_same_game(size: int, seed: int, plies: int, comment: str) -> None:
    game = random_game(size, gocore.Rules(komi=6.5), seed, plies)
    text = sgf.dumps(game, black="b]lack", white="wh\\ite", comments={0: comment or "c"})
    other = sgfmill_sgf.Sgf_game.from_bytes(text.encode())
    assert (other.get_size(), other.get_komi()) == (size, 6.5)
    assert (other.get_player_name("b"), other.get_player_name("w")) == ("b]lack", "wh\\ite")
    assert other.get_root().get("C").strip() == (comment or "c").strip()
    board, plays = sgf_moves.get_setup_and_moves(other)
    for color, move in plays:
        if move is not None:
            board.play(move[0], move[1], color)
    names = {None: 0, "b": 1, "w": 2}
    assert [[names[board.get(size - 1 - r, c)] for c in range(size)] for r in range(size)] == game.board().tolist()


@settings(max_examples=40, deadline=None)
@given(size=st.integers(2, 19), seed=st.integers(0, 2**32), plies=st.integers(0, 80))
def test_what_sgfmill_writes_is_read(size: int, seed: int, plies: int) -> None:
    game = random_game(size, gocore.Rules(komi=7), seed, plies)
    other = sgfmill_sgf.Sgf_game(size=size)
    other.get_root().set("KM", 7)
    other.get_root().set("PB", "a]b\\c")
    for index, point in enumerate(game.points()):
        move = None if point == size * size else (size - 1 - point // size, point % size)
        other.extend_main_sequence().set_move("bw"[index % 2], move)
    record = sgf.loads(other.serialise())
    assert record.black == "a]b\\c"
    assert record.to_game().moves == game.moves


def test_variations_whitespace_and_unknown_properties() -> None:
    record = sgf.loads(
        "junk before (\n;FF[4]GM[1]SZ[5]KM[5.5]RU[Chinese]\nPB[Al\\]ice]FOO[1][2]AB[aa:ba][ee]"
        "(;W[cc]C[main](;B[dd](;W[])(;W[aa]))(;B[ab]))(;W[bb](;B[cc])))(;GM[1]SZ[9])"
    )
    assert (record.size, record.komi, record.rules, record.black) == (5, 5.5, "Chinese", "Al]ice")
    assert record.moves == [("white", "C3"), ("black", "D2"), ("white", "pass")]
    assert record.setup_black == ["A5", "B5", "E1"]
    assert record.comments == {1: "main"}
    assert record.extra == {"FOO": ["1", "2"]}
    game = record.to_game()
    assert game.to_play == "black" and game.board()[0].tolist() == [1, 1, 0, 0, 0]


def test_setup_round_trip_and_first_player() -> None:
    game = gocore.Game.from_position(9, ["C3", "G7"], ["E5"], to_play="white", rules=gocore.Rules(komi=0.5))
    game.play("D4")
    game.play("pass")
    record = sgf.loads(sgf.dumps(game))
    assert (record.setup_black, record.setup_white, record.first) == (["C3", "G7"], ["E5"], "white")
    assert record.moves == [("white", "D4"), ("black", "pass")]
    assert record.to_game().hash == game.hash
    assert sgf.loads("(;SZ[9]AB[aa][bb])").first == "white"  # handicap
    assert sgf.loads("(;SZ[9])").first == "black"


def test_old_style_pass_result_and_two_moves_in_a_row() -> None:
    record = sgf.loads("(;SZ[19]RE[W+R];B[tt];W[aa];W[bb])")
    assert record.result == "W+R"
    assert [move for _, move in record.moves] == ["pass", "A19", "B18"]
    assert record.to_game().moves == ["pass", "A19", "pass", "B18"]


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("Chinese", gocore.Rules(komi=5)),
        ("Tromp-Taylor", gocore.Rules(suicide=True, komi=5)),
        ("NZ", gocore.Rules(ko="situational", suicide=True, komi=5)),
        ("AGA", gocore.Rules(ko="situational", komi=5)),
        ("Japanese", gocore.Rules(ko="simple", komi=5)),
        ("", gocore.Rules(komi=5)),
        ("area scoring, simple ko, suicide", gocore.Rules(ko="simple", suicide=True, komi=5)),
    ],
)
def test_rule_names(text: str, rules: gocore.Rules) -> None:
    assert sgf.parse_rules(text, 5) == rules


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no game found"),
        ("hello", "no game found"),
        ("()", "no game found"),
        ("(;SZ[9];B[aa]", r"a '\)' is missing"),
        ("(;SZ[9];B[aa", "ends inside the value"),
        ("(;SZ[9];B[aa\\", "ends inside the value"),
        ("(;GM[2])", "not a game of Go"),
        ("(;SZ[9:13])", "square board of 1 to 19"),
        ("(;SZ[25])", "square board of 1 to 19"),
        ("(;SZ[nine])", "square board of 1 to 19"),
        ("(;KM[7,5])", "komi is no usable number"),
        ("(;KM[nan])", "komi is no usable number"),
        ("(;SZ[9];B[jj])", "not on a 9x9 board"),
        ("(;SZ[9];B[a])", "not on a 9x9 board"),
        ("(;SZ[9]AB[aa];B[bb];AW[cc])", "set-up stones after move 1"),
        ("(;SZ[9]AE[aa])", "AE"),
        ("(;PL[x])", "use B or W"),
        ("(;[x])", "a value without a property"),
        ("(;SZ[9]!)", "unexpected '!'"),
    ],
)
def test_damaged_text(text: str, message: str) -> None:
    with pytest.raises(gocore.SgfError, match=message):
        sgf.loads(text)


def test_illegal_moves_are_named() -> None:
    with pytest.raises(sgf.SgfError, match=r"move 2, white A9: .*occupied"):
        sgf.loads("(;SZ[9];B[aa];W[aa])").to_game()
    with pytest.raises(sgf.SgfError, match=r"set-up stones: .*occupied"):
        sgf.loads("(;SZ[9]AB[aa]AW[aa])").to_game()


def test_bad_arguments_of_dumps() -> None:
    game = gocore.Game(9)
    with pytest.raises(ValueError, match="comment after move 3: the game has 0 moves"):
        sgf.dumps(game, comments={3: "x"})
    with pytest.raises(ValueError, match="upper-case"):
        sgf.dumps(game, extra={"ev": "x"})
    with pytest.raises(ValueError, match="its own field"):
        sgf.dumps(game, extra={"SZ": "9"})


@settings(max_examples=200, deadline=None)
@given(st.text("(;)[]\\BWCSZabst9: \n", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(sgf.SgfError):
        sgf.loads("(;" + text)
