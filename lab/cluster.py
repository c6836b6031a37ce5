"""cluster.toml: which lab this is, its hosts, and the lease times with the relations that make them safe."""

from __future__ import annotations

import tomllib
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from lab.errors import Problem, ProtocolErrors, near
from lab.fsio import Fs, RealFs
from lab.units import format_duration, parse_duration

Seconds = Annotated[float, BeforeValidator(parse_duration)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)


class Lease(_Table):
    """Times of beats and take-over. Written as text with a unit; attributes are seconds."""

    beat_s: Seconds = Field(default=10.0, alias="beat", description="a daemon writes its beat this often")
    expire_s: Seconds = Field(
        default=90.0, alias="expire", description="a beat unchanged for this long: others take over"
    )
    poll_s: Seconds = Field(
        default=2.0, alias="poll", description="a daemon looks for work and at others' beats this often"
    )
    fence_after_s: Seconds = Field(
        default=900.0, alias="fence_after", description="a daemon that cannot reach the share this long kills its tasks"
    )
    grace_s: Seconds = Field(default=30.0, alias="grace", description="between TERM and KILL")

    @model_validator(mode="after")
    def _relations(self) -> Lease:
        problems: list[str] = []

        def need(ok: bool, relation: str, reason: str) -> None:
            if not ok:
                problems.append(f"{relation}: {reason}")

        for name in ("beat_s", "expire_s", "poll_s", "fence_after_s", "grace_s"):
            if getattr(self, name) <= 0:
                problems.append(f"{name.removesuffix('_s')} must be above zero")
        if not problems:
            beat, expire, poll = (format_duration(value) for value in (self.beat_s, self.expire_s, self.poll_s))
            need(
                self.beat_s <= self.expire_s / 4,
                f"beat ({beat}) must be at most a quarter of expire ({expire})",
                "a live daemon that misses two beats must not be taken for dead",
            )
            need(
                self.poll_s <= self.expire_s / 6,
                f"poll ({poll}) must be at most a sixth of expire ({expire})",
                "death is judged over contiguous reads, and a gap above a third of expire starts that over",
            )
            need(
                self.fence_after_s >= self.expire_s,
                f"fence_after ({format_duration(self.fence_after_s)}) must be at least expire ({expire})",
                "a short outage must not kill work that nobody else took over",
            )
            need(
                self.grace_s <= self.fence_after_s,
                f"grace ({format_duration(self.grace_s)}) must be at most fence_after",
                "fencing bounds wasted time, and grace comes on top of it",
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self


class Limits(_Table):
    """How often things may go wrong."""

    max_losses: int = Field(default=3, ge=1, le=1000, description="a job whose host died this often goes to quarantine")
    default_retries: int = Field(default=2, ge=0, le=100, description="retries of a step that does not say")


class Host(_Table):
    """A machine that may run a worker."""

    roles: list[str] = Field(default_factory=list)
    shares_nfs: bool = True
    num_gpu: int | None = Field(default=None, ge=0, le=64)
    gpu_type: str | None = None
    user: str | None = None
    ssh_port: int = Field(default=22, ge=1, le=65535)


class Cluster(_Table):
    """The whole file; every part has a default, so a lab runs without one."""

    lab: str = Field(default="golab", min_length=1, max_length=60, description="what people call this lab")
    queue_id: str | None = Field(
        default=None, pattern="^[0-9a-f]{16}$", description="pins queue/QUEUE_ID: another lab's folder is refused"
    )
    image: str | None = None
    lease: Lease = Lease()
    limits: Limits = Limits()
    hosts: dict[str, Host] = Field(default_factory=dict)


def load_cluster(path: str, fs: Fs | None = None) -> Cluster:
    """The file at `path`, or the defaults if there is none; ProtocolErrors lists everything wrong in it."""
    try:
        data = (fs or RealFs()).read(path, 1 << 20)
    except FileNotFoundError:
        return Cluster()
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ProtocolErrors([Problem(path, 0, 0, f"not UTF-8: {error}")]) from error
    return parse_cluster(text, path)


def parse_cluster(text: str, path: str = "cluster.toml") -> Cluster:
    """Validate the text of a cluster.toml."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ProtocolErrors([Problem(path, 0, 0, f"not TOML: {error}")]) from error
    try:
        return Cluster.model_validate(data)
    except ValidationError as error:
        raise ProtocolErrors([Problem(path, 0, 0, _message(item)) for item in error.errors()]) from error


def _message(item: Any) -> str:
    loc = item["loc"]
    where = ".".join(str(part) for part in loc)
    if item["type"] == "extra_forbidden":
        tables: dict[str, type[BaseModel]] = {"lease": Lease, "limits": Limits, "hosts": Host}
        table = tables.get(str(loc[0]), Cluster) if len(loc) > 1 else Cluster
        known = [entry.alias or name for name, entry in table.model_fields.items()]
        return f"unknown key {where}{near(str(loc[-1]), known) or '; known: ' + ', '.join(known)}"
    text = item["msg"].removeprefix("Value error, ")
    return f"{where}: {text}" if where else text
