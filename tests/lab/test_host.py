"""Capacity, local folders, the one-daemon lock and provenance."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab import host
from lab.errors import LeaseError
from lab.gpus import Gpu
from lab.token import is_inc


def test_one_daemon_per_lab_and_name(tmp_path: Path) -> None:
    first = host.DaemonLock(str(tmp_path), "0123")
    with pytest.raises(LeaseError, match="already runs on this host"):
        host.DaemonLock(str(tmp_path), "0123")
    host.DaemonLock(str(tmp_path), "0123", "second").close()
    host.DaemonLock(str(tmp_path), "other").close()
    first.close()
    host.DaemonLock(str(tmp_path), "0123").close()


def test_local_folder_is_private_and_configurable(tmp_path: Path) -> None:
    path = host.local_dir({"GOLAB_LOCAL": str(tmp_path / "x")})
    assert Path(path).stat().st_mode & 0o777 == 0o700
    assert host.local_dir({"XDG_RUNTIME_DIR": str(tmp_path)}) == host.local_dir({})
    assert host.cache_dir({"GOLAB_CACHE": "/c"}) == "/c"
    assert host.cache_dir({"HOME": "/h"}) == "/h/.cache/golab"


def test_incarnations_are_new_each_time() -> None:
    assert is_inc(host.fresh_inc("My Host.example"))
    assert host.fresh_inc("a") != host.fresh_inc("a")


def test_classes_by_capacity() -> None:
    assert host.Capacity(4).classes() == ["cpu"]
    assert host.Capacity(4, gpus=1).classes() == ["gpu1", "cpu"]
    assert host.Capacity(4, gpus=8).classes() == ["gpuN", "gpu1", "cpu"]
    assert [host.job_class(count) for count in (0, 1, 2)] == ["cpu", "gpu1", "gpuN"]


def test_info_and_provenance_are_json() -> None:
    info = host.info("h-0000000000000000", "2026-11-23T00:00:00Z", host.Capacity(4), [Gpu(0, "A")])
    assert json.loads(json.dumps(info))["cpus"] == 4
    provenance = host.provenance()
    assert provenance["versions"]["python"] and provenance["platform"]  # type: ignore[index]
