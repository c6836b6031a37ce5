"""The task registry: lazy, named, and clear about whose package is broken."""

from __future__ import annotations

import subprocess
import sys

import pytest
from fakes import FakeTask

from lab.errors import EnvironmentProblem, NotFound
from lab.tasks import TaskRegistry, TaskSpec, default_registry


def test_tasks_are_found_by_full_name() -> None:
    spec = FakeTask()
    registry = TaskRegistry.of({"fake.play": spec, "other.play": FakeTask()})
    assert registry.get("fake.play") is spec
    assert registry.names() == ["fake.play", "other.play"]
    assert "fake.play" in registry and "fake.plan" not in registry and "play" not in registry
    with pytest.raises(NotFound, match=r"did you mean fake\.play"):
        registry.get("fake.plya")
    with pytest.raises(NotFound, match=r"known: fake.play, other.play"):
        registry.get("zzz")


def test_only_the_instrument_that_is_asked_for_is_loaded() -> None:
    def explode() -> dict[str, TaskSpec]:
        raise ModuleNotFoundError("No module named 'nothing'")

    registry = TaskRegistry({"bad": explode, "fake": lambda: {"play": FakeTask()}})
    assert registry.get("fake.play")
    with pytest.raises(EnvironmentProblem, match=r"'bad' .*do not load: ModuleNotFoundError: No module") as caught:
        registry.get("bad.play")
    assert caught.value.exit_code == 5


def test_what_is_no_specification_is_refused() -> None:
    registry = TaskRegistry({"odd": lambda: {"play": object()}})  # type: ignore[dict-item]
    with pytest.raises(EnvironmentProblem, match="not a task specification"):
        registry.get("odd.play")


def test_gocores_tasks_are_installed_and_free_of_torch() -> None:
    code = (
        "import sys; from lab.tasks import default_registry; names = default_registry().names();"
        "assert {'gocore.selfplay', 'gocore.train', 'gocore.loop', 'gocore.match'} <= set(names), names;"
        "assert not {'torch', 'numpy', 'gocore._core'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert default_registry() is default_registry()
