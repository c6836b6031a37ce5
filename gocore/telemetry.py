"""What a batch of games looks like: length, early passes by colour, results, entropy; and when that is unhealthy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from gocore._core import encode
from gocore.evaluator import Evaluator
from gocore.types import FloatArray, Json


@dataclass
class GameTelemetry:
    """Sums over decoded records; colours are kept apart, as a collapse of one hides in the total."""

    early_moves: int = 9  # how many moves of a game count as early
    games: int = 0
    moves: int = 0
    capped: int = 0
    no_result: int = 0
    black_points: float = 0.0
    early: dict[str, int] = field(default_factory=lambda: {"black": 0, "white": 0})  # early moves chosen by a search
    early_passes: dict[str, int] = field(default_factory=lambda: {"black": 0, "white": 0})
    length_min: int = 0
    length_max: int = 0
    entropy_sum: float = 0.0
    targets: int = 0

    def add(self, game: Json) -> None:
        """Count one decoded record."""
        moves = np.asarray(game["moves"])
        pass_move = game["size"] ** 2
        self.length_min = min(self.length_min, len(moves)) if self.games else len(moves)
        self.length_max = max(self.length_max, len(moves))
        self.games += 1
        self.moves += len(moves)
        self.capped += game["finished"] == "move_cap"
        self.no_result += bool(game["no_result"])
        self.black_points += float(game["result"])
        for i in range(int(game["opening_moves"]), min(self.early_moves, len(moves))):
            colour = "white" if i % 2 else "black"
            self.early[colour] += 1
            self.early_passes[colour] += int(moves[i] == pass_move)
        for policy in game["policy"]:
            if policy is not None:
                self.entropy_sum += entropy(np.asarray(policy))
                self.targets += 1

    def early_pass_rate(self, colour: str) -> float:
        return self.early_passes[colour] / self.early[colour] if self.early[colour] else 0.0

    def summary(self) -> dict[str, float]:
        """Give the figures of metrics.jsonl; names are dotted there."""
        games = max(self.games, 1)
        return {
            "game.length": self.moves / games,
            "game.length_min": float(self.length_min),
            "game.length_max": float(self.length_max),
            "game.capped_rate": self.capped / games,
            "game.no_result_rate": self.no_result / games,
            "game.black_result": self.black_points / games,
            "early_pass.black": self.early_pass_rate("black"),
            "early_pass.white": self.early_pass_rate("white"),
            "early_moves.black": float(self.early["black"]),
            "early_moves.white": float(self.early["white"]),
            "policy.target_entropy": self.entropy_sum / max(self.targets, 1),
        }


def early_pass_metric(summary: Json) -> Json:
    """Describe the worse colour's rate of early passes as formats.md wants it, with the moves it speaks of."""
    worse = max(("black", "white"), key=lambda colour: float(summary[f"early_pass.{colour}"]))
    n = int(summary[f"early_moves.{worse}"])
    return {"value": summary[f"early_pass.{worse}"], "n": n, "unit": f"of {worse}'s early moves"}


@dataclass(frozen=True, kw_only=True)
class Health:
    """Thresholds that halt a run; None switches one off."""

    after: int = 4  # iterations that may still be ill: young nets pass and wander
    capped_max: float | None = 0.01
    early_pass_max: float | None = 0.3
    early_moves: int = 9

    def complaints(self, telemetry: GameTelemetry, iteration: int) -> list[str]:
        """Say what is wrong with the games of an iteration (counted from 1)."""
        if iteration <= self.after or telemetry.games == 0:
            return []
        found = []
        capped = telemetry.capped / telemetry.games
        if self.capped_max is not None and capped > self.capped_max:
            found.append(
                f"{telemetry.capped} of {telemetry.games} games ({capped:.1%}) were cut by the move cap, "
                f"more than {self.capped_max:.1%}: their results are unknown"
            )
        for colour in ("black", "white"):
            rate = telemetry.early_pass_rate(colour)
            if self.early_pass_max is not None and rate > self.early_pass_max:
                found.append(
                    f"{colour} passed in {rate:.1%} of its first moves (to move {self.early_moves}), "
                    f"more than {self.early_pass_max:.1%}: the net is learning to end games"
                )
        return found


def entropy(probabilities: FloatArray) -> float:
    """Entropy of a distribution in nats."""
    positive = probabilities[probabilities > 0].astype(np.float64)
    return float(-(positive * np.log(positive)).sum())


def position_view(evaluator: Evaluator, planes_CSS: FloatArray) -> dict[str, float]:
    """Ask the net about one position: expected result, and the raw policy's entropy and share of passes."""
    seen = evaluator.evaluate(planes_CSS[None])
    logits = seen.policy_BA[0].astype(np.float64)
    policy = np.exp(logits - logits.max())
    policy /= policy.sum()
    return {
        "empty.value": float(seen.value_B[0]),
        "empty.entropy": entropy(policy.astype(np.float32)),
        "empty.pass": float(policy[-1]),
    }


def empty_board_view(evaluator: Evaluator, size: int, rules: Json) -> dict[str, float]:
    """Ask the net about the empty board under the run's rules."""
    from gocore import Game, Rules

    game = Game(size, Rules(ko=rules["ko"], suicide=rules["suicide"], komi=rules["komi"]))
    return position_view(evaluator, encode(game))


def collect_telemetry(games: Iterable[Json], early_moves: int = 9) -> GameTelemetry:
    telemetry = GameTelemetry(early_moves=early_moves)
    for game in games:
        telemetry.add(game)
    return telemetry
