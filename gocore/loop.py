"""Learns from nothing: iterations of self-play and training, from random weights, resumable at any point.

The state is what a checkpoint holds: the shards of records, the net, the optimiser, and how far the loop is. What
the loop does next follows from that and the seed alone; only the games that a stop cuts short are played anew.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch

from gocore._core import NUM_PLANES, Pool, decode_record
from gocore.checkpoint import CheckpointError, load_net, load_state, save_net, save_state
from gocore.evaluator import Evaluator, make_evaluator
from gocore.files import write_json
from gocore.match import MatchConfig, play_match
from gocore.net import NetConfig, make_net
from gocore.ratings import wilson
from gocore.replay import ShardWriter, Window, carry_over, read_verified, save_records
from gocore.reporting import Preempted, Reporter
from gocore.selfplay import batch_rows, drive, one_core_each, selfplay_config
from gocore.telemetry import GameTelemetry, Health, collect_telemetry, empty_board_view
from gocore.train import Averages, TrainConfig, Trainer, recalibrate
from gocore.types import Json

LOG_EVERY_STEPS = 10
EVALUATION_SEED = 0x5EED_0000_0001  # times the iteration, added to the run's seed
CALIBRATION_SEED = 1  # added to the run's seed: the batches that set batch norm are not those that trained


class UnhealthyRun(Exception):
    """The games crossed a health threshold, or gave nothing to train on; the run's result would mislead."""


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """What a loop is; tables as the task's parameters have them."""

    size: int
    rules: Json
    net: Json
    iterations: int
    games: int  # per iteration
    search: Json
    selfplay: Json
    training: Json
    health: Json
    seed: int
    threads: int = 1
    walk_threads: int = 1
    device: str = "cpu"
    checkpoint_s: float = 300.0
    evaluation: Json | None = None  # a small match against the untrained net after each iteration


class Loop:
    """A run of the loop with its state in `folder` (`records/`) and in memory."""

    def __init__(self, config: LoopConfig, folder: Path, report: Reporter, resume: Path | None = None) -> None:
        self.config = config
        self.report = report
        self.records = folder / "records"
        self.iterations_done = 0
        self.evals = 0
        self.play_s = 0.0
        self.history: list[dict[str, float]] = []
        self.rows_paid = 0  # rows that the training of the iterations done was due for
        net_config = NetConfig(size=config.size, planes=NUM_PLANES, **config.net)
        self.initial = make_net(net_config, config.seed)
        net = make_net(net_config, config.seed)
        if resume is not None:
            net, _ = load_net(resume / "net.pt")
            if net.config != net_config:
                raise CheckpointError(resume / "net.pt", "is the net of another run (its config differs)")
            carry_over(resume / "records", self.records)
        self.writer = ShardWriter(self.records, config.selfplay["games_per_shard"])
        self.trainer = Trainer(net, TrainConfig(**config.training), seed=config.seed, device=config.device)
        self.averages = Averages()
        self.window = Window(config.size, config.training["window"], config.threads)
        self._shards_in_window = 0
        if resume is not None:
            self._restore(resume)
        rows = batch_rows(config.selfplay["slots"], config.selfplay["groups"])
        self.evaluator: Evaluator = make_evaluator(self.trainer.net, device=config.device, max_batch=rows)
        self.health = Health(**config.health)

    def run(self) -> None:
        """Run the iterations that are left. Raises Preempted after a checkpoint, UnhealthyRun."""
        while self.iterations_done < self.config.iterations:
            self._play()
            telemetry = self._telemetry()
            if complaints := self.health.complaints(telemetry, self.iterations_done + 1):
                self.report.checkpoint(self._save)
                raise UnhealthyRun(f"iteration {self.iterations_done + 1}: " + "; ".join(complaints))
            paid = self._train()
            strength = self._strength()
            self.rows_paid = paid
            self.iterations_done += 1
            self._log_iteration(telemetry, strength)
            if self.iterations_done < self.config.iterations:
                self.report.checkpoint(self._save)
        if self.trainer.steps == 0:
            raise UnhealthyRun(
                f"nothing was learned: {self.writer.rows} rows of {self.writer.games} games do not pay for one batch "
                f"of {self.config.training['batch']}; play more games, or lower training.batch"
            )

    # Self-play

    def _play(self) -> None:
        config = self.config
        first, target = self.writer.games, (self.iterations_done + 1) * config.games
        if first >= target:
            return
        pool = Pool(
            selfplay_config(
                size=config.size,
                rules=config.rules,
                search=config.search,
                games=config.selfplay,
                count=target - first,
                first_game=first,
                seed=config.seed,
                walk_threads=config.walk_threads,
            )
        )
        pool.set_net_id(0, self.iterations_done)
        self.evaluator.load_state(self.trainer.net)
        began, finished = time.monotonic(), first

        def take(records: list[bytes]) -> None:
            nonlocal finished
            finished += len(records)
            self._progress(finished / config.games, "self-play")
            if self.writer.add(records) and self.report.checkpoint_due(config.checkpoint_s):
                self.report.checkpoint(self._save)

        groups = config.selfplay["groups"]
        with one_core_each():
            over = drive(
                pool,
                [self.evaluator],
                groups=groups,
                workers=config.threads if config.device == "cpu" else groups,
                on_records=take,
                should_stop=lambda: self.report.preempted,
            )
        self.writer.flush()
        self.evals += int(pool.stats()["evals"])
        self.play_s += time.monotonic() - began
        if not over:
            self._preempt()

    def _telemetry(self) -> GameTelemetry:
        """Read this iteration's games back from their shards."""
        records = (record for entry in self._new_shards() for record in read_verified(self.records, entry))
        return collect_telemetry(map(decode_record, records), self.config.health["early_moves"])

    def _new_shards(self) -> list[Json]:
        """List the shards of this iteration; none has games of two."""
        first = self.iterations_done * self.config.games
        return [entry for entry in self.writer.entries if entry["first_game"] >= first]

    # Training

    def _train(self) -> int:
        """Train on what this iteration added; give the rows paid for so far.

        Where training began and ends follows from the records, so that a resume in its middle goes on alike.
        """
        torch.set_num_threads(self.config.threads)
        self._shards_in_window = self.window.add_folder(self.records, self._shards_in_window)
        # Rows that left the window before anybody trained on them pay for nothing.
        paid = self.rows_paid + min(sum(entry["rows"] for entry in self._new_shards()), self.window.rows)
        first, due = self.trainer.steps_due(self.rows_paid), self.trainer.steps_due(paid)
        while self.trainer.steps < due:
            share = (self.trainer.steps - first) / max(due - first, 1)
            losses = self.trainer.step(
                self.window, fraction_done=(self.iterations_done + share) / self.config.iterations
            )
            self.averages.add(losses)
            if self.trainer.steps % LOG_EVERY_STEPS == 0:
                self.report.log(self.trainer.steps, self.averages.values)
                self._progress(self.iterations_done + 1, "training")
            if self.report.preempted:
                self._preempt()
            if self.report.checkpoint_due(self.config.checkpoint_s):
                self.report.checkpoint(self._save)
        if due > first:
            seed = self.config.seed + CALIBRATION_SEED
            recalibrate(self.trainer.net, self.window, batch=self.config.training["batch"], seed=seed)
        return paid

    def _log_iteration(self, telemetry: GameTelemetry, strength: dict[str, float]) -> None:
        self.evaluator.load_state(self.trainer.net)
        view = empty_board_view(self.evaluator, self.config.size, self.config.rules)
        values = {
            "iteration": float(self.iterations_done),
            "samples": float(self.trainer.steps * self.config.training["batch"]),
            "games": float(self.writer.games),
            "rows": float(self.writer.rows),
            "window.rows": float(self.window.rows),
            "evals_per_s": self.evals / self.play_s if self.play_s else 0.0,
            **{name: value for name, value in self.averages.values.items() if name.startswith("loss.")},
            **telemetry.summary(),
            **view,
            **strength,
        }
        self.history.append(values)
        self.report.log(self.trainer.steps, values)
        self._progress(self.iterations_done, "trained")

    def _strength(self) -> dict[str, float]:
        """Play the net against its untrained self, both with search; nothing if that is off.

        A stop leaves the iteration undone, so that a resume plays this match again and the curve has no hole.
        """
        config, evaluation = self.config, self.config.evaluation
        if evaluation is None:
            return {}
        self._progress(self.iterations_done + 1, "evaluation")
        player = {"kind": "net", "visits": evaluation["visits"]}
        match = MatchConfig(
            size=config.size,
            rules=config.rules,
            player=player,
            opponent=player,
            pairs=evaluation["pairs"],
            opening_moves=evaluation["opening_moves"],
            slots=2 * evaluation["pairs"],
            groups=2,
            temperature_moves=0,
            temperature=1.0,
            move_cap=config.selfplay["move_cap"],
            # Other openings after each iteration, and none of the final matches' (those have the plain seed).
            seed=(config.seed + EVALUATION_SEED * (self.iterations_done + 1)) % 2**63,
            threads=config.threads,
            walk_threads=config.walk_threads,
            device=config.device,
        )
        try:
            result = play_match(match, nets=(self.trainer.net, self.initial), should_stop=lambda: self.report.preempted)
        except Preempted:
            self._preempt()
        black, white = result.tallies()
        games, points = black.games + white.games, black.points + white.points
        low, high = wilson(points, games)
        rate = points / games if games else 0.5
        return {"strength.winrate": rate, "strength.low": low, "strength.high": high, "strength.games": float(games)}

    # State

    def _progress(self, iterations: float, phase: str) -> None:
        metric = self.averages.values.get("loss.total")
        number = min(self.iterations_done + 1, self.config.iterations)
        self.report.progress(
            round(iterations, 3),
            self.config.iterations,
            "iterations",
            message=f"iteration {number}: {phase}",
            metric=None if metric is None else ("loss.total", metric),
        )

    def _preempt(self) -> NoReturn:
        self.report.checkpoint(self._save)
        raise Preempted

    def _save(self, folder: Path) -> None:
        save_records(self.writer, folder / "records")
        save_net(folder / "net.pt", self.trainer.net, step=self.trainer.steps)
        save_state(folder / "train.pt", self.trainer.state(), {"kind": "training", "step": self.trainer.steps})
        write_json(
            folder / "loop.json",
            {
                "iterations_done": self.iterations_done,
                "rows_paid": self.rows_paid,
                "evals": self.evals,
                "play_s": self.play_s,
                "averages": self.averages.values,
                "history": self.history,
                "seed": self.config.seed,
            },
        )

    def _restore(self, folder: Path) -> None:
        path = folder / "loop.json"
        try:
            state: dict[str, Any] = json.loads(path.read_bytes())
            if state["seed"] != self.config.seed:
                raise CheckpointError(path, f"is of another run: seed {state['seed']}, not {self.config.seed}")
            self.iterations_done, self.rows_paid = int(state["iterations_done"]), int(state["rows_paid"])
            self.evals, self.play_s = int(state["evals"]), float(state["play_s"])
            self.averages.values = dict(state["averages"])
            self.history = list(state["history"])
        except OSError as error:
            raise CheckpointError(path, f"cannot be read ({error.strerror})") from error
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(path, f"is not the state of a loop ({error})") from error
        train_state, _ = load_state(folder / "train.pt")
        try:
            self.trainer.load_state(train_state)
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise CheckpointError(folder / "train.pt", f"does not fit the net ({error})") from error
