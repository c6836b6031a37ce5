"""GPUs: what nvidia-smi says, the choice, and one lock per GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.gpus import Gpu, GpuPool, choose, parse_csv, probe

CSV = "0, NVIDIA H100 80GB HBM3, 97, 40123, 81559, 61\nwarning: something\n1, NVIDIA H100, [N/A], 0, 81559, [N/A]\n"
CARDS = [Gpu(0, "A"), Gpu(1, "A"), Gpu(2, "A")]


def test_csv_of_nvidia_smi() -> None:
    one, two = parse_csv(CSV)
    assert (one.index, one.util_pct, one.mem_total_bytes, one.temp_c) == (0, 97, 81559 << 20, 61)
    assert (two.index, two.util_pct, two.mem_used_bytes, two.temp_c) == (1, None, 0, None)


def test_a_host_without_nvidia_smi_has_no_gpus() -> None:
    assert probe(["/no/such/nvidia-smi"]) == []
    assert probe(["false"]) == []


def test_the_choice() -> None:
    assert choose(CARDS, None) == CARDS
    assert choose(CARDS, "none") == []
    assert [gpu.index for gpu in choose(CARDS, "0,2")] == [0, 2]
    for wrong in ("7", "a", "0,,1"):
        with pytest.raises(ValueError, match=r"GPU|indices"):
            choose(CARDS, wrong)


def test_all_or_none_and_a_lock_per_gpu(tmp_path: Path) -> None:
    one, two = GpuPool(CARDS, str(tmp_path)), GpuPool(CARDS, str(tmp_path))
    assert one.acquire("a", 2) == [0, 1]
    assert two.acquire("b", 2) is None
    assert two.acquire("b", 1) == [2]
    assert one.acquire("c", 1) is None
    one.release("a")
    assert two.acquire("d", 2) == [0, 1]
    assert (one.free(), two.free()) == (3, 0)


def test_the_lock_lives_as_long_as_its_last_user(tmp_path: Path) -> None:
    pool, other = GpuPool(CARDS[:1], str(tmp_path)), GpuPool(CARDS[:1], str(tmp_path))
    assert pool.acquire("a", 1) == [0]
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=pool.fds("a"))
    pool.release("a")
    assert other.acquire("b", 1) is None, "the child still has the descriptor"
    child.communicate(b"\n")
    assert other.acquire("b", 1) == [0]


def test_figures_are_taken_up_without_waiting(tmp_path: Path) -> None:
    pool = GpuPool(CARDS[:1], str(tmp_path))
    command = [sys.executable, "-c", "print('0, A, 50, 1, 2, 33')"]
    pool.refresh(command)
    assert pool._probe is not None
    os.waitid(os.P_PID, pool._probe.pid, os.WEXITED | os.WNOWAIT)
    pool.refresh(command)
    assert pool.json({})[0]["util_pct"] == 50
    pool._probe.wait()
    pool._probe.stdout.close()  # type: ignore[union-attr]
