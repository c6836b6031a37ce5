"""The tasks that installed instruments declare (entry points `lab.tasks`), looked up by name, loaded when needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, Protocol, runtime_checkable

from lab.errors import EnvironmentProblem, NotFound, near

GROUP = "lab.tasks"


@runtime_checkable
class TaskSpec(Protocol):
    """What an instrument says of one task. Importing it must be cheap: no torch, no compiled core."""

    @property
    def argv(self) -> Sequence[str]:
        """The command; a word "{python}" is replaced by the worker's interpreter."""

    @property
    def summary(self) -> str: ...

    @property
    def params(self) -> Any:
        """Description of the parameters, for documentation."""

    @property
    def artifacts(self) -> Sequence[str]:
        """Names it leaves under result.json "artifacts"."""

    @property
    def metrics(self) -> Sequence[str]:
        """Names it reports under result.json "metrics"."""

    def check(self, params: dict[str, Any]) -> Sequence[tuple[Sequence[str | int], str]]:
        """Everything wrong with the parameters as (location, message); texts starting "${" pass as any type."""


Loader = Callable[[], Mapping[str, TaskSpec]]


class TaskRegistry:
    """Tasks by full name `<instrument>.<task>`; an instrument is loaded when one of its tasks is asked for."""

    def __init__(self, loaders: Mapping[str, Loader] | None = None) -> None:
        self._loaders = dict(loaders or {})
        self._loaded: dict[str, dict[str, TaskSpec]] = {}

    @classmethod
    def of(cls, tasks: Mapping[str, TaskSpec]) -> TaskRegistry:
        """A registry of these tasks, by full name (for tests and embedding)."""
        groups: dict[str, dict[str, TaskSpec]] = {}
        for name, spec in tasks.items():
            instrument, _, task = name.partition(".")
            groups.setdefault(instrument, {})[task] = spec
        return cls({instrument: partial(dict, group) for instrument, group in groups.items()})

    @property
    def instruments(self) -> list[str]:
        return sorted(self._loaders)

    def names(self) -> list[str]:
        """All full names, sorted."""
        return sorted(f"{one}.{task}" for one in self._loaders for task in self._load(one))

    def __contains__(self, name: str) -> bool:
        instrument, _, task = name.partition(".")
        return instrument in self._loaders and task in self._load(instrument)

    def get(self, name: str) -> TaskSpec:
        """The task of that name; NotFound with near names, EnvironmentProblem if its instrument does not load."""
        instrument, _, task = name.partition(".")
        if instrument in self._loaders:
            spec = self._load(instrument).get(task)
            if spec is not None:
                return spec
            known = [f"{instrument}.{other}" for other in self._load(instrument)]
        else:
            known = self.names()
        listed = f"; known: {', '.join(sorted(known))}" if known else "; no installed package declares any task"
        raise NotFound(f"unknown task {name!r}{near(name, known) or listed}")

    def _load(self, instrument: str) -> dict[str, TaskSpec]:
        if instrument not in self._loaded:
            try:
                table = dict(self._loaders[instrument]())
            except Exception as error:  # somebody else's package: whatever it raises, say whose it is
                why = f"{type(error).__name__}: {error}"
                raise EnvironmentProblem(
                    f"the tasks of {instrument!r} (entry point group {GROUP}) do not load: {why}",
                    f"reinstall the package that provides {instrument!r}; `lab doctor` says more",
                ) from error
            for task, spec in table.items():
                if not isinstance(task, str) or not isinstance(spec, TaskSpec):
                    raise EnvironmentProblem(
                        f"entry point {instrument!r} of group {GROUP}: {task!r} is not a task specification"
                    )
            self._loaded[instrument] = table
        return self._loaded[instrument]


@cache
def default_registry() -> TaskRegistry:
    """The tasks of every installed package."""
    from importlib.metadata import entry_points

    return TaskRegistry({point.name: point.load for point in entry_points(group=GROUP)})
