"""Results of attempts: committing one, and reading them, which goes only through the tokens in done/."""

from __future__ import annotations

import contextlib
import errno
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab.errors import CorruptFile, NotFound
from lab.fsio import Fs, dump_json, read_json
from lab.paths import LabPaths
from lab.token import Token, parse

OUT = "out"
JOB_FILE = "job.json"
LOG_FILE = "log.txt"
MANIFEST = "manifest.json"
RESULT = "result.json"
TASK_RESULT_LIMIT_BYTES = 16 << 20
_ATTEMPT = re.compile(r"g(0|[1-9][0-9]*)\.(.+)", re.ASCII)


def finish(fs: Fs, attempt: str, record: dict[str, Any], tick: Callable[[], None] | None = None) -> None:
    """Make an attempt's folder complete and durable: hashes, manifest.json, result.json last. OSError: not committed.

    `record` is result.json without `task`, which is what the task itself wrote. Doing it again is harmless.
    """
    names = fs.listdir(attempt)
    files: dict[str, dict[str, Any]] = {}
    folders, found = fs.walk(f"{attempt}/{OUT}")
    for name in [f"{OUT}/{name}" for name in found] + [name for name in (JOB_FILE, LOG_FILE) if name in names]:
        size, sha = fs.digest(f"{attempt}/{name}", tick)
        files[name] = {"bytes": size, "sha256": sha}
    task: Any = {}
    if f"{OUT}/{RESULT}" in files:
        task = _task_result(fs, f"{attempt}/{OUT}/{RESULT}")
    for folder in folders:
        fs.fsync_dir(f"{attempt}/{OUT}/{folder}".rstrip("/"))
    _write_new(fs, attempt, MANIFEST, {"format": 1, "files": files}, names)
    _write_new(fs, attempt, RESULT, {"format": 1, **record, "task": task}, names)
    fs.fsync_dir(attempt)
    fs.fsync_dir(attempt.rpartition("/")[0])


def _task_result(fs: Fs, path: str) -> dict[str, Any]:
    """What the task wrote, which may be anything; CorruptFile unless it is a JSON object without NaN."""
    try:
        value = json.loads(fs.read(path, TASK_RESULT_LIMIT_BYTES), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CorruptFile(path, f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise CorruptFile(path, "not a JSON object")
    return value


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


def _write_new(fs: Fs, folder: str, name: str, value: dict[str, Any], there: list[str]) -> None:
    """Write one file of an attempt; what an earlier, failed try of this same attempt left is replaced."""
    tmp = f"{folder}/.{name}"
    for stale in (tmp, f"{folder}/{name}") if name in there else (tmp,):
        with contextlib.suppress(FileNotFoundError):
            fs.unlink(stale)
    try:
        data = dump_json(value)
    except (ValueError, RecursionError) as error:  # an infinity, half a character, a file name that is no text
        raise CorruptFile(f"{folder}/{name}", f"cannot be written as JSON: {error}") from error
    fs.create(tmp, data)
    try:
        fs.rename(tmp, f"{folder}/{name}")
    except FileNotFoundError:
        if name not in fs.listdir(folder):  # not a lost reply
            raise


@dataclass(frozen=True)
class AcceptedResult:
    """The one accepted attempt of a job. `folder` is its place; nothing outside may be read as its result."""

    job: str
    exp: str
    token: Token
    folder: str
    result: dict[str, Any]
    files: dict[str, dict[str, Any]]

    @property
    def task(self) -> dict[str, Any]:
        """The task's own result.json."""
        return self.result.get("task") or {}

    @property
    def epoch(self) -> int:
        return self.token.g - 1

    def metric(self, name: str) -> Any:
        """A final metric: a number, or the object with its value and uncertainty. NotFound if there is none."""
        metrics = self.task.get("metrics")
        if not isinstance(metrics, dict) or name not in metrics:
            raise NotFound(f"the result of {self.job} has no metric {name}")
        return metrics[name]

    def artifact(self, name: str) -> str:
        """The relative path (below `folder`) of an artifact, a file or a folder. NotFound, or CorruptFile."""
        artifacts = self.task.get("artifacts")
        if not isinstance(artifacts, dict) or not isinstance(artifacts.get(name), str):
            raise NotFound(f"the result of {self.job} has no artifact {name}")
        relative = f"{OUT}/artifacts/{artifacts[name]}".rstrip("/")
        if ".." in relative.split("/"):
            raise CorruptFile(f"{self.folder}/{RESULT}", f"artifact {name} points outside its folder")
        if not self.members(relative):
            raise CorruptFile(f"{self.folder}/{MANIFEST}", f"artifact {name} ({relative}) is not in it")
        return relative

    def members(self, relative: str) -> list[str]:
        """The files in the manifest that are `relative` or below it."""
        return [name for name in self.files if name == relative or name.startswith(relative + "/")]

    def verify(self, fs: Fs, relative: str | None = None) -> None:
        """Compare sizes and sha256 with the manifest; CorruptFile names the first file that differs."""
        for name in self.files if relative is None else self.members(relative):
            path, entry = f"{self.folder}/{name}", self.files[name]
            try:
                size, sha = fs.digest(path)
            except FileNotFoundError as error:
                raise CorruptFile(path, "missing, though it was part of an accepted result") from error
            if size != entry.get("bytes") or sha != entry.get("sha256"):
                raise CorruptFile(path, f"sha256 {sha[:12]}… is not that of its manifest")


def _load(fs: Fs, paths: LabPaths, exp: str, token: Token) -> AcceptedResult:
    if token.inc is None:
        raise CorruptFile(f"{paths.done(exp)}/{token.name}", "a done token without an incarnation")
    folder = paths.attempt(exp, token.job, token.g - 1, token.inc)
    try:
        manifest = read_json(fs, f"{folder}/{MANIFEST}")
        result = read_json(fs, f"{folder}/{RESULT}")
    except FileNotFoundError as error:
        raise CorruptFile(str(error.filename or folder), "missing, though its job is done") from error
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(isinstance(entry, dict) for entry in files.values()):
        raise CorruptFile(f"{folder}/{MANIFEST}", "no table of files")
    if (result.get("job"), result.get("exp"), result.get("epoch")) != (token.job, exp, token.g - 1):
        raise CorruptFile(f"{folder}/{RESULT}", "the result of another attempt")
    return AcceptedResult(token.job, exp, token, folder, result, files)


def accepted(fs: Fs, paths: LabPaths, exp: str) -> dict[str, AcceptedResult]:
    """Every accepted result of an experiment by job. CorruptFile names a damaged one."""
    found: dict[str, AcceptedResult] = {}
    for name in sorted(fs.listdir(paths.done(exp))):
        token = parse(name)
        if token is not None:
            found[token.job] = _load(fs, paths, exp, token)
    return found


def accepted_result(fs: Fs, paths: LabPaths, exp: str, job: str) -> AcceptedResult:
    """The accepted result of one job; NotFound while there is none."""
    for name in fs.listdir(paths.done(exp)):
        token = parse(name)
        if token is not None and token.job == job:
            return _load(fs, paths, exp, token)
    raise NotFound(f"job {job} has no accepted result")


def attempts(fs: Fs, paths: LabPaths, exp: str, job: str) -> list[tuple[int, str, str]]:
    """Every attempt there was, oldest first: epoch, incarnation, folder. For logs, never for results."""
    try:
        names = fs.listdir(paths.result_job(exp, job))
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        match = _ATTEMPT.fullmatch(name)
        if match:
            found.append((int(match[1]), match[2], f"{paths.result_job(exp, job)}/{name}"))
    return sorted(found)


def newest_checkpoint(
    fs: Fs, paths: LabPaths, exp: str, job: str, complain: Callable[[str], None] | None = None
) -> str | None:
    """The folder of the newest complete checkpoint of any attempt whose sums are right, or None."""
    candidates: list[tuple[int, int, str]] = []
    for epoch, _, folder in attempts(fs, paths, exp, job):
        root = f"{folder}/{OUT}/checkpoint"
        try:
            names = fs.listdir(root)
        except (FileNotFoundError, NotADirectoryError):
            continue
        candidates += [(int(name), epoch, f"{root}/{name}") for name in names if name.isascii() and name.isdigit()]
    for _, _, folder in sorted(candidates, reverse=True):
        try:
            _check_sums(fs, folder)
            return folder
        except CorruptFile as error:
            if complain is not None:
                complain(str(error))
    return None


def _check_sums(fs: Fs, folder: str) -> None:
    path = f"{folder}/SUMS.json"
    try:
        sums = json.loads(fs.read(path))
        wanted = sums["files"]
        for name, entry in wanted.items():
            if name.startswith("/") or ".." in name.split("/"):
                raise CorruptFile(path, f"names {name!r}, outside its folder")
            if fs.digest(f"{folder}/{name}") != (entry["bytes"], entry["sha256"]):
                raise CorruptFile(f"{folder}/{name}", "its sha256 is not that of SUMS.json")
    except FileNotFoundError as error:
        raise CorruptFile(path, "the checkpoint is not complete") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFile(path, f"not a table of sums: {error}") from error
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EFBIG, errno.EISDIR, errno.ENOTDIR, errno.ELOOP):
            raise CorruptFile(path, error.strerror or "unreadable") from error
        raise
