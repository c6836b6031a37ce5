"""Checkpoints: `NAME.pt` with the weights and `NAME.json` beside it with config, checksum and parents.

Nothing is unpickled that is not plain data (`weights_only`), and nothing is loaded whose bytes do not have the
checksum that the sidecar states.
"""

from __future__ import annotations

import io
import json
import platform
from pathlib import Path
from typing import Any

import torch

from gocore.files import sha256_bytes, write_atomic, write_json
from gocore.net import Net, NetConfig
from gocore.types import Json, PathLike

FORMAT = 1


class CheckpointError(Exception):
    """A checkpoint that cannot be used; the message names the file and the reason."""

    def __init__(self, path: PathLike, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = str(path)
        self.why = why


def sidecar_path(path: PathLike) -> Path:
    return Path(path).with_suffix(".json")


def versions() -> dict[str, str]:
    """Name the software a result depends on."""
    return {"python": platform.python_version(), "torch": str(torch.__version__)}


def save_state(path: PathLike, state: Json, sidecar: Json) -> str:
    """Write `state` (tensors and plain data) and its sidecar; return the sha256 of the .pt file.

    The .pt file comes first: a sidecar without its file, or with an older one, fails the checksum when loaded.
    """
    buffer = io.BytesIO()  # by way of memory: torch writes the file's own name into the archive otherwise
    torch.save(state, buffer)
    data = buffer.getvalue()
    sha256 = sha256_bytes(data)
    write_atomic(path, data)
    full = {**sidecar, "format": FORMAT, "sha256": sha256, "bytes": len(data), "versions": versions()}
    write_json(sidecar_path(path), full)
    return sha256


def load_state(path: PathLike) -> tuple[Json, Json]:
    """Read (state, sidecar) back. Raises CheckpointError for anything missing, damaged or too new."""
    sidecar = read_sidecar(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise CheckpointError(path, f"cannot read the checkpoint ({error.strerror})") from error
    if sha256_bytes(data) != sidecar["sha256"]:
        raise CheckpointError(path, "damaged: its sha256 is not the one in its sidecar")
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds; the cause is kept, the message stays one line
        raise CheckpointError(path, f"not a checkpoint ({type(error).__name__})") from error
    if not isinstance(state, dict):
        raise CheckpointError(path, f"not a checkpoint (holds a {type(state).__name__})")
    return state, sidecar


def read_sidecar(path: PathLike) -> Json:
    """Read only the sidecar of a checkpoint: config, sha256, parents, step, versions."""
    side = sidecar_path(path)
    try:
        sidecar = json.loads(side.read_bytes())
    except FileNotFoundError as error:
        raise CheckpointError(path, f"its sidecar {side.name} is missing: a checkpoint is the two files") from error
    except OSError as error:
        raise CheckpointError(path, f"cannot read its sidecar {side.name} ({error.strerror})") from error
    except ValueError as error:
        raise CheckpointError(path, f"its sidecar {side.name} is not JSON") from error
    if not isinstance(sidecar, dict) or not isinstance(sidecar.get("sha256"), str):
        raise CheckpointError(path, f"its sidecar {side.name} states no sha256")
    if not isinstance(sidecar.get("format"), int) or sidecar["format"] > FORMAT:
        raise CheckpointError(path, f"format {sidecar.get('format')!r} is newer than {FORMAT}, the one known here")
    return sidecar


def save_net(path: PathLike, net: Net, *, step: int, parents: list[str] | None = None, info: Json | None = None) -> str:
    """Write the weights of a net. `parents` are the sha256 of the checkpoints it was trained from; return its own."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    state = {"config": net.config.to_json(), "weights": weights}
    sidecar = {"kind": "net", "config": net.config.to_json(), "step": step, "parents": parents or [], **(info or {})}
    return save_state(path, state, sidecar)


def load_net(path: PathLike, *, planes: int | None = None) -> tuple[Net, Json]:
    """Read a net back, with its sidecar. Raises CheckpointError; also if it does not take `planes` input planes."""
    state, sidecar = load_state(path)
    if set(state) != {"config", "weights"}:
        raise CheckpointError(path, "not a net (a training state?)")
    try:
        config = NetConfig.from_json(_plain(state["config"]))
        net = Net(config)
        net.load_state_dict(state["weights"])
    except (ValueError, TypeError, RuntimeError) as error:
        raise CheckpointError(path, f"weights and config do not fit together ({_first_line(error)})") from error
    if planes is not None and config.planes != planes:
        raise CheckpointError(path, f"takes {config.planes} input planes, but positions are encoded in {planes} here")
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(path, f"weights {name!r} are not finite")
    return net, sidecar


def _plain(config: Any) -> Json:
    if not isinstance(config, dict):
        raise TypeError("the config is not a table")
    return config


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
