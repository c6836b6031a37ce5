"""What a protocol is: the frozen model of the YAML file that an author writes. Meaning is checked in protocol_check."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator

from lab.conditions import parse_condition, parse_metric
from lab.units import parse_duration, parse_size

VERSION = 1
MAX_STEPS = 200
SLUG = "^[a-z0-9]+(-[a-z0-9]+)*$"
KEY = "^[A-Za-z_][A-Za-z0-9_-]*$"


def _duration(value: Any) -> str:
    if parse_duration(value) <= 0:
        raise ValueError("must be longer than nothing")
    return str(value)


def _size(value: Any) -> str:
    parse_size(value)
    return str(value)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _is_condition(text: str) -> str:
    parse_condition(text)
    return text


def _is_metric(text: str) -> str:
    parse_metric(text)
    return text


def _unique(values: list[str]) -> list[str]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{value} is there twice")
    return values


_DURATION_PATTERN = r"^(([0-9]+(\.[0-9]+)?(min|ms|[dhms]))+|P[0-9T].*)$"
Duration = Annotated[
    str,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": _DURATION_PATTERN, "examples": ["30m", "1h30m", "90s"]}),
]
Size = Annotated[
    str,
    BeforeValidator(_size),
    WithJsonSchema(
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?([kKMGTP]i?)?B$", "examples": ["512MiB", "2GiB"]}
    ),
]
Text = Annotated[str, Field(min_length=1, max_length=10_000), AfterValidator(_not_blank)]
Slug = Annotated[str, Field(pattern=SLUG, max_length=40)]
StepId = Annotated[str, Field(pattern=SLUG, max_length=30)]
Key = Annotated[str, Field(pattern=KEY, max_length=40)]
Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=80)]], AfterValidator(_unique)]
ConditionText = Annotated[str, AfterValidator(_is_condition)]
MetricText = Annotated[str, AfterValidator(_is_metric)]
_ID = {"type": "string", "pattern": SLUG}
Needs = Annotated[
    list[StepId],
    BeforeValidator(_one_or_many),
    AfterValidator(_unique),
    WithJsonSchema({"anyOf": [_ID, {"type": "array", "items": _ID, "uniqueItems": True}]}),
]


def _seeds(value: Any) -> Any:
    # One message instead of one for each member of the union.
    if isinstance(value, list) and value and all(type(item) is int and 0 <= item < 2**53 for item in value):
        return value
    if value is None or (type(value) is int and 1 <= value <= 10_000):
        return value
    raise ValueError("must be how many seeds (1 to 10000), or a list of whole numbers from 0 on")


Seeds = Annotated[
    int | list[int] | None,
    BeforeValidator(_seeds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 10_000},
                {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True},
                {"type": "null"},
            ]
        }
    ),
]


class _Part(BaseModel):
    # strict: "5" is not a number and 1 is not true; YAML says which is meant.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Resources(_Part):
    """What each job of a step needs of a host."""

    cpus: int = Field(default=1, ge=1, le=4096, description="CPU slots")
    gpus: int = Field(default=0, ge=0, le=64, description="GPUs")
    gpu_type: str | None = Field(default=None, min_length=1, max_length=40, description="only this kind, such as h100")
    memory: Size | None = Field(default=None, description="memory, such as 8GiB")
    roles: Names = Field(default_factory=list, description="the host must have all of these roles")


class Budget(_Part):
    """Upper bounds that the sum of the steps' limits must stay under; else nothing is queued."""

    gpu_time: Duration | None = Field(default=None, description="GPUs times time limit, over all jobs")
    cpu_time: Duration | None = Field(default=None, description="CPU slots times time limit, over all jobs")
    wall: Duration | None = Field(default=None, description="the longest chain of jobs that wait for each other")


class Sweep(_Part):
    """Which arms there are: every combination, less `exclude`, plus `include`; each with the same seeds."""

    matrix: dict[Key, Annotated[list[Any], Field(min_length=1)]] = Field(
        default_factory=dict, description="values of each key; all combinations are run"
    )
    include: list[dict[Key, Any]] = Field(default_factory=list, description="further combinations")
    exclude: list[dict[Key, Any]] = Field(default_factory=list, description="combinations to leave out")
    seeds: Seeds = Field(default=None, description="how many seeds (from `seed` on), or which")


class Step(_Part):
    """One kind of job, run once in every arm (or once over the gathered ones)."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["task"]}, {"required": ["run"]}]})

    id: StepId = Field(description="name of the step: lower-case letters, digits and hyphens")
    task: str | None = Field(default=None, min_length=1, max_length=100, description="an instrument's task")
    run: list[str] | None = Field(default=None, min_length=1, description="or any command, word by word")
    needs: Needs = Field(default_factory=list, description="steps that must be done first")
    gather: Names = Field(default_factory=list, description="sweep keys (or `seed`) that one job runs over")
    repeat: int = Field(default=1, ge=1, le=1000, description="this often, one after the other")
    shards: int = Field(default=1, ge=1, le=1000, description="in so many parts side by side")
    time: Duration = Field(default="1h", description="time limit of one attempt")
    resources: Resources | None = Field(default=None, description="what differs from the protocol's resources")
    retries: int | None = Field(default=None, ge=0, le=100, description="how often to try again after a failure")
    with_: dict[str, Any] = Field(default_factory=dict, alias="with", description="parameters of the task")
    artifacts: Names = Field(default_factory=list, description="of `run`: names it leaves in result.json")
    metrics: Names = Field(default_factory=list, description="of `run`: metrics it reports in result.json")

    @property
    def time_s(self) -> float:
        return parse_duration(self.time)


class Decision(_Part):
    """The rule that turns results into a verdict, frozen before the first result exists."""

    rule: Literal["fixed", "exploratory"] = Field(description="fixed: conditions are known now; exploratory: no claim")
    primary: MetricText | None = Field(
        default=None, description="the metric that answers the question: <step>.<metric>"
    )
    accept: list[ConditionText] = Field(default_factory=list, description="all must hold: <step>.<metric>.ci_low > 0.5")
    guards: list[ConditionText] = Field(default_factory=list, description="health: if one fails the result is invalid")


class Protocol(_Part):
    """An experiment as its author states it."""

    version: Literal[1] = Field(description="version of this format")
    title: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_not_blank)] = Field(
        description="one line"
    )
    question: Text = Field(description="what one wants to know; a number can answer it")
    hypothesis: Text = Field(description="what is expected, why, and the smallest effect that matters")
    theme: str | None = Field(default=None, max_length=100, description="which line of work it belongs to")
    name: Slug | None = Field(default=None, description="instead of the file's name in the experiment's name")
    parents: Names = Field(default_factory=list, description="experiments this one builds on")
    resources: Resources = Field(default_factory=Resources, description="what each job needs, unless its step differs")
    budget: Budget = Field(default_factory=Budget, description="refuse to queue more than this")
    seed: int = Field(default=1, ge=0, lt=2**53, description="the first seed")
    sweep: Sweep = Field(default_factory=Sweep, description="the arms")
    steps: list[Step] = Field(min_length=1, max_length=MAX_STEPS, description="what is run")
    decision: Decision = Field(description="the rule, frozen at submit")
    notes: str | None = Field(default=None, max_length=100_000, description="anything else; free text")

    @field_validator("version", mode="before")
    @classmethod
    def _known_version(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError(f"must be {VERSION}, not {str(value).lower()}")  # True == 1, says Python
        if isinstance(value, int) and value > VERSION:
            raise ValueError(f"version {value} is newer than this golab, which reads version {VERSION}; update golab")
        return value

    def step(self, step_id: str) -> Step:
        """The step of that id; KeyError if there is none."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)

    def resources_of(self, step: Step) -> Resources:
        """The protocol's resources with what the step says put over them."""
        if step.resources is None:
            return self.resources
        given = {name: getattr(step.resources, name) for name in step.resources.model_fields_set}
        return self.resources.model_copy(update=given)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the manifest, with every default written out."""
        return self.model_dump(mode="json", by_alias=True)
