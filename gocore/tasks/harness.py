"""The task side of the contract with a lab: reads the job, reports, checkpoints, turns endings into exit codes.

Environment: LAB_JOB (job.json), LAB_OUT (the only folder written to), LAB_RESUME (a checkpoint, or unset).
Exit codes: 0 done, 2 bad parameters, 75 preempted (a checkpoint is there), 1 failed with the cause on stderr.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gocore.files import append_line, sha256_file, write_atomic, write_json
from gocore.reporting import Preempted
from gocore.tasks.params import show_loc
from gocore.tasks.specs import TASKS, TaskSpec
from gocore.types import Json

EXIT_DONE, EXIT_FAILED, EXIT_BAD_PARAMS, EXIT_PREEMPTED = 0, 1, 2, 75
SUMS = "SUMS.json"
METRICS = "metrics.jsonl"


class BadParams(Exception):
    """Parameters that cannot run; never retried."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class TaskFailure(Exception):
    """A failure whose message says it all: shown without a traceback."""


class StopFlag:
    """Becomes true when somebody asks the process to stop: SIGTERM, or Ctrl-C by hand."""

    def __init__(self) -> None:
        self.set = False

    def install(self) -> StopFlag:
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        return self

    def _stop(self, number: int, frame: object) -> None:
        if self.set and number == signal.SIGINT:  # a second Ctrl-C means now
            raise KeyboardInterrupt
        self.set = True


class Context:
    """What a running task is given: its parameters, its folders, and ways to report."""

    def __init__(
        self,
        *,
        params: Json,
        out: Path,
        resume: Path | None = None,
        seed: int = 0,
        cpus: int = 1,
        job: Json | None = None,
        stop: StopFlag | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.params = params
        self.out = out
        self.seed = seed if params.get("seed") is None else int(params["seed"])
        self.threads = cpus if params.get("threads") is None else int(params["threads"])
        self.job = job or {}
        self.clock = clock
        self._stop = stop or StopFlag()
        self._progress_at: tuple[float, float] | None = None  # (time, done) at the first report: gives the rate
        self._progress_written = -math.inf
        self.artifacts_dir = out / "artifacts"
        self.artifacts_dir.mkdir(parents=True, exist_ok=True)
        self._next_checkpoint = 1
        self._checkpoint_at = clock()
        self.resume = resume
        if resume is not None:
            verify_sums(resume)
            self._next_checkpoint = int(resume.name) + 1 if resume.name.isdigit() else 1
            if (resume / METRICS).exists():  # the curves of the whole run, not of this attempt
                write_atomic(out / METRICS, (resume / METRICS).read_bytes())

    @property
    def preempted(self) -> bool:
        """Whether to checkpoint and leave as soon as possible."""
        return self._stop.set

    def device(self) -> str:
        """Give the device the parameters ask for, "cpu" or "cuda". Raises BadParams where there is none."""
        from gocore.evaluator import pick_device  # here: the harness itself does without torch

        try:
            return pick_device(self.params["device"])
        except ValueError as error:
            raise BadParams([str(error)]) from error

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append one line to metrics.jsonl; what is not finite is left out."""
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        append_line(self.out / METRICS, {"step": step, "time": round(self.clock(), 3), **finite})

    def progress(
        self,
        done: float,
        total: float | None,
        unit: str,
        *,
        message: str | None = None,
        metric: tuple[str, float] | None = None,
    ) -> None:
        """Replace progress.json, at most about once a second; the rate is over this attempt."""
        now = self.clock()
        if self._progress_at is None:
            self._progress_at = (now, done)
        elif now - self._progress_written < 1.0 and (total is None or done < total):
            return
        self._progress_written = now
        began, first = self._progress_at
        rate = (done - first) / (now - began) if now > began and done > first else None
        state: Json = {"done": done, "total": total, "unit": unit, "rate": rate}
        if message:
            state["message"] = message
        if metric is not None and math.isfinite(metric[1]):
            state["metric"] = {"name": metric[0], "value": metric[1]}
        write_json(self.out / "progress.json", state)

    def checkpoint(self, fill: Callable[[Path], None]) -> Path:
        """Publish a checkpoint: `fill` writes files into a new folder, which then gets its sums and its name at once.

        Older checkpoints of this attempt go only after the new one is complete.
        """
        root = self.out / "checkpoint"
        number = self._next_checkpoint
        self._next_checkpoint += 1
        temporary = root / f".tmp-{number}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        fill(temporary)
        if (self.out / METRICS).exists():
            write_atomic(temporary / METRICS, (self.out / METRICS).read_bytes())
        files = {
            path.relative_to(temporary).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
            for path in sorted(temporary.rglob("*"))
            if path.is_file()
        }
        write_json(temporary / SUMS, {"files": files})
        final = root / str(number)
        os.rename(temporary, final)
        for old in root.iterdir():
            if old != final:
                shutil.rmtree(old, ignore_errors=True)
        self._checkpoint_at = self.clock()
        return final

    def checkpoint_due(self, every_s: float) -> bool:
        """Whether the last checkpoint (or the start) is longer ago than that."""
        return self.clock() - self._checkpoint_at >= every_s

    def result(self, result: Json) -> None:
        """Write result.json, the last file of a task that is done."""
        write_json(self.out / "result.json", result)


def verify_sums(folder: Path) -> None:
    """Check a checkpoint folder against its SUMS.json. Raises TaskFailure naming the file."""
    try:
        files = json.loads((folder / SUMS).read_bytes())["files"]
        for name, entry in files.items():
            path = folder / name
            if path.stat().st_size != entry["bytes"] or sha256_file(path) != entry["sha256"]:
                raise TaskFailure(f"{path}: damaged: it is not what {SUMS} beside it says")
    except OSError as error:
        raise TaskFailure(f"{error.filename or folder}: cannot read the checkpoint ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TaskFailure(f"{folder / SUMS}: not a list of checksums ({error})") from error


def read_job(environ: Mapping[str, str]) -> tuple[Json, Path, Path | None]:
    """Read (job.json, LAB_OUT, LAB_RESUME) from the environment. Raises BadParams."""
    missing = [name for name in ("LAB_JOB", "LAB_OUT") if not environ.get(name)]
    if missing:
        hint = 'by hand: LAB_JOB=job.json LAB_OUT=out python -m gocore.tasks NAME, job.json holding {"params": {…}}'
        raise BadParams([f"{' and '.join(missing)} not set; {hint}"])
    path = environ["LAB_JOB"]
    try:
        job = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise BadParams([f"LAB_JOB={path}: cannot be read ({error.strerror})"]) from error
    except ValueError as error:
        raise BadParams([f"LAB_JOB={path}: is not JSON ({error})"]) from error
    if not isinstance(job, dict) or not isinstance(job.get("params", {}), dict):
        raise BadParams([f"LAB_JOB={path}: must be an object with `params`"])
    resume = environ.get("LAB_RESUME")
    return job, Path(environ["LAB_OUT"]), Path(resume) if resume else None


def checked_params(spec: TaskSpec, params: Json) -> Json:
    """Check and fill parameters once more: what runs may not be what was submitted. Raises BadParams."""
    problems = [f"{show_loc(loc)}: {message}" for loc, message in spec.check(params)]
    problems += [f"{where}: the reference {text} was never bound" for where, text in _references(params)]
    if problems:
        raise BadParams(problems)
    return spec.fill(params)


def _references(value: Any, where: str = "") -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [(where, value)] if value.startswith("${") else []
    if isinstance(value, dict):
        return [
            hit for key, item in value.items() for hit in _references(item, f"{where}.{key}" if where else str(key))
        ]
    if isinstance(value, list):
        return [hit for i, item in enumerate(value) for hit in _references(item, f"{where}[{i}]")]
    return []


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Run one task as a command; returns its exit code."""
    # The threads of one torch operation wait for each other by spinning; on a core that another process wants, that
    # wastes whole time slices. A precaution (its gain is not measured); read when torch is loaded, so set before.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    stop = StopFlag().install()  # before the slow imports: a SIGTERM during them must not look like a crash
    if len(argv) != 1 or argv[0] not in TASKS:
        print(f"usage: python -m gocore.tasks NAME, one of {', '.join(TASKS)}", file=sys.stderr)
        return EXIT_BAD_PARAMS
    name = argv[0]
    try:
        job, out, resume = read_job(environ)
        params = checked_params(TASKS[name], job.get("params", {}))
    except BadParams as error:
        for problem in error.problems:
            print(f"{name}: {problem}", file=sys.stderr)
        return EXIT_BAD_PARAMS
    return run_task(name, params, job, out, resume, stop)


def run_task(name: str, params: Json, job: Json, out: Path, resume: Path | None, stop: StopFlag) -> int:
    """Run a task with checked parameters and turn the way it ends into an exit code."""
    import importlib

    module = importlib.import_module(f"gocore.tasks.{name}")
    # These are known only after the import; none of them deserves a traceback.
    from gocore._core import RecordError
    from gocore.checkpoint import CheckpointError
    from gocore.loop import UnhealthyRun

    try:
        cpus = int((job.get("resources") or {}).get("cpus") or os.cpu_count() or 1)
        context = Context(
            params=params, out=out, resume=resume, seed=int(job.get("seed") or 0), cpus=cpus, job=job, stop=stop
        )
        module.run(context)
    except Preempted:
        print(f"{name}: stopped on request; the checkpoint in {out / 'checkpoint'} goes on from here", file=sys.stderr)
        return EXIT_PREEMPTED
    except BadParams as error:
        for problem in error.problems:
            print(f"{name}: {problem}", file=sys.stderr)
        return EXIT_BAD_PARAMS
    except (TaskFailure, CheckpointError, RecordError, UnhealthyRun, FloatingPointError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return EXIT_FAILED
    except OSError as error:
        where = error.filename or out
        hint = "; free some space and retry" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        print(f"{name}: {where}: {error.strerror or error}{hint}", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_DONE
