"""python bench/selfplay.py --size 7: self-play games and net evaluations per second, search and features included.

An untrained net plays whole games, and nothing is left out of the time: the last games run with batches that are no
longer full, so play several times as many games as there are slots. Run it on a quiet machine.
"""

from __future__ import annotations

import sys

sys.path.pop(0)  # this folder, where queue.py would hide the standard library's queue

import argparse
import json
import os
import time
from typing import Any

from gocore._core import NUM_PLANES, Pool
from gocore.evaluator import make_evaluator, pick_device
from gocore.net import NetConfig, make_net
from gocore.selfplay import batch_rows, choose_walk_threads, drive, one_core_each, selfplay_config
from gocore.tasks.specs import TASKS


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Play `games` games and time them."""
    net_config = NetConfig(size=args.size, planes=NUM_PLANES, blocks=args.blocks, channels=args.channels)
    params = TASKS["selfplay"].fill(
        {
            "size": args.size,
            # Every move a full search, so that games/s can be compared; openings spread the games out.
            "search": {"visits": args.visits, "full_probability": 1},
            "selfplay": {"slots": args.slots, "groups": args.groups, "opening_moves": 4},
        }
    )
    device = pick_device(args.device)
    walkers = choose_walk_threads(args.walk_threads, threads=len(os.sched_getaffinity(0)), device=device)
    config = selfplay_config(
        size=args.size,
        rules=params["rules"],
        search=params["search"],
        games=params["selfplay"],
        count=args.games,
        first_game=0,
        seed=args.seed,
        walk_threads=walkers,
    )
    pool = Pool(config)
    rows = batch_rows(args.slots, args.groups)
    evaluator = make_evaluator(make_net(net_config, 0), device=device, max_batch=rows)
    finished = 0

    def take(records: list[bytes]) -> None:
        nonlocal finished
        finished += len(records)

    began = time.perf_counter()
    with one_core_each():
        drive(pool, [evaluator], groups=args.groups, workers=args.workers, on_records=take)
    seconds = time.perf_counter() - began
    stats = pool.stats()
    return {
        "bench": "selfplay",
        "games_per_s": finished / seconds,
        "evals_per_s": stats["evals"] / seconds,
        "visits_per_s": stats["visits"] / seconds,
        "moves_per_game": stats["moves"] / finished,
        "rows_per_batch": stats["batch_rows"] / max(stats["batches"], 1),
        "seconds": seconds,
        "size": args.size,
        "visits": args.visits,
        "net": net_config.to_json(),
        "slots": args.slots,
        "groups": args.groups,
        "workers": args.workers,
        "walk_threads": walkers,
        "device": device,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=7, help="board size")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--visits", type=int, default=64, help="root visits of every move")
    parser.add_argument("--games", type=int, default=512)
    parser.add_argument("--slots", type=int, default=256, help="games in flight")
    parser.add_argument("--groups", type=int, default=4, help="batches the slots are split into")
    parser.add_argument("--workers", type=int, default=2, help="threads that run the net, one core each")
    parser.add_argument(
        "--walk-threads", type=int, help="threads that walk the trees (default: 1 on a CPU, all cores beside a GPU)"
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda", "auto"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()
    result = measure(args)
    if args.json:
        print(json.dumps(result))
        return
    print(
        f"self-play {args.size}x{args.size}, {args.blocks} blocks x {args.channels} channels, {args.visits} visits, "
        f"{result['device']}: {result['games_per_s']:.2f} games/s, {result['evals_per_s']:,.0f} evals/s, "
        f"{result['moves_per_game']:.0f} moves a game, {result['rows_per_batch']:.0f} rows a batch"
    )


if __name__ == "__main__":
    main()
