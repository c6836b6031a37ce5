"""python -m gocore.tasks selfplay: play games of a net against itself and keep the records."""

from __future__ import annotations

import time
from pathlib import Path

from gocore._core import NUM_PLANES, Pool, decode_record
from gocore.checkpoint import load_net, save_net, versions
from gocore.evaluator import make_evaluator
from gocore.files import write_atomic
from gocore.net import NetConfig, make_net
from gocore.record_sgf import final_position, record_to_sgf
from gocore.replay import ShardWriter, carry_over, read_verified, save_records
from gocore.reporting import Preempted
from gocore.selfplay import batch_rows, choose_walk_threads, drive, one_core_each, selfplay_config
from gocore.tasks.harness import Context
from gocore.telemetry import GameTelemetry, early_pass_metric


def run(context: Context) -> None:
    """Play until `games` games are accepted; each full shard counts, also across attempts."""
    params = context.params
    device = context.device()
    records = context.artifacts_dir / "records"
    if context.resume is not None:
        carry_over(context.resume / "records", records)
    writer = ShardWriter(records, params["selfplay"]["games_per_shard"])
    if params["checkpoint"] is not None:
        net, sidecar = load_net(params["checkpoint"], planes=NUM_PLANES)
        parents = [sidecar["sha256"]]
    else:
        net, parents = make_net(NetConfig(size=params["size"], planes=NUM_PLANES, **params["net"]), context.seed), []
    telemetry = GameTelemetry()
    for entry in writer.entries:
        for record in read_verified(records, entry):
            telemetry.add(decode_record(record))
    began, evals = time.monotonic(), 0
    first = writer.games
    if first < params["games"]:
        pool = Pool(
            selfplay_config(
                size=params["size"],
                rules=params["rules"],
                search=params["search"],
                games=params["selfplay"],
                count=params["games"] - first,
                first_game=first,
                seed=context.seed,
                walk_threads=choose_walk_threads(params["walk_threads"], threads=context.threads, device=device),
            )
        )

        def save(folder: Path) -> None:
            save_records(writer, folder / "records")

        def take(new: list[bytes]) -> None:
            for record in new:
                telemetry.add(decode_record(record))
            context.progress(telemetry.games, params["games"], "games")
            if writer.add(new):
                context.log(writer.games, telemetry.summary() | {"games": float(writer.games)})
                if context.checkpoint_due(params["checkpoint_s"]):
                    context.checkpoint(save)

        groups = params["selfplay"]["groups"]
        evaluator = make_evaluator(net, device=device, max_batch=batch_rows(params["selfplay"]["slots"], groups))
        with one_core_each():
            over = drive(
                pool,
                [evaluator],
                groups=groups,
                workers=context.threads if device == "cpu" else groups,
                on_records=take,
                should_stop=lambda: context.preempted,
            )
        writer.flush()
        evals = int(pool.stats()["evals"])
        if not over:
            context.checkpoint(save)
            raise Preempted
    seconds = max(time.monotonic() - began, 1e-9)
    net_sha = save_net(context.artifacts_dir / "net.pt", net, step=0, parents=parents)
    last = decode_record(read_verified(records, writer.entries[-1])[-1])
    write_atomic(context.artifacts_dir / "final.sgf", record_to_sgf(last, names=("net",)).encode())
    summary = telemetry.summary()
    context.result(
        {
            "metrics": {
                "games": writer.games,
                "rows": writer.rows,
                "moves": telemetry.moves,
                "evals": evals,
                "evals_per_s": evals / seconds,
                "games_per_s": (writer.games - first) / seconds,
                "mean_length": summary["game.length"],
                "early_pass_rate": early_pass_metric(summary),
            },
            "artifacts": {"records": "records", "net": "net.pt", "final_game": "final.sgf"},
            "samples": [{"title": "Last game", "sgf": "artifacts/final.sgf", "text": final_position(last)}],
            "checksums": {"net.pt": net_sha},
            "info": versions() | {"device": device, "threads": context.threads, "seed": context.seed},
        }
    )
