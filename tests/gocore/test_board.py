"""The public API of the rules: vertices, reasons, results, bad arguments."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import gocore


def play(game: gocore.Game, moves: str) -> gocore.Game:
    for move in moves.split():
        game.play(move)
    return game


def reason(game: gocore.Game, move: object) -> str:
    before = (game.hash, game.moves)
    with pytest.raises(gocore.IllegalMove) as caught:
        game.play(move)  # type: ignore[arg-type]
    assert (game.hash, game.moves) == before, "a refused move must change nothing"
    assert caught.value.move is move
    assert caught.value.reason in str(caught.value)
    return caught.value.reason


# White has just taken C2 by B2: Black may not retake at once.
KO = "B3 C3 A2 D2 B1 C1 C2 B2"


def test_vertices_and_arrays_agree_on_directions() -> None:
    game = gocore.Game(9)
    game.play("a9")
    game.play(" J1 ")
    board = game.board()
    assert board.dtype == np.int8 and board.shape == (9, 9)
    assert board[0, 0] == 1 and board[8, 8] == 2 and np.count_nonzero(board) == 2
    mask = game.legal_mask()
    assert mask.dtype == np.bool_ and mask.shape == (82,)
    assert not mask[0] and not mask[80] and mask[81]
    assert game.moves == ["A9", "J1"]
    moves = game.legal_moves()
    assert moves[0] == "B9" and moves[-1] == "pass" and len(moves) == 80
    assert not any(move.startswith("I") for move in moves)


def test_defaults() -> None:
    game = gocore.Game()
    assert game.size == 9
    assert game.rules == gocore.Rules(ko="positional", scoring="area", suicide=False, komi=7.0)
    assert (game.to_play, game.is_over, game.result, game.moves) == ("black", False, None, [])
    assert game.area_score() == game.area_score("as_is") == -7.0


def test_each_reason() -> None:
    game = play(gocore.Game(5), "C3")
    assert reason(game, "C3") == "the point is occupied"
    assert reason(game, "F1") == "off the board"
    assert reason(game, "I1") == "off the board"
    assert reason(game, "A0") == "off the board"
    for junk in ("", "D", "44", "D4D", "resign", None, 12, ("D", 4), "Ｄ４", "D٤"):
        assert reason(game, junk) == "not a vertex"
    play(game, "pass pass")
    assert reason(game, "A1") == reason(game, "pass") == "game is over"
    assert game.legal_moves() == [] and not game.legal_mask().any()


def test_illegal_move_is_a_value_error_that_says_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"'T1'.*off the board.*A1 to E5"):
        gocore.Game(5).play("T1")


@pytest.mark.parametrize("ko", ["positional", "situational", "simple"])
def test_immediate_retake_is_ko_and_comes_back_after_an_exchange(ko: str) -> None:
    game = play(gocore.Game(5, gocore.Rules(ko=ko)), KO)  # type: ignore[arg-type]
    assert game.board()[3].tolist() == [1, 2, 0, 2, 0]
    assert reason(game, "C2") == "ko"
    play(game, "E5 E4 C2")
    assert reason(game, "B2") == "ko"


def test_superko_bans_what_simple_ko_allows() -> None:
    # On 2x2 Black's A2 would take three stones and leave the position after the first move.
    for ko, expected in (("positional", "superko"), ("situational", "superko"), ("simple", "")):
        game = play(gocore.Game(2, gocore.Rules(ko=ko)), "A2 B1 A1 B2 A2 A1")  # type: ignore[arg-type]
        assert game.board().tolist() == [[0, 2], [2, 2]]
        assert game.why_illegal(0) == expected
        if expected:
            assert reason(game, "A2") == expected
            assert game.legal_moves() == ["pass"]


def test_single_stone_suicide_is_never_legal() -> None:
    for allowed in (False, True):
        game = play(gocore.Game(5, gocore.Rules(suicide=allowed)), "B5 pass A4")
        assert reason(game, "A5") == "suicide"


def test_multi_stone_suicide_is_a_rule() -> None:
    for allowed in (False, True):
        game = play(gocore.Game(5, gocore.Rules(suicide=allowed)), "A4 A5 B4 E1 C5")
        assert game.to_play == "white"
        if allowed:
            game.play("B5")
            assert game.board()[0].tolist() == [0, 0, 1, 0, 0]
        else:
            assert reason(game, "B5") == "suicide"


def test_two_passes_end_the_game_and_decide_it() -> None:
    game = play(gocore.Game(5, gocore.Rules(komi=6.5)), "C3 pass")
    assert game.result is None
    game.play("pass")
    assert game.is_over and game.result == "B+18.5"
    game.undo()
    assert not game.is_over and game.result is None and game.to_play == "black"
    assert play(gocore.Game(5, gocore.Rules(komi=25)), "C3 pass pass").result == "0"
    assert play(gocore.Game(5), "pass pass").result == "W+7"


def test_simple_ko_cycle_ends_without_result() -> None:
    game = play(gocore.Game(2, gocore.Rules(ko="simple")), "A2 A1 B2 B1 A2 B2 A2 B1 B2 A1 A2 B2 A2")
    assert game.is_over and game.no_result and game.result == "Void"
    assert reason(game, "pass") == "game is over"


def test_a_pass_that_answers_a_ko_capture_does_not_count_under_simple_ko() -> None:
    for ko, over in (("simple", False), ("positional", True)):
        game = play(gocore.Game(5, gocore.Rules(ko=ko)), KO + " pass pass")  # type: ignore[arg-type]
        assert game.is_over == over


def test_pass_dead_stones_count_as_captured() -> None:
    # Black's wall has two eyes of two points at the left edge; White's stone A1 sits in one of them.
    game = gocore.Game.from_position(5, ["B1", "B2", "B3", "B4", "B5", "A3"], ["A1"], rules=gocore.Rules(komi=0))
    assert game.pass_alive()[:, :2].tolist() == [[1, 1]] * 5
    assert not game.pass_alive()[:, 2:].any()  # too large to be safe territory
    assert game.area_owner(False)[:, 0].tolist() == [1, 1, 1, 0, 2]
    assert game.area_score("as_is") == 22
    assert game.area_score("pass_dead_removed") == 25


def test_hash_covers_the_side_to_move_only_under_situational_superko() -> None:
    for ko, same in (("positional", True), ("simple", True), ("situational", False)):
        game = gocore.Game(5, gocore.Rules(ko=ko))  # type: ignore[arg-type]
        before = game.hash
        game.play("pass")
        assert (game.hash == before) == same
    assert gocore.Game(5).hash != gocore.Game(6).hash


def test_from_position() -> None:
    game = gocore.Game.from_position(5, ["C3"], ["D3"], to_play="white")
    assert game.to_play == "white" and game.moves == []
    play(game, "A1 A2")
    game.undo()
    game.undo()
    assert game.board()[2].tolist() == [0, 0, 1, 2, 0]
    with pytest.raises(ValueError, match="nothing to undo"):
        game.undo()
    with pytest.raises(ValueError, match="occupied"):
        gocore.Game.from_position(5, ["C3"], ["C3"])
    with pytest.raises(ValueError, match="without a liberty"):
        gocore.Game.from_position(5, ["A1"], ["A2", "B1"])
    with pytest.raises(ValueError, match="pass is no set-up stone"):
        gocore.Game.from_position(5, ["pass"])
    with pytest.raises(ValueError, match="to_play is 'red'"):
        gocore.Game.from_position(5, to_play="red")  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 20, -1, 9.5, "9", None, True])
def test_bad_sizes(size: object) -> None:
    with pytest.raises(ValueError, match="whole number from 1 to 19"):
        gocore.Game(size)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ko": "super"}, "Rules.ko is 'super': use 'positional', 'situational', 'simple'"),
        ({"scoring": "territory"}, "Rules.scoring is 'territory': only 'area'"),
        ({"suicide": 1}, "Rules.suicide is 1: use True or False"),
        ({"komi": "7"}, "Rules.komi is '7': use a finite number"),
        ({"komi": float("nan")}, "use a finite number"),
        ({"komi": 1000}, "use -361 to 361"),
    ],
)
def test_bad_rules(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gocore.Rules(**settings)  # type: ignore[arg-type]


def test_other_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"use gocore\.Rules"):
        gocore.Game(9, "chinese")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dead is 'alive': use 'as_is' or 'pass_dead_removed'"):
        gocore.Game().area_score("alive")  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="no attribute 'Gmae'"):
        gocore.Gmae  # noqa: B018


def test_diagram_and_repr() -> None:
    game = play(gocore.Game(3), "A3 C1")
    assert str(game).splitlines() == ["   A B C", " 3 X . . 3", " 2 . . . 2", " 1 . .(O)1", "   A B C"]
    assert repr(game) == f"<gocore.Game 3x3, 2 moves, black to play, {game.rules}>"


def test_random_player_is_legal_leaves_own_eyes_and_repeats_with_its_seed() -> None:
    # Black's wall leaves it two one-point eyes and nothing else: it must pass rather than fill them.
    game = gocore.Game.from_position(3, ["A2", "B1", "B2", "B3", "C2"], [])
    filler = gocore.Game.from_position(3, ["A2", "A3", "B1", "B2", "B3", "C2", "C3"], [])
    assert {game.random_move(seed) for seed in range(50)} == {"pass"}
    assert {filler.random_move(seed) for seed in range(50)} == {"pass"}
    start = gocore.Game(5)
    draws = [start.random_move(seed) for seed in range(3000)]
    assert draws == [start.random_move(seed) for seed in range(3000)]
    counts = {move: draws.count(move) for move in set(draws)}
    assert len(counts) == 25 and max(counts.values()) < 170 and min(counts.values()) > 80  # 120 each, sd 11


def test_rules_need_no_torch() -> None:
    code = "import sys, gocore; gocore.Game(9).play('D4'); gocore.SgfGame; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
