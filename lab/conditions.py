"""Conditions of a decision rule: `<step>.<metric>[.value|.n|.ci_low|.ci_high] <op> <number>`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

FIELDS = ("value", "n", "ci_low", "ci_high")
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_SPACE = re.compile(r"[ \t]*")
_STEP = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
_METRIC = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)*)", re.ASCII)
_OP = re.compile(r"[<>=!]+")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_EXAMPLE = "write it like match.winrate.ci_low > 0.5"


class ConditionError(ValueError):
    """A condition that does not parse; `offset` counts characters from its start."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True)
class Condition:
    """One comparison of one metric's field with a bound."""

    text: str
    step: str
    metric: str
    field: str
    op: str
    bound: float

    def holds(self, value: float) -> bool:
        """Whether a number satisfies it; NaN never does."""
        return value == value and OPERATORS[self.op](value, self.bound)

    def evaluate(self, results: Mapping[str, Mapping[str, Any]]) -> bool | None:
        """Look it up in `results[step][metric]`, a number or {"value", "n", …}; None if it is not there."""
        metric = results.get(self.step, {}).get(self.metric)
        if isinstance(metric, Mapping):
            metric = metric.get(self.field)
        elif self.field != "value":
            metric = None
        if isinstance(metric, bool) or not isinstance(metric, (int, float)):
            return None
        return self.holds(float(metric))


def parse_condition(text: str) -> Condition:
    """Parse one condition; ConditionError says what was expected where."""
    if not isinstance(text, str):
        raise ConditionError(f"a condition is text; {_EXAMPLE}", 0)
    at = _skip(text, 0)
    step, metric, field, at = _name(text, at)
    at = _skip(text, at)
    op = _OP.match(text, at)
    if op is None or op[0] not in OPERATORS:
        shown = op[0] if op else text[at : at + 12]
        raise ConditionError(f"expected one of {' '.join(OPERATORS)}{_not(shown)}; {_EXAMPLE}", at)
    at = _skip(text, op.end())
    number = _NUMBER.match(text, at)
    if number is None:
        raise ConditionError(f"expected a number{_not(text[at : at + 20])}; {_EXAMPLE}", at)
    end = _skip(text, number.end())
    if end != len(text):
        raise ConditionError(f"nothing may follow the number, but here is {text[end : end + 20]!r}", end)
    bound = float(number[0])
    if bound in (float("inf"), float("-inf")):
        raise ConditionError(f"{number[0]} is too large for a number", at)
    return Condition(text.strip(), step, metric, field, op[0], bound)


def parse_metric(text: str) -> tuple[str, str, str]:
    """(step, metric, field) of a bare name such as `match.winrate`, as in `decision.primary`."""
    if not isinstance(text, str):
        raise ConditionError("a metric is named <step>.<metric>", 0)
    at = _skip(text, 0)
    step, metric, field, at = _name(text, at)
    at = _skip(text, at)
    if at != len(text):
        raise ConditionError(f"expected just <step>.<metric>, but here is {text[at : at + 20]!r}", at)
    return step, metric, field


def _name(text: str, at: int) -> tuple[str, str, str, int]:
    step = _STEP.match(text, at)
    if step is None:
        raise ConditionError(f"expected <step>.<metric>{_not(text[at : at + 20])}; {_EXAMPLE}", at)
    name = _METRIC.match(text, step.end())
    if name is None:
        raise ConditionError(f"expected .<metric> after the step {step[0]!r}; {_EXAMPLE}", step.end())
    metric, _, last = name[1].rpartition(".")
    if metric and last in FIELDS:
        return step[0], metric, last, name.end()
    return step[0], name[1], "value", name.end()


def _not(found: str) -> str:
    return f", not {found!r}" if found else " at the end"


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None  # it may be empty, but it always matches
    return match.end()
