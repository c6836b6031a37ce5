"""python -m gocore.tasks match: play two players against each other and count."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gocore._core import decode_record
from gocore.checkpoint import versions
from gocore.files import append_line, write_atomic
from gocore.match import MatchConfig, MatchResult, Pair, play_match
from gocore.ratings import elo_metric, winrate_metric
from gocore.record_sgf import final_position, record_to_sgf, result_text
from gocore.replay import ShardWriter, carry_over, read_games, save_records
from gocore.reporting import Preempted
from gocore.selfplay import choose_walk_threads
from gocore.tasks.harness import Context, TaskFailure
from gocore.types import Json

PAIRS_PER_SHARD = 25


def run(context: Context) -> None:
    """Play the match; pairs are kept as they finish, so a stopped match goes on with the next pair."""
    params = context.params
    device = context.device()
    names = ["size", "rules", "player", "opponent", "pairs", "opening_moves", "slots", "groups"]
    names += ["temperature_moves", "temperature", "move_cap"]
    walkers = choose_walk_threads(params["walk_threads"], threads=context.threads, device=device)
    config = MatchConfig(
        **{name: params[name] for name in names},
        seed=context.seed,
        threads=context.threads,
        walk_threads=walkers,
        device=device,
    )
    records = context.artifacts_dir / "records"
    if context.resume is not None:
        carry_over(context.resume / "records", records)
    writer = ShardWriter(records, 2 * PAIRS_PER_SHARD)
    earlier = list(read_games(records)) if writer.entries else []
    began = time.monotonic()

    def save(folder: Path) -> None:
        save_records(writer, folder / "records")

    def on_pair(pair: Pair, counted: int) -> None:
        new_shards = writer.add([pair.black, pair.white])
        if counted:
            context.progress(2 * counted, 2 * config.pairs, "games")
        if new_shards and context.checkpoint_due(params["checkpoint_s"]):
            context.checkpoint(save)

    try:
        result = play_match(config, earlier=earlier, on_pair=on_pair, should_stop=lambda: context.preempted)
    except Preempted:
        writer.flush()
        context.checkpoint(save)
        raise
    writer.flush()
    if len(result.pairs) < config.pairs:
        raise TaskFailure(
            f"only {len(result.pairs)} different openings of {config.opening_moves} moves turned up, "
            f"{config.pairs} are asked for: raise opening_moves"
        )
    seconds = max(time.monotonic() - began, 1e-9)
    new_games = 2 * (len(result.pairs) + result.repeated_openings) - len(earlier)
    context.result(describe(config, result, context.artifacts_dir, games_per_s=new_games / seconds))


def describe(config: MatchConfig, result: MatchResult, out: Path, *, games_per_s: float) -> Json:
    """Write pairs.jsonl and the sample games; give result.json."""
    players = player_names(config)
    games = [decode_record(record) for pair in result.pairs for record in (pair.black, pair.white)]
    black, white = result.tallies()
    counted = black.games + white.games
    points = black.points + white.points
    write_pairs(out / "pairs.jsonl", result.pairs, games)
    return {
        "metrics": {
            "winrate": winrate_metric(points, counted),
            "winrate_black": winrate_metric(black.points, black.games),
            "winrate_white": winrate_metric(white.points, white.games),
            "elo_diff": elo_metric(points, counted),
            "mean_length": sum(len(game["moves"]) for game in games) / len(games),
            "draw_rate": {
                "value": (black.draws + white.draws) / counted if counted else None,
                "n": counted,
                "unit": "of games",
            },
            "games_per_s": games_per_s,
        },
        "artifacts": {"pairs": "pairs.jsonl", "records": "records", "final_game": "final.sgf"},
        "matches": [
            {
                "player": players[0],
                "opponent": players[1],
                "games": len(games),
                "no_result": result.no_results(),
                "black": black.to_json(),
                "white": white.to_json(),
                "pairs": result.pentanomial(),
                "conditions": conditions(config),
            }
        ],
        "samples": write_samples(out, games, players),
        "info": versions()
        | {
            "device": config.device,
            "threads": config.threads,
            "seed": config.seed,
            "evals": result.evals,
            "repeated_openings": result.repeated_openings,
        },
    }


def player_names(config: MatchConfig) -> tuple[str, str]:
    """Name both players as tables show them."""
    defaults = {"net": "trained net", "untrained": "untrained net", "random": "random player"}
    first, second = (player["name"] or defaults[player["kind"]] for player in (config.player, config.opponent))
    return (first, second) if first != second else (first, f"{second} (opponent)")


def conditions(config: MatchConfig) -> str:
    """Say in one line under what conditions the games were played."""
    search = [
        "no search" if player["kind"] == "random" else f"{player['visits']} visits"
        for player in (config.player, config.opponent)
    ]
    visits = search[0] if search[0] == search[1] else f"{search[0]} against {search[1]}"
    ko = "simple ko" if config.rules["ko"] == "simple" else f"{config.rules['ko']} superko"
    return (
        f"{config.size}x{config.size}, komi {config.rules['komi']:g}, {ko}, {visits}, "
        f"{config.opening_moves} random opening moves shared by the two games of a pair"
    )


def write_pairs(path: Path, pairs: Sequence[Pair], games: Sequence[Json]) -> None:
    """Write one line a pair, so that others can recompute every count."""
    path.unlink(missing_ok=True)
    for i, pair in enumerate(pairs):
        black, white = games[2 * i], games[2 * i + 1]
        append_line(
            path,
            {
                "pair": pair.number,
                "black": pair.points_black,
                "white": pair.points_white,
                "results": [result_text(black), result_text(white)],
                "lengths": [len(black["moves"]), len(white["moves"])],
                "opening": np.asarray(black["moves"])[: int(black["opening_moves"])].tolist(),
            },
        )


def write_samples(out: Path, games: Sequence[Json], players: tuple[str, str]) -> list[Json]:
    """Write the first, last, shortest and longest game as SGF."""
    by_length = sorted(range(len(games)), key=lambda i: len(games[i]["moves"]))
    chosen = {"final": len(games) - 1, "first": 0, "shortest": by_length[0], "longest": by_length[-1]}
    samples = []
    for name, index in chosen.items():
        game = games[index]
        number = index + 1
        title = f"{name} game of the match (game {number}), {result_text(game)} in {len(game['moves'])} moves"
        write_atomic(out / f"{name}.sgf", record_to_sgf(game, names=players, title=title).encode())
        sample = {"title": title[0].upper() + title[1:], "sgf": f"artifacts/{name}.sgf"}
        samples.append(sample | ({"text": final_position(game)} if name == "final" else {}))
    return samples
