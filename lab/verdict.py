"""Apply an experiment's frozen decision rule to its accepted results: one of five words, with its reasons.

supported: every accept condition holds. refuted: a condition is contradicted, which means that the whole interval of
its metric lies on the wrong side. inconclusive: neither. invalid: a guard failed, a job is missing, a metric is
missing, or the task's own numbers disagree with the recount. exploratory: there was no rule to apply.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.conditions import Condition, parse_condition
from lab.stats import Metric

__all__ = ["PENDING", "WORDS", "Outcome", "Verdict", "judge"]

WORDS = ("supported", "refuted", "inconclusive", "invalid", "exploratory")
PENDING = "pending"  # not a verdict: the experiment has not ended


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one condition in one job."""

    text: str
    step: str
    name: str  # of the metric
    job: str  # "" if no job has the metric
    metric: Metric | None
    compared: float | None  # the number that the condition looks at (its field of the metric)
    holds: bool
    contradicted: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The word, one sentence for each reason, and the outcome of every condition."""

    word: str
    reasons: tuple[str, ...]
    accept: tuple[Outcome, ...] = ()
    guards: tuple[Outcome, ...] = ()


def judge(
    decision: Mapping[str, Any],
    metrics: Mapping[str, Mapping[str, Mapping[str, Metric]]],
    *,
    missing_jobs: Sequence[str] = (),
    disagreements: Sequence[str] = (),
) -> Verdict:
    """Judge from `metrics[step][job][name]`.

    A condition speaks of every job it is given of its step (all arms, all seeds; of a `repeat` the caller gives the
    last repetition only): it holds if it holds in each of them, and one job that contradicts it contradicts it.
    """
    accept = tuple(out for text in decision.get("accept") or () for out in _outcomes(str(text), metrics))
    guards = tuple(out for text in decision.get("guards") or () for out in _outcomes(str(text), metrics))
    reasons: list[str] = []
    if missing_jobs:
        shown = ", ".join(missing_jobs[:3]) + (" and others" if len(missing_jobs) > 3 else "")
        reasons.append(f"{len(missing_jobs)} of the experiment's jobs gave no accepted result: {shown}")
    reasons += [f"the recount disagrees: {text}" for text in disagreements]
    reasons += [
        f"guard {'failed' if out.compared is not None else 'cannot be judged'}: {_tell(out)}"
        for out in guards
        if not out.holds
    ]
    reasons += [f"cannot be judged: {out.text}: {out.why}" for out in accept if out.compared is None]
    if reasons:
        return Verdict("invalid", tuple(reasons), accept, guards)
    if decision.get("rule") == "exploratory" or not accept:
        return Verdict("exploratory", ("no decision rule was frozen before the run",), accept, guards)
    against = [out for out in accept if out.contradicted]
    if against:
        return Verdict("refuted", tuple(_tell(out) for out in against), accept, guards)
    if all(out.holds for out in accept):
        return Verdict("supported", tuple(_tell(out) for out in accept), accept, guards)
    return Verdict("inconclusive", tuple(_tell(out) for out in accept if not out.holds), accept, guards)


def _outcomes(text: str, metrics: Mapping[str, Mapping[str, Mapping[str, Metric]]]) -> list[Outcome]:
    """Evaluate one condition in every job of its step."""
    try:
        condition = parse_condition(text)
    except ValueError as error:
        return [Outcome(text, "", "", "", None, None, False, False, str(error))]
    jobs = metrics.get(condition.step) or {}
    if not jobs:
        why = f"no accepted result of step {condition.step!r}"
        return [Outcome(text, condition.step, condition.metric, "", None, None, False, False, why)]
    return [_outcome(condition, job, named.get(condition.metric)) for job, named in sorted(jobs.items())]


def _outcome(condition: Condition, job: str, metric: Metric | None) -> Outcome:
    key = (condition.text, condition.step, condition.metric, job)
    if metric is None:
        return Outcome(*key, None, None, False, False, f"{job} has no metric {condition.metric!r}")
    compared = _field(metric, condition.field)
    if compared is None or math.isnan(compared):
        return Outcome(*key, metric, None, False, False, f"{job}: {condition.metric} has no {condition.field}")
    return Outcome(*key, metric, compared, condition.holds(compared), _contradicted(condition, metric, compared))


def _field(metric: Metric, name: str) -> float | None:
    value = getattr(metric, name, None)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _contradicted(condition: Condition, metric: Metric, compared: float) -> bool:
    """Say whether the metric's whole interval lies on the wrong side of the bound.

    A number without uncertainty is its own interval. `n` is a count, not an estimate: it contradicts by itself.
    """
    if condition.field == "n" or metric.ci_low is None or metric.ci_high is None:
        return not condition.holds(compared)
    # Every value in the interval must fail; for an ordering that is so if both of its ends fail.
    if condition.op in ("==", "!="):
        return not condition.holds(compared) and not metric.ci_low <= condition.bound <= metric.ci_high
    return not condition.holds(metric.ci_low) and not condition.holds(metric.ci_high)


def _tell(out: Outcome) -> str:
    if out.compared is None:
        return f"{out.text} ({out.why})"
    return f"{out.text} (found {out.compared:.4g}{'' if not out.job else ' in ' + out.job})"
