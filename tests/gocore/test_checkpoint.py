"""Checkpoints: what is written comes back, and nothing damaged, foreign or newer does."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from nets import tiny_net

from gocore.checkpoint import CheckpointError, load_net, load_state, read_sidecar, save_net, save_state, sidecar_path
from gocore.files import sha256_bytes


def test_round_trip(tmp_path: Path) -> None:
    net = tiny_net()
    path = tmp_path / "net.pt"
    sha = save_net(path, net, step=12, parents=["abc"])
    again, sidecar = load_net(path)
    assert sidecar["sha256"] == sha == sha256_bytes(path.read_bytes())
    assert (sidecar["step"], sidecar["parents"], sidecar["config"]) == (12, ["abc"], net.config.to_json())
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again.state_dict().values()))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.json", "net.pt"]


def test_a_net_for_other_planes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    net = tiny_net()
    save_net(path, net, step=0)
    load_net(path, planes=net.config.planes)
    with pytest.raises(CheckpointError, match=r"net\.pt: takes 17 input planes, but positions are encoded in 18 here"):
        load_net(path, planes=18)


def test_same_net_same_bytes_whatever_the_name(tmp_path: Path) -> None:
    assert save_net(tmp_path / "a.pt", tiny_net(3), step=0) == save_net(tmp_path / "b.pt", tiny_net(3), step=0)


@pytest.mark.parametrize("at", [0, 100, -1])
def test_one_flipped_bit_is_refused_with_the_path(tmp_path: Path, at: int) -> None:
    path = tmp_path / "net.pt"
    save_net(path, tiny_net(), step=0)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"net\.pt: damaged"):
        load_net(path)


def test_missing_and_broken_files(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    with pytest.raises(CheckpointError, match=r"net\.pt: its sidecar net\.json is missing"):
        load_net(path)
    save_net(path, tiny_net(), step=0)
    path.unlink()
    with pytest.raises(CheckpointError, match=r"net\.pt: cannot read"):
        load_net(path)
    for text, why in (("{", "is not JSON"), ("[]", "no sha256"), ('{"sha256": "x", "format": 99}', "newer than 1")):
        sidecar_path(path).write_text(text)
        with pytest.raises(CheckpointError, match=why):
            read_sidecar(path)


def resign(path: Path) -> None:
    """Make the sidecar state the checksum of what is there now, as an attacker would."""
    sidecar = json.loads(sidecar_path(path).read_bytes())
    sidecar["sha256"] = sha256_bytes(path.read_bytes())
    sidecar_path(path).write_text(json.dumps(sidecar))


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("unpickled",))


def test_code_is_never_unpickled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.pt"
    save_net(path, tiny_net(), step=0)
    path.write_bytes(pickle.dumps(Evil()))
    resign(path)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_net(path)
    torch.save({"config": Evil(), "weights": {}}, path)
    resign(path)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_net(path)
    assert "unpickled" not in capsys.readouterr().out


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    net = tiny_net()
    save_state(path, {"config": net.config.to_json(), "weights": {}}, {})
    with pytest.raises(CheckpointError, match="do not fit"):
        load_net(path)
    save_state(path, {"steps": 1}, {})
    assert load_state(path)[0] == {"steps": 1}
    with pytest.raises(CheckpointError, match="not a net"):
        load_net(path)
    with torch.no_grad():
        net.stem.conv.weight[0, 0, 0, 0] = float("nan")
    save_net(path, net, step=0)
    with pytest.raises(CheckpointError, match="not finite"):
        load_net(path)
