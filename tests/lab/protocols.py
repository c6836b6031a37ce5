"""Protocol texts and a registry of pretended tasks for the model's tests."""

from __future__ import annotations

from typing import Any

import yaml
from fakes import FakeTask

from lab.protocol import Protocol
from lab.protocol_yaml import load_protocol
from lab.tasks import TaskRegistry

REGISTRY = TaskRegistry.of({"fake.play": FakeTask(), "fake.match": FakeTask()})
HEAD = {"version": 1, "title": "T", "question": "Q?", "hypothesis": "H."}
EXPLORE = {"rule": "exploratory"}


def text_of(**parts: Any) -> str:
    """A protocol's text from plain data, with the required keys filled in."""
    steps = parts.pop("steps", [{"id": "play", "task": "fake.play", "with": {"size": 7}}])
    return yaml.safe_dump({**HEAD, "steps": steps, "decision": EXPLORE, **parts}, sort_keys=False)


def load(**parts: Any) -> Protocol:
    return load_protocol("p.yaml", text=text_of(**parts), registry=REGISTRY).protocol


def play(step_id: str, **more: Any) -> dict[str, Any]:
    """A step of the pretended task."""
    return {"id": step_id, "task": "fake.play", "with": {"size": 7, **more.pop("params", {})}, **more}
