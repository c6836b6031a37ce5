"""python bench/search.py --size 9 --threads 2 --json: search speed when the net costs nothing, with features."""

from __future__ import annotations

import sys

sys.path.pop(0)  # this folder, where queue.py would hide the standard library's queue

import argparse
import json

from gocore._core import search_benchmark


def main() -> None:
    parser = argparse.ArgumentParser(description="Whole games of self-play with tree reuse and a constant evaluator.")
    parser.add_argument("--size", type=int, default=9, help="board size")
    parser.add_argument("--threads", type=int, default=1, help="walker threads")
    parser.add_argument("--slots", type=int, default=256, help="games in flight, one leaf each")
    parser.add_argument("--visits", type=int, default=400, help="visits a move, reused ones included")
    parser.add_argument("--games", type=int, default=None, help="whole games to play; one per slot by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()
    seen = search_benchmark(args.size, args.threads, args.slots, args.visits, args.games or args.slots, args.seed)
    result = {
        "schema_version": 1,
        "size": args.size,
        "threads": args.threads,
        "slots": args.slots,
        "visits_a_move": args.visits,
        **seen,
        "visits_per_s": seen["visits"] / seen["seconds"],
        "evals_per_s": seen["evals"] / seen["seconds"],
    }
    if args.json:
        print(json.dumps(result))
        return
    print(f"{result['visits_per_s']:,.0f} visits/s ({result['evals_per_s']:,.0f} leaves/s)")
    print(f"{seen['games']} games of {args.size}x{args.size}, {seen['moves']} moves, {seen['seconds']:.1f} s")


if __name__ == "__main__":
    main()
