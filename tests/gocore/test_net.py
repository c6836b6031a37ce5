"""The net: shapes, folding, seeds, symmetry of its configuration checks."""

from __future__ import annotations

import pytest
import torch
from nets import tiny_net

from gocore._core import NUM_PLANES
from gocore.net import NetConfig, fold, make_net


@pytest.mark.parametrize("size", [2, 7, 19])
def test_shapes_on_every_board(size: int) -> None:
    out = tiny_net(size=size).eval()(torch.zeros(3, NUM_PLANES, size, size))
    assert out.policy_BA.shape == (3, size * size + 1)
    assert out.value_B.shape == out.score_B.shape == (3,)
    assert out.ownership_BSS.shape == (3, size, size)


def test_fold_is_the_same_function() -> None:
    net = tiny_net()
    torch.manual_seed(0)
    for _ in range(5):  # give the batch norms statistics that matter
        net.train()(torch.randn(32, NUM_PLANES, 5, 5) * 3 + 1)
    net.eval()
    planes = torch.randn(8, NUM_PLANES, 5, 5)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with torch.no_grad():
        for mine, folded in zip(net(planes), fold(net)(planes)):
            torch.testing.assert_close(mine, folded, rtol=1e-4, atol=1e-5)
    assert not any("bn" in name for name in fold(net).state_dict())
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_seed_decides_the_weights_and_leaves_the_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = tiny_net(1), tiny_net(1), tiny_net(2)
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values()))
    assert not torch.equal(first.stem.conv.weight, other.stem.conv.weight)


def test_untrained_net_has_no_opinion() -> None:
    out = fold(tiny_net())(torch.rand(16, NUM_PLANES, 5, 5))
    assert float((torch.sigmoid(out.value_B) - 0.5).abs().max()) < 0.1
    assert float(torch.softmax(out.policy_BA, dim=1).max()) < 0.2


def test_config_is_checked() -> None:
    config = NetConfig(size=7, planes=4)
    assert NetConfig.from_json(config.to_json()) == config
    with pytest.raises(ValueError, match=r"net\.blocks must be an integer from 1 to 40, not 0"):
        NetConfig(planes=4, blocks=0)
    with pytest.raises(ValueError, match=r"unknown net settings \['width'\]"):
        NetConfig.from_json({"planes": 4, "width": 3})
    with pytest.raises(ValueError, match="planes"):
        NetConfig.from_json({})
    assert sum(p.numel() for p in make_net(config, 0).parameters()) > 1000
