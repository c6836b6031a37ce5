"""Parameter specs: types, ranges and defaults of a task's parameters, checked all at once and free of torch."""

from __future__ import annotations

import copy
import difflib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Loc = tuple[str | int, ...]  # where in the parameters: ("net", "blocks")
Problem = tuple[Loc, str]  # where and what


def _is_finite_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number too large for a float
        return False


_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "int": ("an integer", lambda v: isinstance(v, int) and not isinstance(v, bool)),
    "float": ("a number", _is_finite_number),
    "bool": ("true or false", lambda v: isinstance(v, bool)),
    "str": ("a text", lambda v: isinstance(v, str)),
    "path": ("a path", lambda v: isinstance(v, str) and v != ""),
}
_JSON_TYPES = {"int": "integer", "float": "number", "bool": "boolean", "str": "string", "path": "string"}


@dataclass(frozen=True, kw_only=True)
class Param:
    """One parameter. With `params` it is a table of further parameters; with `many` it may also be a list."""

    type: str = "table"  # int | float | bool | str | path | table
    help: str = ""
    default: Any = None
    min: float | None = None
    max: float | None = None
    choices: tuple[Any, ...] | None = None
    required: bool = False
    nullable: bool = False  # null is a value of its own (and must then be the default's meaning)
    many: bool = False  # one value or a list of them
    params: Mapping[str, Param] = field(default_factory=dict)

    def check(self, value: Any, loc: Loc) -> Iterator[Problem]:
        """Yield what is wrong with `value`; a text that starts with `${` stands for something known only later."""
        if is_reference(value) or (value is None and self.nullable):
            return
        if self.many and isinstance(value, list):
            if not value:
                yield loc, "must not be an empty list"
            for i, item in enumerate(value):
                yield from self._check_one(item, (*loc, i))
            return
        yield from self._check_one(value, loc)

    def _check_one(self, value: Any, loc: Loc) -> Iterator[Problem]:
        if is_reference(value):
            return
        if self.type == "table":
            if isinstance(value, Mapping):
                yield from check_params(self.params, value, loc)
            else:
                yield loc, f"must be a table, not {_show(value)}"
            return
        name, test = _TYPES[self.type]
        if not test(value):
            yield loc, f"must be {name}{' or null' if self.nullable else ''}, not {_show(value)}"
        elif self.choices is not None and value not in self.choices:
            hint = _near(str(value), [str(c) for c in self.choices])
            yield loc, f"must be one of {', '.join(map(str, self.choices))}, not {_show(value)}{hint}"
        elif (self.min is not None and value < self.min) or (self.max is not None and value > self.max):
            yield loc, f"must be {self._range()}, not {_show(value)}"

    def _range(self) -> str:
        if self.min is None:
            return f"at most {_number(self.max)}"
        if self.max is None:
            return f"at least {_number(self.min)}"
        return f"from {_number(self.min)} to {_number(self.max)}"

    def fill(self, value: Any) -> Any:
        if self.type == "table" and isinstance(value, Mapping):
            return fill_params(self.params, value)
        return value

    def start(self) -> Any:
        """Give the value a parameter has that nobody set."""
        if self.type == "table" and not self.nullable and self.default is None:
            return fill_params(self.params, {})
        return self.fill(self.default)

    def schema(self) -> dict[str, Any]:
        """Describe the parameter as JSON Schema; references are strings and always allowed."""
        if self.type == "table":
            one = table_schema(self.params)
        else:
            one = {"type": _JSON_TYPES[self.type]}
            if self.min is not None:
                one["minimum"] = self.min
            if self.max is not None:
                one["maximum"] = self.max
            if self.choices is not None:
                one = {"enum": list(self.choices)}
        options: list[dict[str, Any]] = [one]
        if one.get("type") != "string" or "enum" in one:
            options.append({"type": "string", "pattern": r"^\$\{"})
        if self.many:
            options.append({"type": "array", "items": one, "minItems": 1})
        if self.nullable:
            options.append({"type": "null"})
        result = options[0] if len(options) == 1 else {"anyOf": options}
        if self.help:
            result = result | {"description": self.help}
        if self.default is not None:
            result = result | {"default": self.default}
        return result


def without(values: Mapping[str, Any], locs: list[Loc]) -> dict[str, Any]:
    """Copy parameters with what stands at `locs` put aside, as something known only later."""
    copied: dict[str, Any] = copy.deepcopy(dict(values))
    for loc in locs:
        at: Any = copied
        for part in loc[:-1]:
            at = at[part]
        if not is_reference(at):  # else all of it is aside already
            at[loc[-1]] = "${}"
    return copied


def is_reference(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("${")


def check_params(specs: Mapping[str, Param], values: Mapping[Any, Any], loc: Loc = ()) -> Iterator[Problem]:
    """Yield every problem in a table of parameters: unknown names, missing ones, wrong types and ranges."""
    for name, value in values.items():
        if name in specs:
            yield from specs[name].check(value, (*loc, name))
        else:
            hint = _near(str(name), list(specs)) or f"; known are {', '.join(specs)}"
            yield (*loc, name), f"is not a parameter here{hint}"
    for name, spec in specs.items():
        if spec.required and name not in values:
            yield (*loc, name), "is missing" + (f" ({spec.help})" if spec.help else "")


def fill_params(specs: Mapping[str, Param], values: Mapping[str, Any]) -> dict[str, Any]:
    """Give every parameter a value: the given one, else the default. Expects parameters that passed the check."""
    return {name: spec.fill(values[name]) if name in values else spec.start() for name, spec in specs.items()}


def table_schema(specs: Mapping[str, Param]) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: spec.schema() for name, spec in specs.items()},
    }
    if required := [name for name, spec in specs.items() if spec.required]:
        schema["required"] = required
    return schema


def show_loc(loc: Loc) -> str:
    """Write a location as people do: net.blocks, records[2]."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _near(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _number(bound: float | None) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
