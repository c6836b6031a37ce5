"""python bench/playouts.py --size 9 --rules superko: random playouts per second on one core, one game at a time.

Playouts start from the empty board, draw uniformly from the legal moves that do not fill an own one-point eye, end by
two passes, and are scored as the board stands, without komi. Known values: 111 moves and black +2 on 9x9, 455 moves on
19x19. The rate is per second of CPU time, the median of several runs.
"""

from __future__ import annotations

import sys

sys.path.pop(0)  # this folder, where queue.py would hide the standard library's queue

import argparse
import json
import platform
import statistics
import time
from typing import Any

from gocore import _core

KO = {"simple": "simple", "superko": "positional"}
# Playouts/s of CPU time on one core of a 2-core development machine; the best peers measured there.
PEERS = {
    (9, "simple"): "libego 44,900, KataGo 42,100",
    (9, "superko"): "KataGo (full history) 9,400",
    (19, "simple"): "libego 10,300, KataGo 6,750",
    (19, "superko"): "KataGo (full history) 550",
}


def measure(size: int, rules: str, runs: int, seconds: float, seed: int) -> dict[str, Any]:
    """Run `runs` batches of about `seconds` of CPU time each."""
    ko = KO[rules]
    start = time.process_time()
    _core.random_playouts(size, 500, seed=seed, ko=ko, komi=0.0)
    per_playout_s = (time.process_time() - start) / 500
    count = max(100, int(seconds / per_playout_s))
    rates, playouts, moves, score_sum, cut = [], 0, 0, 0.0, 0
    for run in range(runs):
        start = time.process_time()
        got = _core.random_playouts(size, count, seed=seed, ko=ko, komi=0.0, first=(run + 1) * count)
        rates.append(count / (time.process_time() - start))
        playouts += count
        moves += int(got["moves"])
        cut += int(got["cut"])
        score_sum += got["black_mean_score"] * (count - int(got["cut"]))
    return {
        "schema_version": 1,
        "size": size,
        "rules": rules,
        "playouts_per_s": round(statistics.median(rates)),
        "playouts_per_s_min": round(min(rates)),
        "playouts_per_s_max": round(max(rates)),
        "runs": runs,
        "playouts": playouts,
        "moves_per_game": round(moves / playouts, 2),
        "ns_per_move": round(1e9 / (statistics.median(rates) * moves / playouts), 1),
        "black_mean_score": round(score_sum / (playouts - cut), 3),
        "cut": cut,
        "peers": PEERS.get((size, rules), ""),
        "machine": platform.processor() or platform.machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=9)
    parser.add_argument("--rules", choices=sorted(KO), help="both when left out")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="CPU time of a run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON document (a list when --rules is left out)")
    options = parser.parse_args()
    names = [options.rules] if options.rules else list(KO)
    found = [measure(options.size, name, options.runs, options.seconds, options.seed) for name in names]
    if options.json:
        print(json.dumps(found[0] if options.rules else found, indent=2))
        return
    for row in found:
        spread = f"{row['playouts_per_s_min']:,} to {row['playouts_per_s_max']:,}, {row['runs']} runs"
        game = f"{row['moves_per_game']} moves a game, black {row['black_mean_score']:+.2f}"
        peers = f"  [peers: {row['peers']}]" if row["peers"] else ""
        print(
            f"{row['size']}x{row['size']} {row['rules']:8} {row['playouts_per_s']:>9,} playouts/s ({spread})"
            f"  {row['ns_per_move']} ns a move, {game}{peers}"
        )


if __name__ == "__main__":
    main()
