"""python -m gocore.tasks train: train a net on records of self-play."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from gocore._core import NUM_PLANES
from gocore.checkpoint import CheckpointError, load_net, load_state, save_net, save_state, versions
from gocore.net import NetConfig, make_net
from gocore.replay import Window
from gocore.reporting import Preempted
from gocore.tasks.harness import Context, TaskFailure
from gocore.train import Averages, TrainConfig, Trainer, recalibrate

LOG_EVERY_STEPS = 10


def run(context: Context) -> None:
    """Train on each row `rows_per_new_row` times on average; resumes at the step it was stopped at."""
    params = context.params
    device = context.device()
    torch.set_num_threads(context.threads)
    if params["checkpoint"] is not None:
        initial, sidecar = load_net(params["checkpoint"], planes=NUM_PLANES)
        parents = [sidecar["sha256"]]
    else:
        net_config = NetConfig(size=params["size"], planes=NUM_PLANES, **params["net"])
        initial, parents = make_net(net_config, context.seed), []
    initial_sha = save_net(context.artifacts_dir / "initial_net.pt", initial, step=0, parents=parents)
    window = Window(params["size"], params["training"]["window"], context.threads)
    folders = params["records"] if isinstance(params["records"], list) else [params["records"]]
    for folder in folders:
        window.add_folder(folder)
    net = load_net(context.resume / "net.pt")[0] if context.resume else initial
    averages = Averages()
    trainer = Trainer(net, TrainConfig(**params["training"]), seed=context.seed, device=device)
    if context.resume:
        try:
            state = load_state(context.resume / "train.pt")[0]
            trainer.load_state(state)
            averages.values = dict(state["averages"])
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise CheckpointError(context.resume / "train.pt", f"does not fit the net ({error})") from error
    due = trainer.steps_due(window.rows)
    if due == 0:
        raise TaskFailure(f"{folders[0]}: {window.rows} rows do not pay for one batch of {trainer.config.batch}")

    def save(folder: Path) -> None:
        save_net(folder / "net.pt", trainer.net, step=trainer.steps, parents=[initial_sha])
        state = trainer.state() | {"averages": averages.values}
        save_state(folder / "train.pt", state, {"kind": "training", "step": trainer.steps})

    began, first = time.monotonic(), trainer.steps
    while trainer.steps < due:
        losses = trainer.step(window, fraction_done=trainer.steps / due)
        averages.add(losses)
        if trainer.steps % LOG_EVERY_STEPS == 0 or trainer.steps == due:
            context.log(trainer.steps, averages.values)
        context.progress(trainer.steps, due, "steps", metric=("loss.total", averages.values["loss.total"]))
        if context.preempted:
            context.checkpoint(save)
            raise Preempted
        if context.checkpoint_due(params["checkpoint_s"]):
            context.checkpoint(save)
    seconds = max(time.monotonic() - began, 1e-9)
    recalibrate(trainer.net, window, batch=trainer.config.batch, seed=context.seed + 1)
    sha = save_net(context.artifacts_dir / "net.pt", trainer.net, step=trainer.steps, parents=[initial_sha])
    context.result(
        {
            "metrics": {
                "final_loss": averages.values.get("loss.total"),
                "policy_loss": averages.values.get("loss.policy"),
                "value_loss": averages.values.get("loss.value"),
                "steps": trainer.steps,
                "rows": window.rows,
                "samples_per_s": (trainer.steps - first) * trainer.config.batch / seconds,
            },
            "artifacts": {"net": "net.pt", "initial_net": "initial_net.pt"},
            "curves": [
                {
                    "title": "Training loss",
                    "x": "step",
                    "y": ["loss.policy", "loss.value"],
                    "xlabel": "training step",
                    "ylabel": "loss (running mean)",
                }
            ],
            "checksums": {"net.pt": sha, "initial_net.pt": initial_sha},
            "info": versions() | {"device": device, "threads": context.threads, "seed": context.seed},
        }
    )
