"""What a protocol means, checked on plain data so that one bad value does not hide the other mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from lab.conditions import ConditionError, parse_condition, parse_metric
from lab.errors import LabError, NotFound, near
from lab.experiment import costs, plan, step_dims, topological
from lab.protocol import Protocol, Sweep
from lab.refs import STATIC, Ref, RefError, find, substitute
from lab.sweep import SEED, Arm, SweepError, arms_of, sweep_keys
from lab.tasks import TaskRegistry, TaskSpec
from lab.units import format_duration, parse_duration

Loc = tuple[str | int, ...]
MAX_ARMS_CHECKED = 200
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Finding:
    """One mistake: where in the data (`key`: the key itself; `offset`: characters into a text) and what."""

    loc: Loc
    message: str
    key: bool = False
    offset: int = 0


@dataclass(frozen=True)
class _Step:
    """A step as far as it can be made out."""

    at: int
    id: str
    raw: Mapping[str, Any]
    needs: list[str]
    gather: list[str]


def check(data: Any, registry: TaskRegistry) -> list[Finding]:
    """Everything that the model alone cannot see. `data` may be wrong in any way; such parts are passed over."""
    if not isinstance(data, dict):
        return []
    found: list[Finding] = []
    steps = _steps(data, found)
    by_id = {step.id: step for step in reversed(steps)}
    keys, all_arms = _sweep(data, found)
    for step in steps:
        found += _check_kind(step)
    sound = _check_graph(steps, by_id, keys, found)
    dims = step_dims([(s.id, [n for n in s.needs if n in by_id], s.gather) for s in by_id.values()], keys or [])
    tasks = {step.at: _task(step, registry, found) for step in steps}  # by place: an id may be there twice
    for step in steps:
        wrong_refs = list(_check_refs(step, by_id, keys, dims, tasks))
        found += wrong_refs
        spec = tasks[step.at]
        if spec is not None:
            # A text that is a wrong reference is not also a wrong number.
            told = {finding.loc for finding in wrong_refs}
            params = _check_params(step, spec, None if wrong_refs else all_arms)
            found += [finding for finding in params if finding.loc not in told]
    found += _check_decision(data.get("decision"), by_id, tasks)
    if sound and not found:
        found += _check_budget(data)
    return found


def _steps(data: Mapping[str, Any], found: list[Finding]) -> list[_Step]:
    raw_steps = data.get("steps")
    steps: list[_Step] = []
    for at, raw in enumerate(raw_steps if isinstance(raw_steps, list) else []):
        if not isinstance(raw, dict) or not isinstance(raw.get("id"), str):
            continue
        needs, gather = raw.get("needs"), raw.get("gather")
        needs = [needs] if isinstance(needs, str) else needs
        step = _Step(at, raw["id"], raw, _texts(needs), _texts(gather))
        first = next((other for other in steps if other.id == step.id), None)
        if first is not None:
            found.append(Finding(("steps", at, "id"), f"step {step.id!r} is there already (steps.{first.at})"))
        steps.append(step)
    return steps


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _sweep(data: Mapping[str, Any], found: list[Finding]) -> tuple[list[str] | None, list[Arm] | None]:
    """The sweep's keys and arms; None where it cannot be made out."""
    sweep = _part(Sweep, data.get("sweep", {}))
    seed = data.get("seed", 1)
    if sweep is None:
        raw = data.get("sweep")
        matrix = raw.get("matrix") if isinstance(raw, dict) else None
        return (list(matrix) if isinstance(matrix, dict) else None), None
    keys = sweep_keys(sweep)
    for key in keys:
        if key == SEED:
            place = ("matrix",) if sweep.matrix else ("include", 0)
            found.append(Finding(("sweep", *place, SEED), "`seed` is swept by `seeds:`, not by the matrix", key=True))
            return keys, None
    for loc, ref, _ in find(data.get("sweep")):
        shown = ref.text if isinstance(ref, Ref) else str(ref)
        found.append(Finding(("sweep", *loc), f"{shown}: references are not used in a sweep"))
        return keys, None
    try:
        return keys, arms_of(sweep, seed if isinstance(seed, int) else 1)
    except SweepError as error:
        found.append(Finding(("sweep", *error.loc), str(error)))
        return keys, None


def _part(model: type[Model], raw: Any) -> Model | None:
    try:
        return model.model_validate(raw)
    except ValidationError:
        return None


def _check_kind(step: _Step) -> Iterator[Finding]:
    here: Loc = ("steps", step.at)
    if ("task" in step.raw) == ("run" in step.raw):
        both = "task" in step.raw
        text = (
            "`task` and `run` exclude each other" if both else "needs `task:` (an instrument's) or `run:` (a command)"
        )
        yield Finding((*here, "run") if both else here, f"step {step.id!r}: {text}", key=both)
    if "task" in step.raw:
        for key in ("artifacts", "metrics"):
            if key in step.raw:
                yield Finding((*here, key), f"`{key}` is for `run` steps; a task declares its own", key=True)


def _check_graph(steps: list[_Step], by_id: Mapping[str, _Step], keys: list[str] | None, found: list[Finding]) -> bool:
    before = len(found)
    for step in steps:
        for index, need in enumerate(step.needs):
            loc = _need_loc(step, index)
            if need == step.id:
                found.append(Finding(loc, f"step {step.id!r} needs itself"))
            elif need not in by_id:
                found.append(Finding(loc, f"needs unknown step {need!r}{near(need, by_id)}"))
        for index, dim in enumerate(step.gather):
            if keys is not None and dim != SEED and dim not in keys:
                known = ", ".join([*keys, SEED])
                text = (
                    f"gathers {dim!r}, which is no key of the sweep{near(dim, [*keys, SEED]) or '; there are ' + known}"
                )
                found.append(Finding(("steps", step.at, "gather", index), text))
    for cycle in _cycles(by_id):
        first = by_id[cycle[0]]
        index = first.needs.index(cycle[1 % len(cycle)])
        shown = " -> ".join([*cycle, cycle[0]])
        found.append(Finding(_need_loc(first, index), f"needs go in a circle: {shown}"))
    return len(found) == before


def _need_loc(step: _Step, index: int) -> Loc:
    one = isinstance(step.raw.get("needs"), str)
    return ("steps", step.at, "needs") if one else ("steps", step.at, "needs", _original(step.raw["needs"], index))


def _original(raw: list[Any], index: int) -> int:
    """The place in the raw list of the index-th text in it."""
    return [at for at, item in enumerate(raw) if isinstance(item, str)][index]


def _cycles(by_id: Mapping[str, _Step]) -> list[list[str]]:
    """One cycle of each knot, from the step that is written first; self-needs are reported elsewhere."""
    shapes = [(s.id, [n for n in s.needs if n in by_id and n != s.id], None) for s in by_id.values()]
    stuck = {s[0] for s in shapes} - set(topological(shapes))
    cycles: list[list[str]] = []
    done: set[str] = set()
    for start in sorted(stuck, key=lambda step_id: by_id[step_id].at):
        path: list[str] = []
        at: str | None = start
        while at is not None and at not in path and at not in done:
            path.append(at)
            at = next((n for n in by_id[at].needs if n in stuck and n != at), None)
        if at is not None and at in path:
            cycle = path[path.index(at) :]
            first = min(range(len(cycle)), key=lambda i: by_id[cycle[i]].at)
            cycles.append(cycle[first:] + cycle[:first])
        done.update(path)
    return cycles


def _task(step: _Step, registry: TaskRegistry, found: list[Finding]) -> TaskSpec | None:
    name = step.raw.get("task")
    if not isinstance(name, str) or not name:
        return None
    try:
        return registry.get(name)
    except NotFound as error:
        found.append(Finding(("steps", step.at, "task"), str(error)))
        return None


def _ancestors(step: _Step, by_id: Mapping[str, _Step]) -> set[str]:
    seen: set[str] = set()
    todo = list(step.needs)
    while todo:
        need = todo.pop()
        if need in by_id and need not in seen:
            seen.add(need)
            todo += by_id[need].needs
    return seen


def _check_refs(
    step: _Step,
    by_id: Mapping[str, _Step],
    keys: list[str] | None,
    dims: Mapping[str, list[str]],
    tasks: Mapping[int, TaskSpec | None],
) -> Iterator[Finding]:
    reach = _ancestors(step, by_id)
    for place in ("with", "run"):
        for loc, ref, whole in find(step.raw.get(place), ("steps", step.at, place)):
            if isinstance(ref, RefError):
                message: str | None = str(ref)
            elif ref.kind == "sweep":
                # Only the first of two steps with one id has its place in the graph.
                message = _sweep_ref(ref, step, keys, dims if by_id.get(step.id) is step else {})
            elif ref.kind == "previous":
                message = _previous_ref(ref, step, whole, tasks)
            elif ref.kind == "steps":
                message = _step_ref(ref, step, by_id, reach, tasks)
            else:
                assert ref.kind in STATIC
                message = None
            if message:
                yield Finding(loc, message)


def _sweep_ref(ref: Ref, step: _Step, keys: list[str] | None, dims: Mapping[str, list[str]]) -> str | None:
    if keys is None:
        return None
    if ref.name not in keys:
        hint = "; write ${seed}" if ref.name == SEED else near(ref.name, keys) or _there_is(keys)
        return f"{ref.text}: the sweep has no key {ref.name!r}{hint}"
    if step.id in dims and ref.name not in dims[step.id]:
        return f"{ref.text}: step {step.id!r} runs once over all values of {ref.name!r} (gather)"
    return None


def _there_is(names: list[str]) -> str:
    return f"; there {'is' if len(names) == 1 else 'are'} {', '.join(names)}" if names else ""


def _previous_ref(ref: Ref, step: _Step, whole: bool, tasks: Mapping[int, TaskSpec | None]) -> str | None:
    if not isinstance(step.raw.get("repeat"), int):
        return f"{ref.text}: step {step.id!r} has no `repeat:`"
    if not whole:
        return f"{ref.text}: must stand alone, since the first of a `repeat` leaves it out"
    return _unknown_name(ref, step, tasks)


def _step_ref(
    ref: Ref, step: _Step, by_id: Mapping[str, _Step], reach: set[str], tasks: Mapping[int, TaskSpec | None]
) -> str | None:
    if ref.step not in by_id:
        return f"{ref.text}: there is no step {ref.step!r}{near(ref.step, by_id)}"
    if ref.step not in reach:
        return f"{ref.text}: step {step.id!r} does not need {ref.step!r}; add it to `needs`"
    return _unknown_name(ref, by_id[ref.step], tasks)


def _unknown_name(ref: Ref, source: _Step, tasks: Mapping[int, TaskSpec | None]) -> str | None:
    known = _names_of(source, ref.what, tasks)
    if known is None or ref.name in known:
        return None
    return f"{ref.text}: {_has_no(source, ref.what.removesuffix('s'), ref.name, known)}"


def _names_of(step: _Step, what: str, tasks: Mapping[int, TaskSpec | None]) -> list[str] | None:
    """The artifacts or metrics a step declares; None if that cannot be known."""
    spec = tasks.get(step.at)
    if spec is not None:
        return list(getattr(spec, what))
    return _texts(step.raw.get(what)) if "run" in step.raw and "task" not in step.raw else None


def _has_no(step: _Step, what: str, name: str, known: list[str]) -> str:
    text = f"step {step.id!r} has no {what} {name!r}"
    if "run" in step.raw:
        return f"{text}; list it under `{what}s:` of that step{near(name, known)}"
    return text + (near(name, known) or f"; there are {', '.join(known) or 'none'}")


def _check_params(step: _Step, spec: TaskSpec, all_arms: list[Arm] | None) -> Iterator[Finding]:
    given = step.raw.get("with", {})
    if not isinstance(given, dict):
        return
    seen: set[tuple[Loc, str]] = set()
    for params, label in _variants(step, given, all_arms):
        for raw_loc, message in spec.check(params):
            loc = tuple(raw_loc)
            if (loc, message) not in seen:
                seen.add((loc, message))
                name = ".".join(str(part) for part in loc)
                text = f"`{name}` {message}{label}" if name else message + label
                yield Finding(("steps", step.at, "with", *loc), text, key="not a parameter" in message)


def _variants(step: _Step, given: dict[str, Any], all_arms: list[Arm] | None) -> Iterator[tuple[dict[str, Any], str]]:
    """The parameters of each arm, with the arm's name where it matters; as written if the arms are not known."""
    used = [ref for _, ref, _ in find(given) if isinstance(ref, Ref) and not ref.runtime]
    names = sorted({ref.name for ref in used if ref.kind == "sweep"})
    if not used or not all_arms:
        yield given, ""
        return
    points: dict[str, Arm] = {}
    for arm in all_arms:
        point = [arm.coords.get(name) for name in names]
        points.setdefault(json.dumps(point, sort_keys=True), arm)
    for arm in list(points.values())[:MAX_ARMS_CHECKED]:
        label = ", ".join(f"{name}={json.dumps(arm.coords.get(name))}" for name in names)
        yield substitute(given, _resolver(step, arm)), f" (in the arm {label})" if label else ""


def _resolver(step: _Step, arm: Arm) -> Callable[[Ref], Any]:
    known = {"seed": arm.seed, "arm": arm.slug, "shard": 0, "shards": step.raw.get("shards", 1), "repeat": 1}
    return lambda ref: (
        arm.coords[ref.name] if ref.kind == "sweep" else ref.text if ref.kind == "previous" else known[ref.kind]
    )


def _check_decision(
    decision: Any, by_id: Mapping[str, _Step], tasks: Mapping[int, TaskSpec | None]
) -> Iterator[Finding]:
    if not isinstance(decision, dict):
        return
    rule = decision.get("rule")
    if rule == "fixed":
        for key, why in (("primary", "the metric that answers the question"), ("accept", "what must hold")):
            if not decision.get(key):
                yield Finding(("decision",), f"rule `fixed` needs `{key}`: {why}")
    if rule == "exploratory" and decision.get("accept"):
        yield Finding(("decision", "accept"), "rule `exploratory` makes no claim; `accept` is for `fixed`", key=True)
    named: list[tuple[Loc, str, Callable[[str], tuple[str, str]]]] = []
    if isinstance(decision.get("primary"), str):
        named.append((("decision", "primary"), decision["primary"], lambda text: parse_metric(text)[:2]))
    for key in ("accept", "guards"):
        entries = decision.get(key)
        for index, text in enumerate(entries if isinstance(entries, list) else []):
            if isinstance(text, str):
                named.append((("decision", key, index), text, _step_and_metric))
    for loc, text, parse in named:
        try:
            step_id, metric = parse(text)
        except ConditionError:
            continue  # the model says so, with the position
        start = text.find(step_id)
        if step_id not in by_id:
            yield Finding(loc, f"there is no step {step_id!r}{near(step_id, by_id)}", offset=start)
            continue
        known = _names_of(by_id[step_id], "metrics", tasks)
        if known is not None and metric not in known:
            message = _has_no(by_id[step_id], "metric", metric, known)
            yield Finding(loc, message, offset=start + len(step_id) + 1)


def _step_and_metric(text: str) -> tuple[str, str]:
    condition = parse_condition(text)
    return condition.step, condition.metric


def _check_budget(data: Mapping[str, Any]) -> Iterator[Finding]:
    protocol = _part(Protocol, data)
    if protocol is None:
        return
    try:
        jobs = plan(protocol)
    except LabError as error:
        yield Finding(("sweep",) if "sweep" in data else ("steps",), str(error))
        return
    for key, sum_s in costs(protocol, jobs).items():
        limit = getattr(protocol.budget, key)
        if limit is not None and sum_s > parse_duration(limit):
            what = "the longest chain of limits" if key == "wall" else f"the limits of {len(jobs)} jobs"
            text = f"{what} comes to {format_duration(sum_s)}, above the budget of {limit}"
            yield Finding(("budget", key), text.replace("jobs comes", "jobs come"))
