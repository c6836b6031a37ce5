"""Plays two players against each other in colour-swapped pairs on random openings, none of them twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from gocore._core import NUM_PLANES, Pool, decode_record
from gocore.checkpoint import load_net
from gocore.evaluator import Evaluator, make_evaluator
from gocore.net import Net, NetConfig, make_net
from gocore.ratings import Tally, pentanomial
from gocore.reporting import Preempted
from gocore.selfplay import batch_rows, drive, net_player, one_core_each
from gocore.types import Json

OpeningKey = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass
class Pair:
    """A colour-swapped pair: `black` is the game in which `player` has Black. Records are kept as they came."""

    number: int
    black: bytes
    white: bytes
    points_black: float | None  # player's points with Black; None when a game had no result or was cut
    points_white: float | None

    @property
    def points(self) -> float | None:
        if self.points_black is None or self.points_white is None:
            return None
        return self.points_black + self.points_white


@dataclass
class MatchResult:
    """All counted pairs of a match, from the player's side."""

    pairs: list[Pair] = field(default_factory=list)
    repeated_openings: int = 0  # pairs left out because an earlier one had their opening
    evals: int = 0

    def tallies(self) -> tuple[Tally, Tally]:
        """Count wins, losses and draws as Black and as White; games without a result count nowhere."""
        black, white = Tally(), Tally()
        for pair in self.pairs:
            if pair.points_black is not None:
                black.add(pair.points_black)
            if pair.points_white is not None:
                white.add(pair.points_white)
        return black, white

    def no_results(self) -> int:
        return sum((pair.points_black is None) + (pair.points_white is None) for pair in self.pairs)

    def pentanomial(self) -> dict[str, int]:
        return pentanomial(pair.points for pair in self.pairs if pair.points is not None)


@dataclass(frozen=True, kw_only=True)
class MatchConfig:
    """Conditions of a match; `player` and `opponent` are tables as the task's parameters have them."""

    size: int
    rules: Json
    player: Json
    opponent: Json
    pairs: int
    opening_moves: int
    slots: int
    groups: int
    temperature_moves: int
    temperature: float
    seed: int
    move_cap: int | None = None  # None: the pool's own
    threads: int = 1
    walk_threads: int = 1
    device: str = "cpu"


def player_points(game: Json, player: int) -> float | None:
    """Give a player's points in a decoded record: 1, 0.5 or 0; None when the game decided nothing."""
    if game["no_result"] or not game["settled"]:
        return None
    result = float(game["result"])
    return result if int(game["black_player"]) == player else 1.0 - result


def opening_key(game: Json) -> OpeningKey:
    """Name the opening by its stones: another order of the same moves is the same opening."""
    moves = [int(move) for move in np.asarray(game["moves"])[: int(game["opening_moves"])]]
    return tuple(sorted(moves[0::2])), tuple(sorted(moves[1::2]))


def play_match(
    config: MatchConfig,
    *,
    nets: Sequence[Net | None] = (None, None),
    earlier: Sequence[bytes] = (),
    on_pair: Callable[[Pair, int], None] = lambda pair, counted: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> MatchResult:
    """Play until `pairs` pairs with different openings are counted.

    `nets` are nets in memory for player and opponent, in place of their checkpoints. `earlier` are records of an
    interrupted match, in order; they are counted first. `on_pair` sees each new pair.
    Raises Preempted when stopped; what `on_pair` has seen is enough to go on from.
    """
    result = MatchResult()
    seen: set[OpeningKey] = set()
    half: list[bytes] = []
    next_game = 0

    def take(records: Sequence[bytes], *, new: bool = True) -> None:
        nonlocal next_game
        for record in records:
            next_game += 1
            half.append(record)
            if len(half) == 2:
                pair = make_pair(half[0], half[1])
                half.clear()
                key = opening_key(decode_record(pair.black))
                if config.opening_moves and key in seen:
                    result.repeated_openings += 1
                    counted = False
                else:
                    seen.add(key)
                    result.pairs.append(pair)
                    counted = True
                if new:
                    on_pair(pair, len(result.pairs) if counted else 0)

    take(earlier, new=False)
    evaluators, players = _players(config, nets)
    # More pairs are played only for those whose opening came twice; the board may simply not have enough of them.
    while len(result.pairs) < config.pairs and result.repeated_openings <= config.pairs:
        pool = Pool(_pool_config(config, players, next_game, 2 * (config.pairs - len(result.pairs))))
        for net in range(len(evaluators)):
            pool.set_net_id(net, net)
        with one_core_each():
            over = drive(
                pool,
                evaluators,
                groups=config.groups,
                workers=config.threads if config.device == "cpu" else config.groups,
                on_records=take,
                should_stop=should_stop,
            )
        result.evals += int(pool.stats()["evals"])
        if not over:
            raise Preempted
    return result


def make_pair(first: bytes, second: bytes) -> Pair:
    """Join the two games of a pair; player 0 has Black in the first. Raises ValueError if they are no pair."""
    games = decode_record(first), decode_record(second)
    number, odd = divmod(int(games[0]["game_id"]), 2)
    if odd or int(games[1]["game_id"]) != 2 * number + 1:
        raise ValueError(f"games {games[0]['game_id']} and {games[1]['game_id']} are not a pair")
    return Pair(number, first, second, player_points(games[0], 0), player_points(games[1], 0))


def _players(config: MatchConfig, nets: Sequence[Net | None]) -> tuple[list[Evaluator], list[Json]]:
    """Load the nets and describe both players to the pool; each searching player has an evaluator of its own."""
    evaluators: list[Evaluator] = []
    players: list[Json] = []
    max_batch = batch_rows(config.slots, config.groups)
    for player, given in zip((config.player, config.opponent), nets):
        if player["kind"] == "random":
            players.append({"kind": "random"})
            continue
        if given is not None:
            net = given
        elif player["kind"] == "net":
            net, _ = load_net(player["checkpoint"], planes=NUM_PLANES)
        else:
            net = make_net(NetConfig(size=config.size, planes=NUM_PLANES, **player["net"]), player["seed"])
        players.append(net_player(player, net=len(evaluators)))
        evaluators.append(make_evaluator(net, device=config.device, max_batch=max_batch))
    return evaluators, players


def _pool_config(config: MatchConfig, players: list[Json], first_game: int, games: int) -> Json:
    pool = {
        "size": config.size,
        "komi": config.rules["komi"],
        "ko": config.rules["ko"],
        "suicide": config.rules["suicide"],
        "match": True,
        "games": games,
        "first_game": first_game,
        "slots": config.slots,
        "groups": config.groups,
        "threads": config.walk_threads,
        "seed": config.seed,
        "opening_moves": config.opening_moves,
        "temperature_moves": config.temperature_moves,
        "temperature": config.temperature,
        "players": players,
    }
    return pool if config.move_cap is None else pool | {"move_cap": config.move_cap}
