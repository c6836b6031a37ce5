"""What each task is called, takes and leaves behind; importable without torch, numpy or the compiled core."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gocore.tasks.params import Param, Problem, check_params, fill_params, is_reference, table_schema, without


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """A task as a lab sees it: the command to start, what it takes, and the names of what it gives."""

    name: str
    summary: str
    params: Mapping[str, Param]
    artifacts: tuple[str, ...]  # names under result.json "artifacts"
    metrics: tuple[str, ...]  # names under result.json "metrics"
    relations: tuple[Callable[[Mapping[str, Any]], list[Problem]], ...] = ()  # rules between parameters

    @property
    def argv(self) -> list[str]:
        return ["{python}", "-m", "gocore.tasks", self.name]

    def check(self, params: Mapping[str, Any]) -> list[Problem]:
        """List everything that is wrong with the parameters; an empty list means they may run."""
        problems = list(check_params(self.params, params))
        filled = self.fill(without(params, [loc for loc, _ in problems]))  # relations need well-formed values
        return problems + [problem for relation in self.relations for problem in relation(filled)]

    def fill(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Add the defaults. Expects parameters that passed `check`."""
        return fill_params(self.params, params)

    def schema(self) -> dict[str, Any]:
        """Give the parameters as JSON Schema."""
        return table_schema(self.params) | {"description": self.summary}


# Parameters that several tasks share.

_SEED = Param(type="int", default=None, nullable=True, min=0, max=2**63 - 1, help="null takes the job's own seed")
_SIZE = Param(type="int", default=9, min=2, max=19, help="board size")
_THREADS = Param(
    type="int",
    default=None,
    nullable=True,
    min=1,
    max=256,
    help="CPU threads; null takes the job's cpus. Games do not depend on it, the last bits of training do",
)
_WALK_THREADS = Param(
    type="int",
    default=None,
    nullable=True,
    min=1,
    max=256,
    help="threads that walk the trees; null is 1 on a CPU, whose cores the nets need, and `threads` beside a GPU",
)
_CHECKPOINT_S = Param(type="float", default=300.0, min=1, max=86_400, help="seconds between checkpoints")
_DEVICE = Param(type="str", default="auto", choices=("auto", "cpu", "cuda"), help="where nets run")

_MOVE_CAP = Param(
    type="int",
    default=None,
    nullable=True,
    min=1,
    max=10_000,
    help="moves before a game is cut; null is 2 x size^2 + 100",
)

_RULES = Param(
    help="rules of the game; scoring is area",
    params={
        "ko": Param(type="str", default="positional", choices=("positional", "situational", "simple")),
        "suicide": Param(type="bool", default=False, help="multi-stone suicide allowed"),
        "komi": Param(type="float", default=7.0, min=-361, max=361, help="points for White"),
    },
)

_NET = Param(
    help="shape of a new net",
    params={
        "blocks": Param(type="int", default=3, min=1, max=40, help="residual blocks"),
        "channels": Param(type="int", default=32, min=8, max=512, help="trunk width"),
        "gpool_every": Param(type="int", default=2, min=1, max=40, help="each n-th block pools over the board"),
        "head_channels": Param(type="int", default=16, min=1, max=512),
        "value_hidden": Param(type="int", default=32, min=1, max=1024),
    },
)

_SEARCH_BASE = {
    "visits": Param(type="int", default=64, min=1, max=100_000, help="total root visits, reused ones included"),
    "c_puct": Param(type="float", default=1.1, min=0, max=20),
    "fpu_reduction": Param(type="float", default=0.2, min=0, max=1),
    "root_fpu_reduction": Param(type="float", default=0.1, min=0, max=1),
    "tree_reuse": Param(type="bool", default=True),
}

_SEARCH = Param(
    help="search of the self-play games",
    params=_SEARCH_BASE
    | {
        "cheap_visits": Param(type="int", default=16, min=1, max=100_000, help="visits of a cheap search"),
        "full_probability": Param(type="float", default=0.25, min=0.01, max=1, help="share of full searches"),
        "noise_weight": Param(type="float", default=0.25, min=0, max=1, help="root noise of full searches"),
        "noise_total_alpha": Param(type="float", default=10.83, min=0.01, max=1000, help="spread over the legal moves"),
    },
)

_GAMES = Param(
    help="how self-play games are set up",
    params={
        "slots": Param(type="int", default=256, min=1, max=65_536, help="games in flight"),
        "groups": Param(type="int", default=4, min=1, max=64, help="batches the slots are split into"),
        "opening_moves": Param(type="int", default=0, min=0, max=100, help="random moves at the start of each game"),
        "temperature_moves": Param(type="int", default=12, min=0, max=1000, help="moves sampled by visit count"),
        "temperature": Param(type="float", default=1.0, min=0.05, max=10),
        "final_temperature": Param(type="float", default=0.15, min=0, max=10, help="after those; 0 takes most visits"),
        "komi_stdev": Param(type="float", default=0.0, min=0, max=50, help="spread of komi between games, points"),
        "move_cap": _MOVE_CAP,
        "games_per_shard": Param(type="int", default=64, min=1, max=100_000),
    },
)

_TRAINING = Param(
    help="how the net is trained",
    params={
        "batch": Param(type="int", default=128, min=2, max=65_536, help="rows of a training batch"),
        "optimizer": Param(type="str", default="adamw", choices=("adamw", "sgd")),
        "lr": Param(type="float", default=2e-3, min=1e-7, max=10, help="learning rate after the warm-up"),
        "final_lr": Param(
            type="float", default=None, nullable=True, min=0, max=10, help="reached linearly; null is lr"
        ),
        "warmup_steps": Param(type="int", default=50, min=0, max=1_000_000),
        "weight_decay": Param(type="float", default=1e-4, min=0, max=1),
        "momentum": Param(type="float", default=0.9, min=0, max=0.999, help="of SGD"),
        "clip_norm": Param(type="float", default=5.0, min=0.001, max=1e6, help="largest gradient norm"),
        "window": Param(type="int", default=200_000, min=100, max=10**9, help="positions the replay window holds"),
        "rows_per_new_row": Param(type="float", default=4.0, min=0.01, max=8.0, help="training rows per new row"),
        "policy_weight": Param(type="float", default=1.0, min=0, max=100),
        "value_weight": Param(type="float", default=1.0, min=0, max=100),
        "score_weight": Param(type="float", default=0.05, min=0, max=100),
        "ownership_weight": Param(type="float", default=0.15, min=0, max=100),
    },
)

_HEALTH = Param(
    help="thresholds that halt a sick run; null switches one off",
    params={
        "after": Param(type="int", default=4, min=0, max=10_000, help="iterations that may still be ill"),
        "capped_max": Param(
            type="float", default=0.01, nullable=True, min=0, max=1, help="share of games cut by the cap"
        ),
        "early_pass_max": Param(
            type="float", default=0.3, nullable=True, min=0, max=1, help="passes among the first moves, per colour"
        ),
        "early_moves": Param(type="int", default=9, min=1, max=400, help="how many moves count as first"),
    },
)

_EVALUATION = Param(
    nullable=True,
    help="after each iteration, a small match against the untrained net, both with search: the learning curve",
    params={
        "pairs": Param(type="int", default=20, min=1, max=100_000, help="two games each"),
        "visits": Param(type="int", default=16, min=1, max=100_000, help="root visits of both"),
        "opening_moves": Param(type="int", default=4, min=0, max=100, help="random moves that a pair shares"),
    },
)

_PLAYER_PARAMS = _SEARCH_BASE | {
    "kind": Param(type="str", default="net", choices=("net", "untrained", "random"), help="who plays"),
    "checkpoint": Param(type="path", default=None, nullable=True, help="kind net: the .pt file"),
    "net": _NET,  # kind untrained: its shape
    "seed": Param(type="int", default=0, min=0, max=2**63 - 1, help="kind untrained: seed of its weights"),
    "name": Param(type="str", default=None, nullable=True, help="how tables call it"),
}


_PLAYOUT_CAPS = ("visits", "cheap_visits", "full_probability")


def _cheap_within_full(params: Mapping[str, Any]) -> list[Problem]:
    search = params["search"]
    if is_reference(search) or any(map(is_reference, (search[key] for key in _PLAYOUT_CAPS))):
        return []
    if search["full_probability"] != 1 and search["cheap_visits"] > search["visits"]:
        return [(("search", "cheap_visits"), f"must not exceed visits ({search['visits']})")]
    return []


def _slots_fill_groups(params: Mapping[str, Any]) -> list[Problem]:
    games = params.get("selfplay", params)
    if is_reference(games) or is_reference(games["slots"]) or is_reference(games["groups"]):
        return []
    if games["slots"] % games["groups"]:
        loc = ("selfplay", "slots") if "selfplay" in params else ("slots",)
        return [(loc, f"must be a multiple of groups ({games['groups']})")]
    return []


def _komi_half_points(params: Mapping[str, Any]) -> list[Problem]:
    rules = params["rules"]
    if is_reference(rules) or is_reference(rules["komi"]) or (rules["komi"] * 2) % 1 == 0:
        return []
    return [(("rules", "komi"), f"must be a multiple of 0.5, not {rules['komi']}")]


def _opening_fits(params: Mapping[str, Any]) -> list[Problem]:
    games = params.get("selfplay", params)
    if is_reference(games) or is_reference(params["size"]) or is_reference(games["opening_moves"]):
        return []
    limit = params["size"] ** 2 // 2
    if games["opening_moves"] > limit:
        loc = ("selfplay", "opening_moves") if "selfplay" in params else ("opening_moves",)
        return [(loc, f"must be at most {limit} on this board (half its points)")]
    return []


def _evaluation_fits(params: Mapping[str, Any]) -> list[Problem]:
    evaluation = params["evaluation"]
    if evaluation is None or is_reference(evaluation) or is_reference(params["size"]):
        return []
    opening, games = evaluation["opening_moves"], params["selfplay"]
    if is_reference(opening):
        return []
    loc, limit = ("evaluation", "opening_moves"), params["size"] ** 2 // 2
    problems: list[Problem] = []
    if opening > limit:
        problems.append((loc, f"must be at most {limit} on this board (half its points)"))
    cap = None if is_reference(games) or is_reference(games["move_cap"]) else games["move_cap"]
    if cap is not None and opening >= cap:
        problems.append((loc, f"must be less than selfplay.move_cap ({cap})"))
    return problems


def _cap_after_opening(params: Mapping[str, Any]) -> list[Problem]:
    games = params.get("selfplay", params)
    if is_reference(games) or is_reference(games["move_cap"]) or is_reference(games["opening_moves"]):
        return []
    if games["move_cap"] is not None and games["move_cap"] <= games["opening_moves"]:
        loc = ("selfplay", "move_cap") if "selfplay" in params else ("move_cap",)
        return [(loc, f"must be more than opening_moves ({games['opening_moves']})")]
    return []


def _guard_sees_moves(params: Mapping[str, Any]) -> list[Problem]:
    """Opening moves are not chosen by anybody: a guard that looks at no other moves would never trip."""
    health, games = params["health"], params["selfplay"]
    if is_reference(health) or is_reference(games) or health["early_pass_max"] is None:
        return []
    early, opening = health["early_moves"], games["opening_moves"]
    if is_reference(early) or is_reference(opening) or early > opening:
        return []
    return [(("health", "early_moves"), f"must be more than selfplay.opening_moves ({opening})")]


def _players_complete(params: Mapping[str, Any]) -> list[Problem]:
    problems: list[Problem] = []
    for side in ("player", "opponent"):
        player = params[side]
        if is_reference(player) or is_reference(player["kind"]):
            continue
        if player["kind"] == "net" and player["checkpoint"] is None:
            problems.append(((side, "checkpoint"), "is missing: a player of kind net needs one"))
        if player["kind"] != "net" and player["checkpoint"] is not None:
            problems.append(((side, "checkpoint"), f"has no meaning for a player of kind {player['kind']}"))
    return problems


TASKS: dict[str, TaskSpec] = {
    spec.name: spec
    for spec in (
        TaskSpec(
            name="selfplay",
            summary="Play games of a net against itself and keep their records.",
            params={
                "size": _SIZE,
                "rules": _RULES,
                "checkpoint": Param(type="path", default=None, nullable=True, help="the net; null is an untrained one"),
                "net": _NET,
                "games": Param(type="int", default=256, min=1, max=10**8, help="games started, each is finished"),
                "search": _SEARCH,
                "selfplay": _GAMES,
                "seed": _SEED,
                "threads": _THREADS,
                "walk_threads": _WALK_THREADS,
                "device": _DEVICE,
                "checkpoint_s": _CHECKPOINT_S,
            },
            artifacts=("records", "net", "final_game"),
            metrics=("games", "rows", "moves", "evals", "evals_per_s", "games_per_s", "mean_length", "early_pass_rate"),
            relations=(_cheap_within_full, _slots_fill_groups, _komi_half_points, _opening_fits, _cap_after_opening),
        ),
        TaskSpec(
            name="train",
            summary="Train a net on records of self-play.",
            params={
                "size": _SIZE,
                "records": Param(type="path", required=True, many=True, help="a records folder, or several"),
                "checkpoint": Param(
                    type="path", default=None, nullable=True, help="the net to go on from; null is new"
                ),
                "net": _NET,
                "training": _TRAINING,
                "seed": _SEED,
                "threads": _THREADS,
                "device": _DEVICE,
                "checkpoint_s": _CHECKPOINT_S,
            },
            artifacts=("net", "initial_net"),
            metrics=("final_loss", "policy_loss", "value_loss", "steps", "rows", "samples_per_s"),
        ),
        TaskSpec(
            name="loop",
            summary="Learn from nothing: iterations of self-play and training, from random weights.",
            params={
                "size": _SIZE,
                "rules": _RULES,
                "net": _NET,
                "iterations": Param(type="int", default=6, min=1, max=100_000),
                "games": Param(type="int", default=256, min=1, max=10**7, help="self-play games per iteration"),
                "search": _SEARCH,
                "selfplay": _GAMES,
                "training": _TRAINING,
                "health": _HEALTH,
                "evaluation": _EVALUATION,
                "seed": _SEED,
                "threads": _THREADS,
                "walk_threads": _WALK_THREADS,
                "device": _DEVICE,
                "checkpoint_s": _CHECKPOINT_S,
            },
            artifacts=("net", "initial_net", "records", "final_game"),
            metrics=(
                "final_loss",
                "policy_loss",
                "value_loss",
                "iterations",
                "games",
                "samples",
                "evals",
                "evals_per_s",
                "games_per_s",
                "mean_length",
                "early_pass_rate",
                "capped_rate",
                "empty_board_value",
                "policy_entropy",
            ),
            relations=(
                _cheap_within_full,
                _slots_fill_groups,
                _komi_half_points,
                _evaluation_fits,
                _opening_fits,
                _cap_after_opening,
                _guard_sees_moves,
            ),
        ),
        TaskSpec(
            name="match",
            summary="Play two players against each other, in pairs with one opening and swapped colours.",
            params={
                "size": _SIZE,
                "rules": _RULES,
                "player": Param(required=True, help="the player whose wins are counted", params=_PLAYER_PARAMS),
                "opponent": Param(required=True, help="the other one", params=_PLAYER_PARAMS),
                "pairs": Param(type="int", default=100, min=1, max=1_000_000, help="two games each"),
                "opening_moves": Param(type="int", default=4, min=0, max=100, help="random moves that a pair shares"),
                "checkpoint_s": _CHECKPOINT_S,
                "move_cap": _MOVE_CAP,
                "slots": Param(type="int", default=64, min=2, max=65_536, help="games in flight"),
                "groups": Param(type="int", default=2, min=1, max=64, help="batches the slots are split into"),
                "temperature_moves": Param(type="int", default=0, min=0, max=1000, help="moves sampled by visit count"),
                "temperature": Param(type="float", default=0.5, min=0.05, max=10),
                "seed": _SEED,
                "threads": _THREADS,
                "walk_threads": _WALK_THREADS,
                "device": _DEVICE,
            },
            artifacts=("pairs", "records", "final_game"),
            metrics=(
                "winrate",
                "winrate_black",
                "winrate_white",
                "elo_diff",
                "mean_length",
                "draw_rate",
                "games_per_s",
            ),
            relations=(_players_complete, _slots_fill_groups, _komi_half_points, _opening_fits, _cap_after_opening),
        ),
    )
}
