"""The CPU evaluator: same answers as the net, padding and splitting that nobody sees, weights swapped in place."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from nets import tiny_net

from gocore import Game
from gocore._core import NUM_PLANES, encode
from gocore.evaluator import CpuEvaluator, make_evaluator, padded_rows, pick_device
from gocore.net import NetConfig, make_net


def planes(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((rows, NUM_PLANES, 5, 5), dtype=np.float32)


def test_says_what_the_net_says() -> None:
    net = tiny_net().eval()
    some = planes(9)
    seen = CpuEvaluator(net, 16).evaluate(some)
    with torch.no_grad():
        out = net(torch.from_numpy(some))
    np.testing.assert_allclose(seen.policy_BA, out.policy_BA.numpy(), atol=1e-5)
    np.testing.assert_allclose(seen.value_B, torch.sigmoid(out.value_B).numpy(), atol=1e-5)
    np.testing.assert_allclose(seen.score_B, out.score_B.numpy() * 5, atol=1e-4)
    np.testing.assert_allclose(seen.ownership_BSS, out.ownership_BSS.numpy(), atol=1e-5)
    assert seen.policy_BA.dtype == np.float32 and seen.value_B.shape == (9,)


def test_a_batch_of_any_length() -> None:
    evaluator = CpuEvaluator(tiny_net(), 16)
    some = planes(40)
    whole = evaluator.evaluate(some)
    for rows in (1, 7, 16, 17, 40):
        np.testing.assert_allclose(evaluator.evaluate(some[:rows]).policy_BA, whole.policy_BA[:rows], atol=1e-5)


def test_few_shapes() -> None:
    for max_batch in (1, 5, 64, 100):
        shapes = {padded_rows(rows, max_batch) for rows in range(1, max_batch + 1)}
        assert len(shapes) <= 8 and max(shapes) == max_batch
        assert all(padded_rows(rows, max_batch) >= rows for rows in range(1, max_batch + 1))


def test_swap_of_weights() -> None:
    first, second = tiny_net(1), tiny_net(2)
    evaluator = CpuEvaluator(first, 16)
    some = planes(4)
    evaluator.load_state(second)
    assert np.array_equal(evaluator.evaluate(some).policy_BA, CpuEvaluator(second, 16).evaluate(some).policy_BA)
    with pytest.raises(ValueError, match="another net"):
        evaluator.load_state(make_net(NetConfig(planes=NUM_PLANES), 0))


def test_parallel_callers_get_their_own_answers() -> None:
    evaluator = CpuEvaluator(tiny_net(), 16)
    batches = [planes(12, seed) for seed in range(16)]
    alone = [evaluator.evaluate(batch).policy_BA for batch in batches]
    with ThreadPoolExecutor(4) as executor:
        together = [seen.policy_BA for seen in executor.map(evaluator.evaluate, batches)]
    assert all(np.array_equal(a, b) for a, b in zip(alone, together))


def test_takes_what_the_encoder_gives() -> None:
    game = Game(5)
    game.play("C3")
    seen = make_evaluator(tiny_net(), max_batch=4).evaluate(encode(game)[None])
    assert seen.policy_BA.shape == (1, 26) and np.isfinite(seen.policy_BA).all()


def test_devices() -> None:
    assert pick_device("cpu") == "cpu"
    if torch.cuda.is_available():
        assert pick_device("auto") == "cuda"
    else:
        assert pick_device("auto") == "cpu"
        with pytest.raises(ValueError, match="no GPU"):
            pick_device("cuda")
