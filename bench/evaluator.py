"""python bench/evaluator.py --size 7 --blocks 3 --channels 32: net evaluations per second, batched.

Each of `--workers` threads evaluates batches of its own on one core, as self-play does it on a CPU. The rate is per
second of wall-clock time: run it on a quiet machine.
"""

from __future__ import annotations

import sys

sys.path.pop(0)  # this folder, where queue.py would hide the standard library's queue

import argparse
import json
import platform
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from gocore._core import NUM_PLANES
from gocore.evaluator import make_evaluator, pick_device
from gocore.net import NetConfig, make_net
from gocore.selfplay import one_core_each


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Time `runs` stretches of about `seconds` each; the median counts."""
    config = NetConfig(size=args.size, planes=NUM_PLANES, blocks=args.blocks, channels=args.channels)
    device = pick_device(args.device)
    evaluator = make_evaluator(make_net(config, 0), device=device, max_batch=args.batch)
    planes = np.random.default_rng(0).random((args.batch, NUM_PLANES, args.size, args.size), dtype=np.float32)

    def work(batches: int) -> None:
        for _ in range(batches):
            evaluator.evaluate(planes)

    rates = []
    with one_core_each(), ThreadPoolExecutor(args.workers) as executor:
        list(executor.map(work, [5] * args.workers))
        began = time.perf_counter()
        list(executor.map(work, [10] * args.workers))
        batches = max(1, int(10 * args.seconds / (time.perf_counter() - began)))
        for _ in range(args.runs):
            began = time.perf_counter()
            list(executor.map(work, [batches] * args.workers))
            rates.append(args.workers * batches * args.batch / (time.perf_counter() - began))
    return {
        "bench": "evaluator",
        "evals_per_s": statistics.median(rates),
        "evals_per_s_runs": rates,
        "size": args.size,
        "net": config.to_json(),
        "batch": args.batch,
        "workers": args.workers,
        "device": device,
        "torch": str(torch.__version__),
        "machine": platform.machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=7, help="board size")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--batch", type=int, default=64, help="rows of a batch")
    parser.add_argument("--workers", type=int, default=2, help="threads, one core each")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda", "auto"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a run")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()
    result = measure(args)
    if args.json:
        print(json.dumps(result))
        return
    print(
        f"evaluator {args.size}x{args.size}, {args.blocks} blocks x {args.channels} channels, batch {args.batch}, "
        f"{args.workers} workers, {result['device']}: {result['evals_per_s']:,.0f} evals/s "
        f"(runs {min(result['evals_per_s_runs']):,.0f} to {max(result['evals_per_s_runs']):,.0f})"
    )


if __name__ == "__main__":
    main()
