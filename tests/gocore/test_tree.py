"""Search: against a slow PUCT, at terminals, under noise and playout-cap randomisation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from fakenet import FloatArray, Net, drive, flat_net, hash_net, radial_net, selfplay, stone_net

import gocore
from gocore._core import decode_record, encode

F32 = np.float32
ZERO = F32(0)


def exact_result(game: gocore.Game) -> float:
    """Black's result of a finished game."""
    if game.no_result:
        return 0.5
    score = game.area_score("pass_dead_removed")
    return 1.0 if score > 0 else 0.0 if score < 0 else 0.5


def for_side(black: float, colour: int) -> float:
    return black if colour == 1 else 1.0 - black


@dataclass
class SlowNode:
    """A node of the slow search; mirrors cpp/tree.h in plain Python."""

    prior: np.float32
    visits: int = 0
    value_sum: float = 0.0  # view of the player who moved here
    opened: np.float32 = ZERO
    children: list[tuple[int, SlowNode]] = field(default_factory=list)  # newest first
    edges: list[tuple[np.float32, int]] | None = None
    terminal: bool = False

    def bring_best_forward(self, first: int | None = None) -> None:
        assert self.edges is not None
        if not self.edges:
            return
        best = max(range(len(self.edges)), key=lambda i: (self.edges[i][0], -self.edges[i][1]))  # type: ignore[index]
        moves = [move for _, move in self.edges]
        if first is not None:
            best = moves.index(first)
        self.edges[0], self.edges[best] = self.edges[best], self.edges[0]


def slow_search(
    game: gocore.Game, net: Net, visits: int, c_puct: float, fpu: float, root_fpu: float
) -> tuple[FloatArray, float]:
    """Visit counts of the root's moves as a distribution, and the root's value for the side to move."""
    pass_move = game.size**2
    root = SlowNode(F32(1))

    def expand(node: SlowNode, leaf: gocore.Game) -> float:
        logits, values = net(encode(leaf)[None])
        legal = np.flatnonzero(leaf.legal_mask())
        exps = np.exp(logits[0, legal].astype(np.float64) - logits[0, legal].max())
        node.edges = [(F32(p), int(m)) for p, m in zip(exps / exps.sum(), legal)]
        winning_pass = leaf.pass_would_end() and for_side(exact_result_after_pass(leaf), leaf.color_to_play) > values[0]
        node.bring_best_forward(pass_move if winning_pass else None)
        return float(values[0])

    while root.visits < visits:
        node, leaf, path = root, game.copy(), [root]
        while node.edges is not None and not node.terminal:
            explore = F32(0.5) * F32(c_puct) * np.sqrt(F32(node.visits - 1) + F32(0.01))
            scores = [
                F32(c.value_sum) / F32(c.visits) + explore * (c.prior / F32(1 + c.visits)) for _, c in node.children
            ]
            best = int(np.argmax(scores)) if scores else -1
            open_one = bool(node.edges)
            if open_one and scores:
                reduction = F32(root_fpu if node is root else fpu)
                mean = F32(node.value_sum / node.visits)
                unopened = F32(1) - mean - F32(0.5) * reduction * np.sqrt(node.opened) + explore * node.edges[0][0]
                open_one = bool(unopened > scores[best])
            if open_one:
                prior, move = node.edges.pop(0)
                child = SlowNode(prior)
                # The arena drops its front in place: the others keep their order.
                node.children.insert(0, (move, child))
                node.opened = F32(node.opened + prior)
                node.bring_best_forward()
            else:
                move, child = node.children[best]
            leaf.play_point(move)
            node = child
            path.append(node)
        if node.terminal:
            value = node.value_sum / node.visits
        elif leaf.is_over:
            node.terminal = True
            value = for_side(exact_result(leaf), 3 - leaf.color_to_play)
        else:
            value = 1.0 - expand(node, leaf)
        for visited in reversed(path):
            visited.visits += 1
            visited.value_sum += value
            value = 1.0 - value
    counts = np.zeros(pass_move + 1, np.float32)
    for move, child in root.children:
        counts[move] = child.visits
    return counts / counts.sum(), 1.0 - root.value_sum / root.visits


def exact_result_after_pass(game: gocore.Game) -> float:
    after = game.copy()
    after.play_point(game.size**2)
    return exact_result(after)


def positions(record: dict[str, Any]) -> list[gocore.Game]:
    game = gocore.Game(record["size"], gocore.Rules(ko=record["ko"], suicide=record["suicide"], komi=record["komi"]))
    out = []
    for move in record["moves"]:
        out.append(game.copy())
        game.play_point(int(move))
    return out


@pytest.mark.parametrize(("size", "ko"), [(3, "positional"), (4, "simple"), (4, "situational")])
@pytest.mark.parametrize("visits", [2, 40])
def test_search_is_puct(size: int, ko: str, visits: int) -> None:
    search = {"c_puct": 1.3, "fpu_reduction": 0.25, "root_fpu_reduction": 0.05}
    config = selfplay(size=size, games=3, visits=visits, ko=ko, tree_reuse=False, prune_pass_alive=False, **search)
    config |= {"opening_moves": 3, "komi": 1.0, "temperature_moves": 6}
    checked = 0
    for data in drive(config, [radial_net])[0]:
        record = decode_record(data)
        for i, game in enumerate(positions(record)):
            if record["policy"][i] is None:
                continue
            policy, value = slow_search(game, radial_net, visits, 1.3, 0.25, 0.05)
            np.testing.assert_allclose(record["policy"][i], policy, atol=1e-6, err_msg=f"move {i}")
            assert record["root_value"][i] == pytest.approx(value, abs=1e-5)
            checked += 1
    assert checked > 5


def test_a_pass_that_ends_the_game_is_taken_when_it_wins_and_left_when_it_loses() -> None:
    """After a pass ten visits are enough to see it, whatever the prior of passing."""

    def rarely_pass(planes_BCSS: FloatArray) -> tuple[FloatArray, FloatArray]:
        logits, values = hash_net(planes_BCSS)
        logits[:, -1] = np.where(planes_BCSS[:, 12, 0, 0] > 0, -12, 1)  # passes, but hardly thinks of passing back
        return logits, values

    won, lost = 0, 0
    config = selfplay(size=4, games=60, slots=30, visits=10, komi=0.5, temperature_moves=99)
    for data in drive(config, [rarely_pass])[0]:
        record = decode_record(data)
        for game, policy, value in zip(positions(record), record["policy"], record["root_value"]):
            if not game.pass_would_end() or policy is None or not game.legal_mask()[:-1].any():
                continue
            if for_side(exact_result_after_pass(game), game.color_to_play) == 1.0:
                won += 1
                assert policy[-1] > 0.5 and value > 0.7
            elif policy[-1] < 1:  # 1: every other move was inside pass-alive areas
                lost += 1
                assert policy[-1] == 0
    assert won > 5 and lost > 5


def test_terminal_values_are_exact_on_one_point() -> None:
    """1x1: only passes are legal, the score is minus komi."""
    for komi, result in ((3.5, 0.0), (-3.5, 1.0), (0.0, 0.5)):
        record = decode_record(
            drive(selfplay(size=1, games=1, slots=1, groups=1, visits=20, komi=komi), [flat_net])[0][0]
        )
        assert list(record["moves"]) == [1, 1] and record["result"] == result and record["settled"]
        assert record["root_value"][1] == pytest.approx(1 - result, abs=0.05)
        assert record["root_value"][0] == pytest.approx(result, abs=0.06)


def test_more_search_beats_random_play_by_more() -> None:
    """A crude evaluator loses to random play without search (it fills its eyes) and wins with it."""

    def points(visits: int) -> float:
        players = [{"kind": "net", "visits": visits}, {"kind": "random"}]
        config = selfplay(size=5, games=40, slots=40, komi=0.5, match=True, opening_moves=2, players=players)
        records = [decode_record(data) for data in drive(config, [stone_net])[0]]
        return sum(r["result"] if r["black_player"] == 0 else 1 - r["result"] for r in records) / len(records)

    assert points(2) < 0.4
    assert points(150) > 0.8


def test_cheap_searches_are_no_targets_and_get_no_noise() -> None:
    pcr = {"visits": 30, "cheap_visits": 6, "full_probability": 0.3, "noise_weight": 0.25}
    records = [decode_record(d) for d in drive(selfplay(size=5, games=20, **pcr))[0]]
    full = np.concatenate([r["full"] for r in records])
    assert 0.2 < full.mean() < 0.4
    for record in records:
        for i, policy in enumerate(record["policy"]):
            assert (policy is not None) == bool(record["full"][i])
            if record["full"][i]:  # afresh: every visit of a target was noised
                assert record["visits"][i] == record["root_visits"][i] == 30
                assert policy is not None and policy.sum() == pytest.approx(1, abs=1e-5)
                assert policy.min() * 29 == pytest.approx(round(policy.min() * 29), abs=1e-3)
            else:
                assert record["visits"][i] == 6 and record["root_visits"][i] >= 6
    # With nothing but cheap searches the noise must not matter.
    quiet = selfplay(size=4, visits=12, cheap_visits=12, full_probability=0.0, noise_weight=0.5)
    loud = selfplay(size=4, visits=12, cheap_visits=12, full_probability=0.0, noise_weight=0.0)
    assert drive(quiet)[0] == drive(loud)[0]


def test_noise_changes_full_searches() -> None:
    assert drive(selfplay(noise_weight=0.5))[0] != drive(selfplay(noise_weight=0.0))[0]


def test_noise_is_spread_over_all_moves() -> None:
    """All the prior is noise here, so one-visit-per-prior counts show a Dirichlet of total concentration alpha."""
    config = selfplay(size=3, games=200, slots=50, visits=400, c_puct=50.0, move_cap=1, noise_weight=1.0)
    config["players"][0] |= {"noise_total_alpha": 5.0, "fpu_reduction": 0.0, "root_fpu_reduction": 0.0}
    policies = np.array([decode_record(d)["policy"][0] for d in drive(config, [flat_net])[0]])
    np.testing.assert_allclose(policies.mean(axis=0), 0.1, atol=0.03)
    # Var of a component of Dirichlet(alpha / n each): m (1 - m) / (alpha + 1) with m = 1 / n.
    assert policies.var(axis=0).mean() == pytest.approx(0.1 * 0.9 / 6.0, rel=0.3)


def test_visits_count_reused_ones() -> None:
    reuse, stats = drive(selfplay(size=5, games=4, visits=40))
    for record in map(decode_record, reuse):
        assert (record["root_visits"] >= 40).all() and (record["root_visits"] <= 80).all()
    assert stats["reused_visits"] > 100
    _, without = drive(selfplay(size=5, games=4, visits=40, tree_reuse=False))
    assert without["reused_visits"] == 0
    assert without["evals"] / without["moves"] > stats["evals"] / stats["moves"]


def test_moves_inside_pass_alive_areas_are_left_out_at_the_root() -> None:
    pruned = 0
    for data in drive(selfplay(size=4, games=20, visits=16, komi=0.5))[0]:
        record = decode_record(data)
        for game, policy in zip(positions(record), record["policy"]):
            alive = game.pass_alive().ravel() > 0
            pruned += int((alive & game.legal_mask()[:-1]).sum())
            assert policy is not None and not policy[:-1][alive].any()
    assert pruned > 20
