"""From a protocol to an experiment: the static graph of its jobs, their names, and the manifest."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lab.errors import LabError
from lab.fsio import FORMAT
from lab.job import Input, JobSpec, Resources
from lab.refs import ABSENT, Ref, RefError, find, substitute
from lab.sweep import SEED, Arm, arm_slug, arms, project, slugify, sweep_keys
from lab.units import parse_duration, parse_size, utc_now_text

if TYPE_CHECKING:
    from lab.protocol import Protocol, Step
    from lab.tasks import TaskRegistry

MAX_JOBS = 10_000
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True)
class Planned:
    """One job before it has a name. `needs` are indices into the plan, always smaller than its own."""

    step: Step
    coords: dict[str, Any]  # on the step's own dimensions, seed included
    seed: int
    slug: str
    repetition: int  # from 1
    shard: int  # from 0
    needs: tuple[int, ...]
    previous: int | None


def step_dims(steps: Sequence[tuple[str, Sequence[str], Sequence[str]]], keys: Sequence[str]) -> dict[str, list[str]]:
    """The sweep dimensions each step runs over, from (id, needs, gather) in any order; steps in a cycle are left out.

    A step has the dimensions of what it needs (all of them if it needs nothing), less what it gathers.
    """
    everything = [*keys, SEED]
    dims: dict[str, list[str]] = {}
    for step_id in topological(steps):
        _, needs, gather = next(step for step in steps if step[0] == step_id)
        have = {dim for need in needs for dim in dims.get(need, ())} if needs else set(everything)
        dims[step_id] = [dim for dim in everything if dim in have and dim not in gather]
    return dims


def topological(steps: Sequence[tuple[str, Sequence[str], Any]]) -> list[str]:
    """Ids so that each comes after what it needs, otherwise as written; steps in or behind a cycle are left out."""
    ids = [step[0] for step in steps]
    order: list[str] = []
    placed: set[str] = set()
    while True:
        ready = [s[0] for s in steps if s[0] not in placed and all(n in placed or n not in ids for n in s[1])]
        if not ready:
            return order
        order += ready
        placed.update(ready)


def plan(protocol: Protocol) -> list[Planned]:
    """All jobs of a checked protocol in the order they are numbered; LabError above MAX_JOBS."""
    shapes = [(step.id, step.needs, step.gather) for step in protocol.steps]
    dims = step_dims(shapes, sweep_keys(protocol.sweep))
    all_arms = arms(protocol)
    seeds_vary = len({arm.seed for arm in all_arms}) > 1
    jobs: list[Planned] = []
    index = _Index(jobs)
    for step_id in topological(shapes):
        step = protocol.step(step_id)
        for coords in _points(all_arms, dims[step_id]):
            needs = tuple(i for need in step.needs for i in index.find(need, coords))
            named = {key: value for key, value in coords.items() if key != SEED or seeds_vary}
            seed = coords.get(SEED, protocol.seed)
            slug = arm_slug(named, dims[step_id])
            for shard in range(step.shards):
                previous: int | None = None
                for repetition in range(1, step.repeat + 1):
                    after = needs if previous is None else (*needs, previous)
                    jobs.append(Planned(step, coords, seed, slug, repetition, shard, after, previous))
                    previous = len(jobs) - 1
                    if len(jobs) > MAX_JOBS:
                        raise LabError(f"the protocol expands to more than {MAX_JOBS} jobs", "make the sweep smaller")
    return jobs


class _Index:
    """The jobs that a step's name stands for, seen from a point: its last repetition, on shared dimensions."""

    def __init__(self, jobs: Sequence[Planned]) -> None:
        self._jobs = jobs
        self._tables: dict[tuple[str, tuple[str, ...]], dict[str, list[int]]] = {}
        self._ends: dict[str, list[int]] = {}

    def find(self, step_id: str, coords: Mapping[str, Any]) -> list[int]:
        """Indices of jobs of a step that is planned completely."""
        if step_id not in self._ends:
            ends = [i for i, job in enumerate(self._jobs) if job.step.id == step_id]
            self._ends[step_id] = [i for i in ends if self._jobs[i].repetition == self._jobs[i].step.repeat]
        ends = self._ends[step_id]
        shared = tuple(key for key in self._jobs[ends[0]].coords if key in coords) if ends else ()
        if (step_id, shared) not in self._tables:
            table: dict[str, list[int]] = {}
            for i in ends:
                table.setdefault(_key(self._jobs[i].coords, shared), []).append(i)
            self._tables[step_id, shared] = table
        return self._tables[step_id, shared].get(_key(coords, shared), [])


def _key(coords: Mapping[str, Any], dims: Sequence[str]) -> str:
    return json.dumps([coords[dim] for dim in dims], sort_keys=True)


def _points(all_arms: Sequence[Arm], dims: Sequence[str]) -> list[dict[str, Any]]:
    """The arms seen on some dimensions only, each once, in order."""
    seen: dict[str, dict[str, Any]] = {}
    for arm in all_arms:
        point = project(arm, dims)
        seen.setdefault(json.dumps(point, sort_keys=True), point)
    return list(seen.values())


def ancestors(protocol: Protocol, step_id: str) -> set[str]:
    """Every step that must be done before this one."""
    found: set[str] = set()
    todo = list(protocol.step(step_id).needs)
    while todo:
        need = todo.pop()
        if need not in found:
            found.add(need)
            todo += protocol.step(need).needs
    return found


def costs(protocol: Protocol, jobs: Sequence[Planned]) -> dict[str, float]:
    """Upper bounds of one run without retries, in seconds: gpu_time, cpu_time, and wall (the longest chain)."""
    gpu_s = cpu_s = 0.0
    ends: list[float] = []
    for job in jobs:
        resources = protocol.resources_of(job.step)
        gpu_s += resources.gpus * job.step.time_s
        cpu_s += resources.cpus * job.step.time_s
        ends.append(job.step.time_s + max((ends[i] for i in job.needs), default=0.0))
    return {"gpu_time": gpu_s, "cpu_time": cpu_s, "wall": max(ends, default=0.0)}


def new_exp_id(slug: str, choice: Callable[[str], str] = secrets.choice) -> str:
    """A fresh instance's id, `<slug>-<6 of a-z2-7>`; the slug is made from any text."""
    words = slugify(slug)[:40].strip("-") or "experiment"
    return f"{words}-{''.join(choice(ALPHABET) for _ in range(6))}"


def expand(
    protocol: Protocol,
    text: str,
    exp: str,
    code: Mapping[str, Any] | None,
    seq_base: int,
    *,
    registry: TaskRegistry,
    created: str | None = None,
    submitted_by: str = "",
    grace_s: float = 30.0,
    max_losses: int = 3,
    default_retries: int = 2,
    prio: int = 5,
) -> dict[str, Any]:
    """The manifest of instance `exp`. Same arguments, same manifest. `seq_base` is the submit time in milliseconds.

    The protocol must have passed `lab.protocol_check`; `code` is the snapshot's record or None.
    """
    protocol_sha256 = hashlib.sha256(text.encode()).hexdigest()
    code_id = None if code is None else str(code["id"])
    planned = plan(protocol)
    names = [_job_id(job, exp, protocol_sha256, code_id) for job in planned]
    if len(set(names)) != len(names):
        raise LabError(f"two jobs of {exp} came out with one name", "submit again: the names depend on the instance")
    lookup = _Index(planned)
    specs: list[JobSpec] = []
    dependents: dict[int, list[str]] = {}
    for index, job in enumerate(planned):
        step, resources = job.step, protocol.resources_of(job.step)
        for need in job.needs:
            dependents.setdefault(need, []).append(names[index])
        task = registry.get(step.task) if step.task is not None else None
        resolver = _static(job)
        params = substitute(step.with_, resolver)
        argv = list(task.argv) if task is not None else [_text(word) for word in substitute(step.run, resolver)]
        specs.append(
            JobSpec(
                job=names[index],
                exp=exp,
                seq=f"{seq_base:013d}{index:05d}",
                step=step.id,
                task=step.task,
                argv=tuple(argv),
                params=params,
                arm={key: value for key, value in job.coords.items() if key != SEED},
                seed=job.seed,
                repetition=job.repetition,
                shard=job.shard,
                needs=tuple(names[need] for need in job.needs),
                inputs=_inputs(protocol, planned, names, lookup, job, [params, argv]),
                resources=Resources(
                    cpus=resources.cpus,
                    gpus=resources.gpus,
                    gpu_type=resources.gpu_type,
                    memory_bytes=None if resources.memory is None else parse_size(resources.memory),
                    roles=tuple(resources.roles),
                ),
                time_limit_s=parse_duration(step.time),
                grace_s=grace_s,
                max_failures=1 + (default_retries if step.retries is None else step.retries),
                max_losses=max_losses,
                prio=prio,
                code_id=code_id,
                artifacts=tuple(task.artifacts if task is not None else step.artifacts),
                metrics=tuple(task.metrics if task is not None else step.metrics),
            )
        )
    jobs = [replace(spec, dependents=tuple(dependents.get(index, ()))) for index, spec in enumerate(specs)]
    return {
        "format": FORMAT,
        "exp": exp,
        "slug": exp.rpartition("-")[0],
        "title": protocol.title,
        "created": created or utc_now_text(seq_base / 1000),
        "submitted_by": submitted_by,
        "protocol_sha256": protocol_sha256,
        "protocol_text": text,
        "protocol": protocol.to_dict(),
        "code": None if code is None else dict(code),
        "decision": protocol.decision.model_dump(mode="json"),
        "jobs": [json.loads(spec.to_json()) for spec in jobs],
    }


def jobs_of(manifest: Mapping[str, Any], path: str) -> list[JobSpec]:
    """The job specs of a manifest read from `path`; CorruptFile if one is damaged."""
    return [JobSpec.from_dict(job, path) for job in manifest["jobs"]]


def _job_id(job: Planned, exp: str, protocol_sha256: str, code_id: str | None) -> str:
    identity = [protocol_sha256, code_id, exp, job.step.id, job.coords, job.seed, job.repetition, job.shard]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]
    return "-".join(part for part in (job.step.id, job.slug, digest) if part)


def _static(job: Planned) -> Callable[[Ref], Any]:
    known = {
        "seed": job.seed,
        "arm": job.slug,
        "shard": job.shard,
        "shards": job.step.shards,
        "repeat": job.repetition,
    }

    def resolve(ref: Ref) -> Any:
        if ref.kind == "sweep":
            return job.coords[ref.name]
        if ref.kind == "previous":
            return ABSENT if job.previous is None else ref.text
        return known[ref.kind]

    return resolve


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _inputs(
    protocol: Protocol, planned: Sequence[Planned], names: Sequence[str], index: _Index, job: Planned, used: Any
) -> dict[str, Input]:
    """Which jobs the steps named in `used` stand for, seen from `job`."""
    inputs: dict[str, Input] = {}
    for _, ref, _ in find(used):
        if isinstance(ref, RefError) or not ref.runtime or ref.source in inputs:
            continue
        if ref.kind == "previous":
            assert job.previous is not None
            inputs["previous"] = Input((names[job.previous],))
            continue
        found = index.find(ref.step, job.coords)
        gathered = any(dim not in job.coords for i in found[:1] for dim in planned[i].coords)
        inputs[ref.step] = Input(tuple(names[i] for i in found), gathered or protocol.step(ref.step).shards > 1)
    return inputs
