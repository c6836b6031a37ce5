"""Evaluators: planes in, what the net says out; one interface for the CPU and for CUDA.

An evaluator keeps an inference copy of a net (batch norm folded, channels last) and swaps its weights in place.
Batches are padded to one of at most eight row counts: the kernels a library picks depend on the shape, so shapes
that follow from the number of rows alone keep equal games equal bit for bit.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol

import numpy as np
import torch

from gocore.net import Net, fold
from gocore.types import FloatArray

SHAPES = 8  # different row counts a batch may have


class Evaluation(NamedTuple):
    """The heads' words for a batch, as the search wants them; owned by the caller."""

    policy_BA: FloatArray  # raw logits
    value_B: FloatArray  # expected result of the side to move, 0..1
    score_B: FloatArray  # points, from the side to move
    ownership_BSS: FloatArray  # -1..1, +1 = side to move


class Evaluator(Protocol):
    """What the search asks of a net. `evaluate` may be called from several threads at once."""

    def evaluate(self, planes_BCSS: FloatArray) -> Evaluation: ...

    def load_state(self, net: Net) -> None:
        """Take over the weights of a net of the same config, between two batches."""
        ...


def padded_rows(rows: int, max_batch: int) -> int:
    """Round a row count up to the next of the (at most) `SHAPES` allowed ones."""
    step = -(-max_batch // SHAPES)
    return min(-(-rows // step) * step, max_batch)


class _TorchEvaluator(ABC):
    """What the two evaluators share: the folded net, the swap, splitting of batches that are too long."""

    def __init__(self, net: Net, max_batch: int, device: torch.device, dtype: torch.dtype) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch must be at least 1, not {max_batch}")
        self.config = net.config
        self.max_batch = max_batch
        self.device = device
        self.dtype = dtype
        self._lock = threading.Lock()
        self._net = self._prepare(net)

    def _prepare(self, net: Net) -> Net:
        folded = fold(net).to(device=self.device, dtype=self.dtype)
        return folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def load_state(self, net: Net) -> None:
        if net.config != self.config:
            raise ValueError(f"the new weights are of another net: {net.config} instead of {self.config}")
        prepared = self._prepare(net)
        with self._lock:  # a batch that has begun keeps the weights it began with
            self._net = prepared

    def evaluate(self, planes_BCSS: FloatArray) -> Evaluation:
        rows = len(planes_BCSS)
        if rows <= self.max_batch:
            return self._batch(planes_BCSS)
        parts = [self._batch(planes_BCSS[i : i + self.max_batch]) for i in range(0, rows, self.max_batch)]
        return Evaluation(*(np.concatenate(arrays) for arrays in zip(*parts)))

    @abstractmethod
    def _batch(self, planes_BCSS: FloatArray) -> Evaluation:
        """Evaluate at most `max_batch` rows."""

    def _finish(self, outputs: list[torch.Tensor], rows: int, size: int) -> Evaluation:
        policy_BA, value_B, score_B, ownership_BSS = (t[:rows].float().cpu().numpy() for t in outputs)
        return Evaluation(policy_BA, value_B, score_B * np.float32(size), ownership_BSS)


class CpuEvaluator(_TorchEvaluator):
    """Runs on the calling thread; for two cores call it from two threads with `torch.set_num_threads(1)`."""

    def __init__(self, net: Net, max_batch: int = 64) -> None:
        super().__init__(net, max_batch, torch.device("cpu"), torch.float32)

    def _batch(self, planes_BCSS: FloatArray) -> Evaluation:
        rows, planes, size, _ = planes_BCSS.shape
        padded_BCSS = torch.zeros(padded_rows(rows, self.max_batch), planes, size, size)
        padded_BCSS = padded_BCSS.contiguous(memory_format=torch.channels_last)
        # A copy in any case: the pool's buffer may be read-only and changes after `supply`.
        padded_BCSS.numpy()[:rows] = planes_BCSS
        with self._lock:
            net = self._net
        with torch.inference_mode():
            policy_BA, value_B, score_B, ownership_BSS = net(padded_BCSS)
            return self._finish([policy_BA, torch.sigmoid(value_B), score_B, ownership_BSS], rows, size)


class CudaEvaluator(_TorchEvaluator):
    """Runs in bf16 on a GPU, on a stream per calling thread so that batches of two threads overlap."""

    def __init__(self, net: Net, max_batch: int = 1024, device: str = "cuda") -> None:
        super().__init__(net, max_batch, torch.device(device), torch.bfloat16)
        self._local = threading.local()

    def _buffers(self, planes: int, size: int) -> tuple[torch.Tensor, torch.cuda.Stream]:
        """Give this thread's pinned input buffer and stream."""
        shape = (self.max_batch, planes, size, size)
        if getattr(self._local, "shape", None) != shape:
            self._local.shape = shape
            self._local.pinned_BCSS = torch.zeros(shape, pin_memory=True)
            self._local.stream = torch.cuda.Stream(self.device)
        return self._local.pinned_BCSS, self._local.stream

    def _batch(self, planes_BCSS: FloatArray) -> Evaluation:
        rows, planes, size, _ = planes_BCSS.shape
        pinned_BCSS, stream = self._buffers(planes, size)
        pinned_BCSS.numpy()[:rows] = planes_BCSS
        with self._lock:
            net = self._net
        # The swap ran on the default stream; this batch must not read weights that are still on their way.
        stream.wait_stream(torch.cuda.default_stream(self.device))
        with torch.inference_mode(), torch.cuda.stream(stream):
            on_gpu_BCSS = pinned_BCSS[: padded_rows(rows, self.max_batch)].to(self.device, non_blocking=True)
            on_gpu_BCSS = on_gpu_BCSS.to(self.dtype, memory_format=torch.channels_last)
            policy_BA, value_B, score_B, ownership_BSS = net(on_gpu_BCSS)
            return self._finish([policy_BA, torch.sigmoid(value_B.float()), score_B, ownership_BSS], rows, size)


def pick_device(device: str) -> str:
    """Resolve "auto" to "cuda" where there is one, else "cpu". Raises ValueError if CUDA is asked for in vain."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda was asked for, but torch sees no GPU")
    return device


def make_evaluator(net: Net, *, device: str = "cpu", max_batch: int = 64) -> Evaluator:
    """Build the evaluator for a device: "cpu", "cuda" or "auto"."""
    if pick_device(device) == "cuda":
        return CudaEvaluator(net, max_batch)
    return CpuEvaluator(net, max_batch)
