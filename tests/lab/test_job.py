"""Job states and specifications."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.errors import CorruptFile
from lab.fsio import RealFs, dump_json
from lab.job import Input, JobSpec, JobState, Resources, read_manifest

SPEC = JobSpec(
    job="learn-8c1f09b2aa",
    exp="first-light-k3x7qa",
    seq="179541234567800003",
    step="learn",
    task="gocore.loop",
    argv=("{python}", "-m", "gocore.tasks", "loop"),
    params={"size": 7, "net": "${steps.prep.artifacts.net}"},
    arm={"visits": 32},
    seed=3,
    repetition=2,
    needs=("prep-0123456789",),
    inputs={"prep": Input(("prep-0123456789",), many=True)},
    resources=Resources(cpus=2, gpus=1, gpu_type="h100", memory_bytes=1 << 30, roles=("train",)),
    tmp="cli-x.y",
    nonce="abc",
)


def test_every_state_has_its_own_word_symbol_and_colour() -> None:
    for attribute in ("word", "symbol", "ascii_symbol", "colour"):
        assert len({getattr(state, attribute) for state in JobState}) == len(JobState) == 9
    assert all(state.ascii_symbol.isascii() for state in JobState)
    assert {state.word for state in JobState if state.terminal} == {"done", "failed", "quarantine", "cancelled"}
    assert JobState.from_word("running") is JobState.running
    with pytest.raises(ValueError, match="waiting, ready"):
        JobState.from_word("run")


def test_a_specification_comes_back_from_its_file() -> None:
    assert JobSpec.from_json(SPEC.to_json(), "spec.json") == SPEC


def test_a_manifest_leaves_the_birth_certificate_out() -> None:
    assert not {"tmp", "nonce"} & set(replace(SPEC, tmp="", nonce="").to_dict())


@pytest.mark.parametrize(("gpus", "name"), [(0, "cpu"), (1, "gpu1"), (2, "gpuN"), (8, "gpuN")])
def test_the_class_is_the_number_of_gpus(gpus: int, name: str) -> None:
    assert replace(SPEC, resources=Resources(gpus=gpus)).resource_class == name


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"job": "../x"}, "not a name"),
        ({"job": 3}, "job is int"),
        ({"exp": "A"}, "not a name"),
        ({"seq": "12"}, "18 digits"),
        ({"seq": 179541234567800003}, "seq is int"),
        ({"argv": []}, "argv is empty"),
        ({"argv": "rm -rf"}, "list of strings"),
        ({"needs": [1]}, "list of strings"),
        ({"needs": ["a/b"]}, "not a job's name"),
        ({"inputs": {"a": {"jobs": ["x"]}}}, "many"),
        ({"inputs": []}, "inputs is list"),
        ({"params": []}, "params is list"),
        ({"prio": 10}, "prio"),
        ({"prio": True}, "prio"),
        ({"time_limit_s": 0}, "seconds"),
        ({"time_limit_s": "60"}, "seconds"),
        ({"max_failures": 0}, "max_failures"),
        ({"resources": {"cpus": -1}}, "cpus"),
        ({"resources": {"cpu": 1}}, "cpu"),
        ({"resources": {"memory_bytes": "1GiB"}}, "memory_bytes"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"format": 2}, "format 2"),
        ({"code_id": 5}, "code_id"),
    ],
)
def test_a_damaged_specification_is_refused_with_its_path(changes: dict[str, Any], words: str) -> None:
    data = {**SPEC.to_dict(), **changes}
    with pytest.raises(CorruptFile, match=words) as caught:
        JobSpec.from_json(dump_json(data), "queue/jobs/x/spec.json")
    assert caught.value.path == "queue/jobs/x/spec.json"


@pytest.mark.parametrize("key", ["job", "exp", "seq", "step", "argv"])
def test_what_is_missing_is_named(key: str) -> None:
    data = SPEC.to_dict()
    del data[key]
    with pytest.raises(CorruptFile, match=f"no '{key}'"):
        JobSpec.from_dict(data, "m.json")


def test_half_a_file_is_corrupt() -> None:
    whole = SPEC.to_json()
    for cut in (0, 1, len(whole) // 2, len(whole) - 3):
        with pytest.raises(CorruptFile):
            JobSpec.from_json(whole[:cut], "x")


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": "another-aaaaaa"},
        {"jobs": {}},
        {"jobs": [3]},
        {"jobs": [{"job": "../x"}]},
        {"jobs": [{}]},
        {"protocol": []},
        {"decision": "x"},
    ],
)
def test_a_damaged_manifest_is_refused_with_its_path(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = str(tmp_path / "manifest.json")
    good = {"format": 1, "exp": "x-aaaaaa", "jobs": [{"job": "a-0123456789"}], "protocol": {}, "decision": {}}
    Path(path).write_bytes(dump_json(good))
    assert read_manifest(RealFs(), path, "x-aaaaaa") == good
    Path(path).write_bytes(dump_json({**good, **changes}))
    with pytest.raises(CorruptFile, match=re.escape(path)):
        read_manifest(RealFs(), path, "x-aaaaaa")
