"""The residual network with global pooling and its four heads.

The trunk is convolutional and the heads pool over the board, so the same weights fit every board size. For
inference `fold` merges each batch norm into the convolution before it: same function, fewer passes over memory.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BN_EPS = 1e-5


@dataclass(frozen=True, kw_only=True)
class NetConfig:
    """The shape of a net; everything that is needed to build it again."""

    size: int = 9  # board size it is meant for, 2..19 (the weights do not depend on it)
    planes: int  # input planes, `gocore._core.NUM_PLANES`
    blocks: int = 3  # residual blocks, 1..40
    channels: int = 32  # trunk width, 8..512
    gpool_every: int = 2  # each n-th block feeds a pooled summary of the whole board back to every point
    head_channels: int = 16  # width of the policy and value heads before their last layer
    value_hidden: int = 32  # hidden units of the value and score head

    def __post_init__(self) -> None:
        bounds = {
            "size": (2, 19),
            "planes": (1, 256),
            "blocks": (1, 40),
            "channels": (8, 512),
            "gpool_every": (1, 40),
            "head_channels": (1, 512),
            "value_hidden": (1, 1024),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ValueError(f"net.{name} must be an integer from {low} to {high}, not {value!r}")

    def to_json(self) -> dict[str, int]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> NetConfig:
        """Build from a dict; unknown or missing keys raise ValueError."""
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(data) - known):
            raise ValueError(f"unknown net settings {unknown}; known are {sorted(known)}")
        if "planes" not in data:
            raise ValueError("net setting `planes` is missing")
        return cls(**data)


class NetOutput(NamedTuple):
    """What the heads say for a batch; all raw, so that losses can be computed stably."""

    policy_BA: Tensor  # logits, the last one is the pass
    value_B: Tensor  # logit of the expected result of the side to move
    score_B: Tensor  # points of the side to move minus the other's, divided by the board size
    ownership_BSS: Tensor  # -1..1, +1 = side to move


def pool_board(x_BKSS: Tensor) -> Tensor:
    """Summarise the whole board per channel: [B, 2K], mean then maximum."""
    return torch.cat([x_BKSS.mean(dim=(2, 3)), x_BKSS.amax(dim=(2, 3))], dim=1)


class ConvBn(nn.Module):
    """A convolution without bias followed by a batch norm: the unit that `fold` merges."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(outputs, eps=BN_EPS)

    def forward(self, x_BKSS: Tensor) -> Tensor:
        y_BKSS: Tensor = self.bn(self.conv(x_BKSS))
        return y_BKSS

    def fold(self) -> None:
        """Merge the batch norm's running statistics into the convolution, in place."""
        bn = self.bn
        if not isinstance(bn, nn.BatchNorm2d):
            return
        assert bn.running_mean is not None and bn.running_var is not None
        with torch.no_grad():
            scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
            self.conv.weight.mul_(scale[:, None, None, None])
            self.conv.bias = nn.Parameter(bn.bias - bn.running_mean * scale)
        self.bn = nn.Identity()


class Block(nn.Module):
    """A residual block; with `gpool` its middle gets a bias per channel from a summary of the whole board."""

    def __init__(self, channels: int, gpool: bool) -> None:
        super().__init__()
        self.first = ConvBn(channels, channels, 3)
        self.second = ConvBn(channels, channels, 3)
        self.gpool = nn.Linear(2 * channels, channels) if gpool else None

    def forward(self, x_BKSS: Tensor) -> Tensor:
        y_BKSS = F.relu(self.first(x_BKSS))
        if self.gpool is not None:
            y_BKSS = y_BKSS + self.gpool(pool_board(y_BKSS))[:, :, None, None]
        return F.relu(x_BKSS + self.second(y_BKSS))


class Net(nn.Module):
    """Residual trunk with the heads policy (+pass), expected result, score and ownership."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        head = config.head_channels
        self.stem = ConvBn(config.planes, config.channels, 3)
        self.blocks = nn.ModuleList(
            Block(config.channels, gpool=i % config.gpool_every == config.gpool_every - 1) for i in range(config.blocks)
        )
        # Both heads read one 1x1 convolution: the first half is the policy's, the second the value's.
        self.heads = ConvBn(config.channels, 2 * head, 1)
        self.policy_gpool = nn.Linear(2 * head, head)
        self.policy_point = nn.Conv2d(head, 1, 1, bias=False)
        self.policy_pass = nn.Linear(2 * head, 1)
        self.ownership = nn.Conv2d(head, 1, 1)
        self.value_hidden = nn.Linear(2 * head, config.value_hidden)
        self.value_score = nn.Linear(config.value_hidden, 2)
        # An untrained net should have no opinion: it starts near uniform moves and an even game.
        for last in (self.policy_point, self.policy_pass, self.value_score, self.ownership):
            nn.init.normal_(last.weight, std=0.05 / head**0.5)
            if last.bias is not None:
                nn.init.zeros_(last.bias)
        # Residual branches start small, so that depth does not blow up the first steps.
        for block in self.blocks:
            assert isinstance(block, Block) and isinstance(block.second.bn, nn.BatchNorm2d)
            nn.init.constant_(block.second.bn.weight, 0.5)

    def forward(self, planes_BCSS: Tensor) -> NetOutput:
        x_BKSS = F.relu(self.stem(planes_BCSS))
        for block in self.blocks:
            x_BKSS = block(x_BKSS)
        heads_BKSS = F.relu(self.heads(x_BKSS))
        policy_BKSS, value_BKSS = heads_BKSS.chunk(2, dim=1)

        pooled_BK = pool_board(policy_BKSS)
        policy_BKSS = F.relu(policy_BKSS + self.policy_gpool(pooled_BK)[:, :, None, None])
        policy_BA = torch.cat([self.policy_point(policy_BKSS).flatten(1), self.policy_pass(pooled_BK)], dim=1)

        ownership_BSS = torch.tanh(self.ownership(value_BKSS)[:, 0])
        value_score_B2 = self.value_score(F.relu(self.value_hidden(pool_board(value_BKSS))))
        return NetOutput(policy_BA, value_score_B2[:, 0], value_score_B2[:, 1], ownership_BSS)


def make_net(config: NetConfig, seed: int) -> Net:
    """Build an untrained net whose weights depend on the seed alone."""
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    try:
        return Net(config)
    finally:
        torch.random.set_rng_state(state)


def fold(net: Net) -> Net:
    """Copy a net for inference: evaluation mode, no gradients, every batch norm merged into its convolution."""
    folded = copy.deepcopy(net).eval().requires_grad_(False)
    for module in folded.modules():
        if isinstance(module, ConvBn):
            module.fold()
    return folded.requires_grad_(False)
