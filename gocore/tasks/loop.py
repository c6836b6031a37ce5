"""python -m gocore.tasks loop: learn from random weights by self-play and training."""

from __future__ import annotations

from gocore._core import decode_record
from gocore.checkpoint import save_net, versions
from gocore.files import write_atomic
from gocore.loop import Loop, LoopConfig
from gocore.record_sgf import final_position, record_to_sgf, result_text
from gocore.replay import read_verified
from gocore.selfplay import choose_walk_threads
from gocore.tasks.harness import Context
from gocore.telemetry import early_pass_metric
from gocore.types import Json

_STRENGTH = {
    "title": "Strength",
    "x": "iteration",
    "y": ["strength.winrate"],
    "band": {"strength.winrate": ["strength.low", "strength.high"]},
    "labels": {"strength.winrate": "win rate against the untrained net"},
    "xlabel": "iteration",
    "ylabel": "win rate against the untrained net",
}
_CURVES = [
    {
        "title": "Training loss",
        "x": "step",
        "y": ["loss.policy", "loss.value"],
        "labels": {
            "loss.policy": "policy loss (cross-entropy, nats)",
            "loss.value": "value loss (cross-entropy, nats)",
        },
        "xlabel": "training step",
        "ylabel": "loss (running mean)",
    },
    {
        "title": "Black's result from the empty board",
        "x": "iteration",
        "y": ["empty.value", "game.black_result"],
        "labels": {"empty.value": "what the net expects", "game.black_result": "what the games gave"},
        "same_axis": True,
        "xlabel": "iteration",
        "ylabel": "Black's result (win 1, draw 0.5)",
    },
    {
        "title": "Game length",
        "x": "iteration",
        "y": ["game.length"],
        "labels": {"game.length": "mean length of self-play games"},
        "xlabel": "iteration",
        "ylabel": "moves",
    },
    {
        "title": "Entropy of the search's policy",
        "x": "iteration",
        "y": ["policy.target_entropy"],
        "labels": {"policy.target_entropy": "mean entropy of the policy targets"},
        "xlabel": "iteration",
        "ylabel": "nats",
    },
]


def run(context: Context) -> None:
    """Run or go on with a loop; leaves the artifacts net, initial_net, records and final_game."""
    params = context.params
    device = context.device()
    names = ["size", "rules", "net", "iterations", "games", "search", "selfplay", "training", "health"]
    names += ["evaluation", "checkpoint_s"]
    walkers = choose_walk_threads(params["walk_threads"], threads=context.threads, device=device)
    config = LoopConfig(
        **{name: params[name] for name in names},
        seed=context.seed,
        threads=context.threads,
        walk_threads=walkers,
        device=device,
    )
    loop = Loop(config, context.artifacts_dir, context, context.resume)
    loop.run()
    context.result(finish(loop, context))


def finish(loop: Loop, context: Context) -> Json:
    """Write the artifacts and describe the run."""
    out = context.artifacts_dir
    initial = save_net(out / "initial_net.pt", loop.initial, step=0)
    final = save_net(out / "net.pt", loop.trainer.net, step=loop.trainer.steps, parents=[initial])
    last = loop.history[-1]
    entry = loop.writer.entries[-1]
    game = decode_record(read_verified(loop.records, entry)[-1])
    title = f"self-play game {game['game_id']}"
    names = (f"net before iteration {loop.config.iterations}",)
    write_atomic(out / "final.sgf", record_to_sgf(game, names=names, title=title).encode())
    games = loop.writer.games
    loss = loop.averages.values
    return {
        "metrics": {
            "final_loss": loss.get("loss.total"),
            "policy_loss": loss.get("loss.policy"),
            "value_loss": loss.get("loss.value"),
            "iterations": loop.iterations_done,
            "games": games,
            "samples": loop.trainer.steps * loop.config.training["batch"],
            "evals": loop.evals,
            "evals_per_s": loop.evals / loop.play_s,
            "games_per_s": games / loop.play_s,
            "mean_length": last["game.length"],
            "early_pass_rate": early_pass_metric(last),
            "capped_rate": {"value": last["game.capped_rate"], "n": loop.config.games, "unit": "of self-play games"},
            "empty_board_value": last["empty.value"],
            "policy_entropy": last["policy.target_entropy"],
        },
        "artifacts": {
            "net": "net.pt",
            "initial_net": "initial_net.pt",
            "records": "records",
            "final_game": "final.sgf",
        },
        "samples": [
            {
                "title": f"Last self-play game ({title}), {result_text(game)} in {len(game['moves'])} moves",
                "sgf": "artifacts/final.sgf",
                "text": final_position(game),
            }
        ],
        "curves": [*([_STRENGTH] if loop.config.evaluation else []), *_CURVES],
        "checksums": {"net.pt": final, "initial_net.pt": initial},
        "info": versions() | {"device": loop.config.device, "threads": loop.config.threads, "seed": loop.config.seed},
    }
