"""Shards of game records on disk with their manifest, and the window of positions that training samples from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gocore._core import RecordError, Replay, decode_record, read_shard, write_shard
from gocore.files import append_line, link_or_copy, sha256_bytes, sha256_file, write_atomic
from gocore.types import FloatArray, Json, PathLike

MANIFEST = "manifest.jsonl"
_ENTRY = {"path": str, "sha256": str, "games": int, "rows": int, "first_game": int}  # what readers rely on


class ShardWriter:
    """Writes records as shards into a folder; `manifest.jsonl` there has one line for each accepted shard.

    A shard counts from the moment its line is there: a crash in between leaves a file that the next writer replaces.
    """

    def __init__(self, folder: PathLike, games_per_shard: int) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.games_per_shard = games_per_shard
        manifest = self.folder / MANIFEST
        self.entries = read_manifest(self.folder) if manifest.exists() else []
        if manifest.exists() and not (text := manifest.read_bytes()).endswith(b"\n"):
            write_atomic(manifest, text[: text.rfind(b"\n") + 1])  # the next line must not grow out of a torn one
        self._pending: list[bytes] = []

    @property
    def games(self) -> int:
        """Games in accepted shards; those still waiting for their shard do not count."""
        return sum(entry["games"] for entry in self.entries)

    @property
    def rows(self) -> int:
        """Rows with a policy target in accepted shards."""
        return sum(entry["rows"] for entry in self.entries)

    def add(self, records: list[bytes]) -> list[Path]:
        """Take finished games in order of their ids; return the shards that became full."""
        self._pending += records
        paths = []
        while len(self._pending) >= self.games_per_shard:
            paths.append(self._write(self._pending[: self.games_per_shard]))
            self._pending = self._pending[self.games_per_shard :]
        return paths

    def flush(self) -> list[Path]:
        """Write what is left as a shorter shard."""
        if not self._pending:
            return []
        path = self._write(self._pending)
        self._pending = []
        return [path]

    def _write(self, records: list[bytes]) -> Path:
        decoded = [decode_record(record) for record in records]
        data = write_shard(records)
        path = self.folder / f"shard-{self.games:08d}.rec"
        write_atomic(path, data)
        entry = {
            "path": path.name,
            "sha256": sha256_bytes(data),
            "bytes": len(data),
            "games": len(records),
            "rows": sum(1 for game in decoded for policy in game["policy"] if policy is not None),
            "positions": sum(len(game["moves"]) for game in decoded),
            "first_game": int(decoded[0]["game_id"]),
        }
        append_line(self.folder / MANIFEST, entry, sync=True)
        self.entries.append(entry)
        return path


def read_manifest(folder: PathLike) -> list[Json]:
    """List the accepted shards of a folder. Raises RecordError naming the file; a torn last line does not count."""
    path = Path(folder) / MANIFEST
    try:
        text = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path}: cannot read the list of shards ({error.strerror})") from error
    entries = []
    for number, line in enumerate(text.split(b"\n")[:-1], 1):
        try:
            entry = json.loads(line)
            for key, kind in _ENTRY.items():
                if type(entry[key]) is not kind:
                    raise ValueError(f"{key} is {entry[key]!r}")
            if Path(entry["path"]).name != entry["path"]:
                raise ValueError(f"{entry['path']!r} is not in this folder")
            entries.append(entry)
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(f"{path}:{number}: not a shard's entry ({error})") from error
    return entries


def read_verified(folder: PathLike, entry: Json) -> list[bytes]:
    """Read the records of one shard. Raises RecordError with the path when it is missing or damaged."""
    path = Path(folder) / entry["path"]
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path}: cannot read the shard ({error.strerror})") from error
    if sha256_bytes(data) != entry["sha256"]:
        raise RecordError(f"{path}: damaged: its sha256 is not the one in {MANIFEST}")
    try:
        return list(read_shard(data))
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error


def read_games(folder: PathLike) -> Iterator[bytes]:
    """Yield every record of a folder in order of the games."""
    for entry in read_manifest(folder):
        yield from read_verified(folder, entry)


def carry_over(source: PathLike, target: PathLike) -> None:
    """Bring the accepted shards of `source` into the new folder `target`, checked, without a second copy on disk."""
    target = Path(target)
    target.mkdir(parents=True, exist_ok=True)
    for entry in read_manifest(source):
        shard = Path(source) / entry["path"]
        if sha256_file(shard) != entry["sha256"]:
            raise RecordError(f"{shard}: damaged: its sha256 is not the one in {MANIFEST}")
        link_or_copy(shard, target / entry["path"])
        append_line(target / MANIFEST, entry)


def save_records(writer: ShardWriter, folder: Path) -> None:
    """Give the accepted shards a second name in a checkpoint's folder."""
    folder.mkdir(parents=True)
    for entry in writer.entries:
        link_or_copy(writer.folder / entry["path"], folder / entry["path"])
    write_atomic(folder / MANIFEST, (writer.folder / MANIFEST).read_bytes() if writer.entries else b"")


class Window:
    """The newest positions of the records, up to a limit, as training batches; `threads` replay games to them."""

    def __init__(self, size: int, max_positions: int, threads: int = 1) -> None:
        self._replay = Replay(size, max_positions, threads)
        self.rows_added = 0  # rows ever added, those that have left included
        self.games_added = 0

    @property
    def rows(self) -> int:
        return int(self._replay.rows)

    @property
    def positions(self) -> int:
        return int(self._replay.positions)

    def add(self, records: list[bytes], source: str = "record") -> int:
        """Add games; return the rows gained. Raises RecordError naming `source`."""
        gained = 0
        for number, record in enumerate(records):
            try:
                gained += self._replay.add(record)
            except RecordError as error:
                raise RecordError(f"{source}: game {number}: {error}") from error
        self.rows_added += gained
        self.games_added += len(records)
        return gained

    def add_folder(self, folder: PathLike, first: int = 0) -> int:
        """Add the shards of a folder from entry `first` on; return how many entries the folder has."""
        entries = read_manifest(folder)
        for entry in entries[first:]:
            self.add(read_verified(folder, entry), str(Path(folder) / entry["path"]))
        return len(entries)

    def sample(self, batch: int, seed: int, step: int) -> dict[str, FloatArray]:
        """Draw a batch that depends on the window, `seed` and `step` alone; see _core.pyi for the arrays."""
        if self.rows == 0:
            raise ValueError("the replay window has no rows with a policy target")
        return {name: np.asarray(array) for name, array in self._replay.sample(batch, seed, step, True).items()}
