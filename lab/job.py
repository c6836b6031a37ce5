"""A job: its states (each with one word, one symbol, one colour) and its immutable specification."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from typing import Any

from lab.errors import CorruptFile
from lab.fsio import FORMAT, Fs, dump_json, parse_json, read_json
from lab.token import is_job_id


class JobState(Enum):
    """Where a token can be. Colours are Okabe and Ito's, told apart by colour-blind readers."""

    waiting = ("waiting", "◌", ".", "#999999", False)
    ready = ("ready", "○", "o", "#56B4E9", False)
    delayed = ("delayed", "◔", "d", "#F0E442", False)
    held = ("held", "‖", "=", "#CC79A7", False)
    running = ("running", "●", "*", "#0072B2", False)
    done = ("done", "✓", "+", "#009E73", True)
    failed = ("failed", "✗", "x", "#D55E00", True)
    quarantine = ("quarantine", "⚠", "!", "#E69F00", True)
    cancelled = ("cancelled", "⊘", "-", "#666666", True)

    def __init__(self, word: str, symbol: str, ascii_symbol: str, colour: str, terminal: bool) -> None:
        self.word = word
        self.symbol = symbol
        self.ascii_symbol = ascii_symbol
        self.colour = colour
        self.terminal = terminal

    @classmethod
    def from_word(cls, word: str) -> JobState:
        """The state of that word; ValueError lists the words there are."""
        for state in cls:
            if state.word == word:
                return state
        raise ValueError(f"no state {word!r}; states are {', '.join(state.word for state in cls)}")


@dataclass(frozen=True)
class Resources:
    """What a job needs of a host."""

    cpus: int = 1
    gpus: int = 0
    gpu_type: str | None = None
    memory_bytes: int | None = None
    roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Input:
    """The jobs that a step's name stands for in this job's `${…}` references, in arm order.

    `many`: the reference becomes a list (a gather, or a sharded step), even with one job in it.
    """

    jobs: tuple[str, ...]
    many: bool = False


@dataclass(frozen=True)
class JobSpec:
    """What spec.json holds. `params` may contain `${steps.…}` strings, bound when the job starts (`lab.refs.bind`)."""

    job: str
    exp: str
    seq: str
    step: str
    argv: tuple[str, ...]
    task: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    arm: dict[str, Any] = field(default_factory=dict)
    seed: int = 1
    repetition: int = 1  # of a step with `repeat`; later ones need earlier ones
    shard: int = 0  # of a step with `shards`
    needs: tuple[str, ...] = ()
    dependents: tuple[str, ...] = ()
    inputs: dict[str, Input] = field(default_factory=dict)
    resources: Resources = Resources()
    time_limit_s: float = 3600.0
    grace_s: float = 30.0
    max_failures: int = 3
    max_losses: int = 3
    prio: int = 5
    code_id: str | None = None
    artifacts: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    tmp: str = ""
    nonce: str = ""

    @property
    def resource_class(self) -> str:
        """The ready/ folder it waits in."""
        return "cpu" if self.resources.gpus == 0 else "gpu1" if self.resources.gpus == 1 else "gpuN"

    def to_dict(self) -> dict[str, Any]:
        """As in a manifest: without `tmp` and `nonce` while those are empty."""
        data = asdict(self)
        for key in ("tmp", "nonce"):
            if not data[key]:
                del data[key]
        return {"format": FORMAT, **data}

    def to_json(self) -> bytes:
        return dump_json(self.to_dict())

    @classmethod
    def from_json(cls, data: bytes, path: str) -> JobSpec:
        """Parse spec.json; CorruptFile(path) on anything that could not have been written by this program."""
        return cls.from_dict(parse_json(data, path), path)

    @classmethod
    def from_dict(cls, data: dict[str, Any], path: str) -> JobSpec:
        """Parse one spec of a manifest (or spec.json); the checks keep a damaged file from reaching a daemon."""
        if not isinstance(data, dict):
            raise CorruptFile(path, "a job that is not an object")
        values = {key: value for key, value in data.items() if key != "format"}
        known = {item.name for item in fields(cls)}
        if unknown := set(values) - known:
            raise CorruptFile(path, f"unknown key {min(unknown)!r}")
        if missing := {"job", "exp", "seq", "step", "argv"} - set(values):
            raise CorruptFile(path, f"no {min(missing)!r}")
        try:
            for key in ("argv", "needs", "dependents", "artifacts", "metrics"):
                if key in values:
                    values[key] = _texts(key, values[key])
            if "inputs" in values:
                values["inputs"] = {
                    step: Input(_texts("inputs", entry["jobs"]), _typed("many", entry["many"], bool))
                    for step, entry in _typed("inputs", values["inputs"], dict).items()
                }
            if "resources" in values:
                given = dict(_typed("resources", values["resources"], dict))
                given["roles"] = _texts("roles", given.get("roles", []))
                values["resources"] = Resources(**given)
            spec = cls(**values)
            spec._validate()
        except (TypeError, ValueError, KeyError) as error:
            raise CorruptFile(path, f"{error}") from error
        return spec

    def _validate(self) -> None:
        for key in ("job", "exp", "step"):
            if not is_job_id(_typed(key, getattr(self, key), str)):
                raise ValueError(f"{key} {getattr(self, key)!r} is not a name")
        for job in (*self.needs, *self.dependents, *(job for entry in self.inputs.values() for job in entry.jobs)):
            if not is_job_id(job):
                raise ValueError(f"{job!r} is not a job's name")
        if len(_typed("seq", self.seq, str)) != 18 or not (self.seq.isascii() and self.seq.isdigit()):
            raise ValueError(f"seq {self.seq!r} is not 18 digits")
        if not self.argv:
            raise ValueError("argv is empty")
        for key in ("params", "arm"):
            _typed(key, getattr(self, key), dict)
        for key in ("task", "code_id"):
            if getattr(self, key) is not None:
                _typed(key, getattr(self, key), str)
        for key in ("tmp", "nonce"):
            _typed(key, getattr(self, key), str)
        _whole("seed", self.seed, 0)
        _whole("repetition", self.repetition, 1)
        _whole("shard", self.shard, 0)
        _whole("prio", self.prio, 0, 9)
        _whole("max_failures", self.max_failures, 1)
        _whole("max_losses", self.max_losses, 1)
        for key in ("time_limit_s", "grace_s"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e9:
                raise ValueError(f"{key} {value!r} is not a positive number of seconds")
        _whole("cpus", self.resources.cpus, 0)
        _whole("gpus", self.resources.gpus, 0)
        if self.resources.memory_bytes is not None:
            _whole("memory_bytes", self.resources.memory_bytes, 0)
        if self.resources.gpu_type is not None:
            _typed("gpu_type", self.resources.gpu_type, str)


def _typed(key: str, value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{key} is {type(value).__name__}, not {kind.__name__}")
    return value


def _texts(key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{key} is not a list of strings")
    return tuple(value)


def _whole(key: str, value: Any, low: int, high: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        raise ValueError(f"{key} {value!r} is out of range")


def read_manifest(fs: Fs, path: str, exp: str) -> dict[str, Any]:
    """The manifest of an experiment, checked as far as every reader relies on it. CorruptFile; OSError as `Fs.read`."""
    manifest = read_json(fs, path)
    jobs = manifest.get("jobs")
    if manifest.get("exp") != exp or not isinstance(jobs, list):
        raise CorruptFile(path, "not the manifest of this experiment")
    for number, job in enumerate(jobs):
        if not (isinstance(job, dict) and isinstance(job.get("job"), str) and is_job_id(job["job"])):
            raise CorruptFile(path, f"jobs[{number}] names no job")
    for key in ("protocol", "decision"):
        if not isinstance(manifest.get(key, {}), dict):
            raise CorruptFile(path, f"its {key} is not an object")
    return manifest
