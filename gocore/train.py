"""Trains a net on the replay window: losses, optimiser, learning rate, and its state for a resume."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gocore.net import Net
from gocore.replay import Window
from gocore.types import FloatArray, Json

MAX_ROWS_PER_NEW_ROW = 8.0  # more repeats of the same rows is memorising


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a net is trained; the fields and their ranges are those of the task parameter `training`."""

    batch: int = 128
    optimizer: str = "adamw"
    lr: float = 2e-3
    final_lr: float | None = None
    warmup_steps: int = 50
    weight_decay: float = 1e-4
    momentum: float = 0.9
    clip_norm: float = 5.0
    window: int = 200_000
    rows_per_new_row: float = 4.0
    policy_weight: float = 1.0
    value_weight: float = 1.0
    score_weight: float = 0.05
    ownership_weight: float = 0.15


class Trainer:
    """Holds a net, its optimiser and the count of steps; one `step` is one batch.

    Everything a step does follows from the net, the window, `seed` and the count, so a resumed run goes on alike.
    """

    def __init__(self, net: Net, config: TrainConfig, *, seed: int, device: str = "cpu") -> None:
        if not 0 < config.rows_per_new_row <= MAX_ROWS_PER_NEW_ROW:
            raise ValueError(f"rows_per_new_row must be at most {MAX_ROWS_PER_NEW_ROW:g}")
        self.device = torch.device(device)
        self.net = net.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config = config
        self.seed = seed
        self.steps = 0
        self.optimizer = _make_optimizer(self.net, config)

    def steps_due(self, rows_added: int) -> int:
        """How many steps the rows seen so far pay for: each new row may be trained on `rows_per_new_row` times."""
        return int(rows_added * self.config.rows_per_new_row // self.config.batch)

    def step(self, window: Window, *, fraction_done: float = 0.0) -> dict[str, float]:
        """Train on one batch; `fraction_done` (0..1) of the run sets the learning rate. Returns the losses."""
        batch = window.sample(self.config.batch, self.seed, self.steps)
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)).to(self.device) for name, array in batch.items()}
        lr = self.learning_rate(fraction_done)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.net.train()
        self.optimizer.zero_grad(set_to_none=True)
        losses = compute_losses(self.net, tensors)
        weights = self.config
        total = (
            weights.policy_weight * losses["policy"]
            + weights.value_weight * losses["value"]
            + weights.score_weight * losses["score"]
            + weights.ownership_weight * losses["ownership"]
        )
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), weights.clip_norm)
        self.optimizer.step()
        self.steps += 1
        report = {f"loss.{name}": float(loss.detach()) for name, loss in losses.items() if name != "agreement"}
        report |= {"loss.total": float(total.detach()), "lr": lr, "grad_norm": float(norm)}
        report["policy.agreement"] = float(losses["agreement"])
        if not math.isfinite(report["loss.total"]):
            raise FloatingPointError(f"the loss is {report['loss.total']} after {self.steps} steps; lower training.lr")
        return report

    def learning_rate(self, fraction_done: float) -> float:
        """Linear warm-up, then linear from `lr` to `final_lr` over the run."""
        config = self.config
        final = config.lr if config.final_lr is None else config.final_lr
        rate = config.lr + (final - config.lr) * min(max(fraction_done, 0.0), 1.0)
        return rate * min(1.0, (self.steps + 1) / (config.warmup_steps + 1))

    def state(self) -> Json:
        """Give optimiser and count as plain data and tensors; the net is saved apart."""
        return {"steps": self.steps, "optimizer": self.optimizer.state_dict()}

    def load_state(self, state: Json) -> None:
        self.steps = int(state["steps"])
        self.optimizer.load_state_dict(state["optimizer"])


def compute_losses(net: Net, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Compute each head's mean loss over the rows that have its target.

    policy: cross-entropy with the search's distribution; value: binary cross-entropy with the expected result;
    score: Huber in units of the board size; ownership: squared error per point. `agreement` is no loss: the share
    of rows where the raw policy's best move is the search's.
    """
    planes_BCSS = batch["planes"].contiguous(memory_format=torch.channels_last)
    out = net(planes_BCSS)
    size = planes_BCSS.shape[-1]
    log_policy_BA = F.log_softmax(out.policy_BA, dim=1)
    policy_B = -(batch["policy"] * log_policy_BA).sum(dim=1)
    value_B = F.binary_cross_entropy_with_logits(out.value_B, batch["value"], reduction="none")
    score_B = F.huber_loss(out.score_B, batch["score"] / size, reduction="none")
    ownership_B = (out.ownership_BSS.flatten(1) - batch["ownership"].flatten(1)).square().mean(dim=1)
    agree_B = (out.policy_BA.detach().argmax(dim=1) == batch["policy"].argmax(dim=1)).float()
    has_policy_B, settled_B = batch["policy_weight"], batch["value_weight"]
    return {
        "policy": _masked_mean(policy_B, has_policy_B),
        "value": _masked_mean(value_B, settled_B),
        "score": _masked_mean(score_B, settled_B),
        "ownership": _masked_mean(ownership_B, settled_B),
        "agreement": _masked_mean(agree_B, has_policy_B),
    }


def _masked_mean(loss_B: Tensor, weight_B: Tensor) -> Tensor:
    """Average over the rows with weight; 0 (with a gradient of 0) when there is none."""
    return (loss_B * weight_B).sum() / weight_B.sum().clamp(min=1e-6)


def _make_optimizer(net: Net, config: TrainConfig) -> torch.optim.Optimizer:
    """Decay only what multiplies: biases and batch-norm parameters are left alone."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0)
    return torch.optim.AdamW(groups, lr=config.lr)


class Averages:
    """Running means of reported losses over the last steps, so that one odd batch is not the final loss."""

    def __init__(self, decay: float = 0.95) -> None:
        self.decay = decay
        self.values: dict[str, float] = {}

    def add(self, report: dict[str, float]) -> None:
        for name, value in report.items():
            before = self.values.get(name, value)
            self.values[name] = self.decay * before + (1 - self.decay) * value


def recalibrate(net: Net, window: Window, *, batch: int, seed: int, steps: int = 8) -> None:
    """Measure batch-norm statistics afresh on the window: running averages lag behind quick training."""
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    device = next(net.parameters()).device
    net.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches that follow
    with torch.no_grad():
        for step in range(steps):
            planes: FloatArray = window.sample(batch, seed, step)["planes"]
            net(torch.from_numpy(np.ascontiguousarray(planes)).to(device).contiguous(memory_format=torch.channels_last))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    net.eval()
