"""Read a protocol's YAML file: the model, or all mistakes at once, each as file:line:col: message."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from lab.conditions import ConditionError
from lab.errors import NotFound, Problem, ProtocolErrors, UsageError, near
from lab.fsio import Fs, RealFs
from lab.protocol import Budget, Decision, Protocol, Resources, Step, Sweep
from lab.protocol_check import Finding, Loc, check
from lab.tasks import TaskRegistry, default_registry
from lab.yaml_nodes import MAX_BYTES, Positions, YamlError, read_yaml

RULES_OF_LATER_VERSIONS = ("paired", "sprt", "gsprt", "bootstrap")


class Loaded(NamedTuple):
    """A valid protocol, its text as frozen in the manifest, and where its values are in it."""

    protocol: Protocol
    text: str
    positions: Positions


def load_protocol(
    path: str, *, text: str | bytes | None = None, registry: TaskRegistry | None = None, fs: Fs | None = None
) -> Loaded:
    """The protocol at `path` (or in `text`, named `path` in messages); ProtocolErrors has all mistakes."""
    if text is None:
        data = _read(path, fs or RealFs())
    else:
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    try:
        value, positions, clean = read_yaml(data)
    except YamlError as error:
        raise ProtocolErrors([Problem(path, m.line, m.col, m.message) for m in error.mistakes]) from error
    if not isinstance(value, dict):
        what = "empty" if value is None else f"a {_kind(value)}"
        raise ProtocolErrors([Problem(path, 1, 1, f"a protocol is a mapping (`key: value` lines); this is {what}")])
    protocol: Protocol | None = None
    findings: list[Finding] = []
    try:
        protocol = Protocol.model_validate(value)
    except ValidationError as error:
        findings += [_finding(item) for item in error.errors()]
    findings += check(value, registry or default_registry())
    if findings or protocol is None:
        problems = []
        for finding in findings:
            line, col = positions.at(finding.loc, key=finding.key, offset=finding.offset)
            problems.append(Problem(path, line, col, finding.message))
        raise ProtocolErrors(problems)
    return Loaded(protocol, clean, positions)


def task_names(data: bytes) -> list[str] | None:
    """The tasks that a file's steps name, whatever else is wrong with it; None if it cannot be read as YAML.

    A daemon leaves an inbox file lying when it lacks one of them: another daemon may have it.
    """
    try:
        value, _, _ = read_yaml(data)
    except YamlError:
        return None
    steps = value.get("steps") if isinstance(value, dict) else None
    named = [step.get("task") for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    return sorted({name for name in named if isinstance(name, str)})


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a protocol, for editors."""
    schema = Protocol.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "golab protocol, version 1",
    }


def schema_text() -> str:
    """`json_schema` as protocols/schema.json holds it."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _read(path: str, fs: Fs) -> bytes:
    try:
        return fs.read(path, MAX_BYTES)
    except FileNotFoundError as error:
        raise NotFound(f"{path}: no such file", "lab protocol new NAME") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder, not a protocol") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error


def _kind(value: Any) -> str:
    kinds = {list: "list", str: "text", bool: "truth value", int: "number", float: "number", dict: "mapping"}
    return kinds.get(type(value), "nothing" if value is None else type(value).__name__)


# The model that holds the key at a location, to name the keys there are.
_TABLES: dict[str, type[BaseModel]] = {
    "resources": Resources,
    "budget": Budget,
    "sweep": Sweep,
    "steps": Step,
    "decision": Decision,
}


def _known_keys(loc: Loc) -> list[str]:
    names = [part for part in loc[:-1] if isinstance(part, str) and part in _TABLES]
    model = _TABLES[names[-1]] if names else Protocol
    return [field.alias or name for name, field in model.model_fields.items()]


def _finding(item: Any) -> Finding:
    """One pydantic error in the lab's words."""
    loc: Loc = tuple(item["loc"])
    name = ".".join(str(part) for part in loc if part != "[key]")
    kind, context = item["type"], item.get("ctx", {})
    if kind == "extra_forbidden":
        known = _known_keys(loc)
        hint = near(str(loc[-1]), known) or f"; known keys: {', '.join(known)}"
        return Finding(loc, f"unknown key {loc[-1]!r}{hint}", key=True)
    if kind == "missing":
        return Finding(loc[:-1], f"`{name}` is required")
    if loc and loc[-1] == "[key]":
        return Finding(loc[:-1], f"{name}: a key here is a word of letters, digits, _ and -", key=True)
    given = _shown(item.get("input"))
    if kind == "value_error":
        error = context.get("error")
        offset = error.offset if isinstance(error, ConditionError) else 0
        return Finding(loc, f"{name}: {error}", offset=offset)
    if kind == "literal_error" and loc == ("decision", "rule"):
        text = f"rule {given} is not available in this version" if _later(item) else f"there is no rule {given}"
        return Finding(
            loc,
            f"{name}: {text}; there are fixed and exploratory",
        )
    words = {
        "string_type": "must be text",
        "int_type": "must be a whole number",
        "float_type": "must be a number",
        "bool_type": "must be true or false",
        "list_type": "must be a list",
        "dict_type": "must be a mapping",
        "model_type": "must be a mapping",
        "model_attributes_type": "must be a mapping",
        "literal_error": f"must be {context.get('expected')}",
        "greater_than_equal": f"must be at least {context.get('ge')}",
        "less_than_equal": f"must be at most {context.get('le')}",
        "less_than": f"must be below {context.get('lt')}",
        "string_too_short": "must not be empty",
        "string_too_long": f"must have at most {context.get('max_length')} characters",
        "too_short": "must not be empty",
        "too_long": f"must have at most {context.get('max_length')} entries",
        "string_pattern_mismatch": "must be made of lower-case letters, digits and single hyphens",
    }
    return Finding(loc, f"{name}: {words.get(kind, item['msg'])}, not {given}")


def _later(item: Any) -> bool:
    return item.get("input") in RULES_OF_LATER_VERSIONS


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"a {_kind(value)}" if value else f"an empty {_kind(value)}"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
