"""Writes that a reader never sees half of, and the checksums of what was written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from gocore.types import PathLike


def write_atomic(path: PathLike, data: bytes) -> None:
    """Replace `path` as a whole: write a dot file beside it, sync, rename. Raises OSError (a full disk, say)."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError:
        temporary.unlink(missing_ok=True)  # on a full disk the half-written file is what fills it
        raise


def json_bytes(data: Any) -> bytes:
    """Encode with sorted keys and a final newline: equal data gives equal bytes. NaN is refused (ValueError)."""
    return (json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def write_json(path: PathLike, data: Any) -> None:
    write_atomic(path, json_bytes(data))


def append_line(path: PathLike, data: dict[str, Any], *, sync: bool = False) -> None:
    """Append one JSON object as one line in one write; `sync` makes it survive a power cut.

    A disk that is full in mid-line takes the first half without an error; that half is taken back (OSError).
    """
    line = (json.dumps(data, sort_keys=True, allow_nan=False) + "\n").encode()
    with open(path, "ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        written = file.write(line)
        if written != len(line):
            file.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path))
        if sync:
            os.fsync(file.fileno())


def sha256_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: PathLike) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def link_or_copy(source: Path, target: Path) -> None:
    """Give an immutable file a second name; a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        write_atomic(target, source.read_bytes())
