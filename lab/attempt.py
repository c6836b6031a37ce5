"""One attempt of a job: bind its parameters, make its folder, its environment and its record."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from typing import Any

from lab import refs, results
from lab.errors import CorruptFile, LabError
from lab.executors import Exit, Launch
from lab.fsio import dump_json, ensure_dir
from lab.job import JobSpec
from lab.queue import Queue
from lab.token import Token
from lab.units import utc_now_text

# A task sees these of the worker's environment and nothing else: no credentials reach an experiment.
PASSED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
SITE_HOOK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sitehook")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Unbindable(LabError):
    """A reference that can never be bound: the accepted result it names lacks the artifact or metric."""


class Bound:
    """A job's parameters and command with every reference resolved from accepted results."""

    def __init__(self, queue: Queue, spec: JobSpec) -> None:
        self._queue, self._spec = queue, spec
        self._results: dict[str, results.AcceptedResult] = {}
        self.inputs: list[dict[str, str]] = []
        try:
            self.params: dict[str, Any] = refs.bind(spec.params, self._resolve)
            self.argv: list[str] = refs.bind_argv(spec.argv, self._resolve)
        except (refs.RefError, LabError) as error:
            if isinstance(error, CorruptFile):
                raise
            raise Unbindable(f"cannot bind the parameters of {spec.job}: {error}") from error

    def _resolve(self, ref: refs.Ref) -> Any:
        source = self._spec.inputs.get(ref.source)
        if source is None:
            raise refs.RefError(f"{ref.text} names no input of this job")
        values = [self._value(job, ref) for job in source.jobs]
        return values if source.many else values[0]

    def _value(self, job: str, ref: refs.Ref) -> Any:
        fs, paths = self._queue.fs, self._queue.paths
        result = self._results.get(job)
        if result is None:
            result = self._results[job] = results.accepted_result(fs, paths, self._spec.exp, job)
        if ref.what == "metrics":
            value = result.metric(ref.name)
            return value.get("value") if isinstance(value, dict) else value
        relative = result.artifact(ref.name)
        result.verify(fs, relative)
        path = f"{result.folder}/{relative}"
        self.inputs.append({"ref": ref.text, "job": job, "path": path})
        return path


def prepare(
    queue: Queue,
    spec: JobSpec,
    token: Token,
    *,
    gpus: list[int],
    lock_fds: tuple[int, ...] = (),
    code_dir: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Launch:
    """Make the attempt's folder and everything that starts it. OSError, CorruptFile or Unbindable."""
    assert token.inc is not None
    fs, paths = queue.fs, queue.paths
    folder = paths.attempt(spec.exp, spec.job, token.g, token.inc)
    bound = Bound(queue, spec)
    resume = results.newest_checkpoint(fs, paths, spec.exp, spec.job, queue.log)
    out = f"{folder}/{results.OUT}"
    ensure_dir(fs, out)
    resources = {
        "cpus": spec.resources.cpus,
        "gpus": gpus,
        "gpu_type": spec.resources.gpu_type,
        "memory_bytes": spec.resources.memory_bytes,
    }
    job = {
        "format": 1,
        "exp": spec.exp,
        "job": spec.job,
        "step": spec.step,
        "task": spec.task,
        "params": bound.params,
        "inputs": bound.inputs,
        "arm": spec.arm,
        "seed": spec.seed,
        "epoch": token.g,
        "time_limit_s": spec.time_limit_s,
        "resources": resources,
    }
    fs.create(f"{folder}/{results.JOB_FILE}", dump_json(job))
    code = code_dir or paths.root
    argv = [word.replace("{python}", sys.executable).replace("{code}", code) for word in bound.argv]
    source = os.environ if environ is None else environ
    env = {name: source[name] for name in PASSED if name in source}
    env.setdefault("PATH", os.defpath)
    env.setdefault("LANG", "C.UTF-8")
    threads = str(max(1, spec.resources.cpus))
    env |= {name: threads for name in THREADS}
    env |= {
        "LAB_JOB": f"{folder}/{results.JOB_FILE}",
        "LAB_OUT": out,
        "LAB_EPOCH": str(token.g),
        "CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus)),
        "PYTHONUNBUFFERED": "1",
    }
    if resume is not None:
        env["LAB_RESUME"] = resume
    if code_dir is not None:
        env["PYTHONPATH"] = os.pathsep.join((code_dir, SITE_HOOK))
    return Launch(
        key=token.name,
        argv=argv,
        env=env,
        cwd=out,
        attempt_dir=folder,
        grace_s=spec.grace_s,
        lock_fds=lock_fds,
    )


def record(
    spec: JobSpec,
    token: Token,
    exit_: Exit,
    *,
    argv: list[str],
    gpus: list[int],
    code: Mapping[str, Any] | None,
    provenance: Mapping[str, Any],
    host: str | None = None,
) -> dict[str, Any]:
    """What result.json says besides what the task wrote."""
    return {
        "job": spec.job,
        "exp": spec.exp,
        "epoch": token.g,
        "inc": token.inc,
        "host": host or socket.gethostname(),
        "exit": exit_.code,
        "started": utc_now_text(exit_.started),
        "finished": utc_now_text(exit_.finished),
        "wall_s": round(exit_.wall_s, 3),
        "cpu_s": round(exit_.cpu_s, 3),
        "max_rss_bytes": exit_.max_rss_bytes,
        "gpus": gpus,
        "argv": argv,
        "code": code,
        **provenance,
    }
