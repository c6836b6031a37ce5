"""Every fact of the oracle games: legal moves at each ply, final board, pass-alive map, both scores, the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gocore

DATA = Path(__file__).parents[1] / "data" / "rules_oracle"
FILES = {"games_7x7": 30, "games_9x9": 30, "games_13x13": 6, "games_19x19": 3, "small_boards_fill_eyes": 210}


def text(colors: NDArray[np.int8]) -> str:
    return "".join(".XO"[color] for color in colors.ravel())


def hex_mask(mask: NDArray[np.bool_]) -> str:
    bits = "".join("1" if legal else "0" for legal in mask[:-1])
    bits += "0" * (-len(bits) % 4)
    return f"{int(bits, 2):0{len(bits) // 4}x}"


def replay(fact: dict[str, Any], where: str) -> gocore.Game:
    game = gocore.Game(fact["size"], gocore.Rules(ko=fact["ko"], suicide=fact["suicide"], komi=0))
    for ply, (move, legal) in enumerate(zip(fact["moves"], fact["legal_before"], strict=True)):
        assert not game.is_over, f"{where}: over before ply {ply}"
        mask = game.legal_mask()
        assert hex_mask(mask) == legal, f"{where}: legal moves before ply {ply} ({move})\n{game}"
        assert mask[-1]
        game.play(move)
    return game


@pytest.mark.parametrize("name", FILES)
def test_every_fact(name: str) -> None:
    lines = (DATA / f"{name}.jsonl").read_text().splitlines()
    assert len(lines) == FILES[name]
    for number, line in enumerate(lines, start=1):
        fact = json.loads(line)
        where = f"{name}.jsonl:{number}"
        game = replay(fact, where)
        assert text(game.board()) == fact["board"], where
        assert text(game.pass_alive()) == fact["pass_alive"], where
        assert text(game.area_owner()) == fact["katago_area"], where
        assert game.area_score("pass_dead_removed") == fact["katago_area_score"], where
        assert game.area_score("as_is") == fact["tromp_taylor_area_score"], where
        assert game.is_over == fact["finished"], where
        assert game.no_result == fact["no_result"], where
        assert (game.result == "Void") == fact["no_result"], where
        assert (game.result is None) != fact["finished"], where
        assert game.check() == "", where


def test_the_files_hold_what_the_rules_differ_in() -> None:
    facts = [json.loads(line) for name in FILES for line in (DATA / f"{name}.jsonl").read_text().splitlines()]
    assert sum(fact["superko_bans"] for fact in facts) > 0
    assert sum(fact["no_result"] for fact in facts) > 0
    assert any(fact["katago_area_score"] != fact["tromp_taylor_area_score"] for fact in facts)
    assert {(fact["ko"], fact["suicide"]) for fact in facts} == {
        (ko, suicide) for ko in ("simple", "positional", "situational") for suicide in (False, True)
    }
