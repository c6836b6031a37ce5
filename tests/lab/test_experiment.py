"""From protocol to jobs: names, edges, gathering, repetition, and the manifest."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import LabError
from lab.experiment import MAX_JOBS, costs, expand, jobs_of, new_exp_id, plan, topological
from lab.job import JobSpec
from lab.token import Token, is_job_id
from protocols import EXPLORE, REGISTRY, load, play, text_of

CODE = {"id": "ab" * 32, "commit": "c", "dirty": False}


def manifest_of(exp: str = "p-abcdef", seq_base: int = 1_795_412_345_678, **parts: Any) -> dict[str, Any]:
    return expand(load(**parts), text_of(**parts), exp, CODE, seq_base, registry=REGISTRY)


def jobs(**parts: Any) -> list[JobSpec]:
    return jobs_of(manifest_of(**parts), "m.json")


def test_the_same_submit_gives_the_same_manifest_and_another_gives_other_names() -> None:
    parts: dict[str, Any] = {"sweep": {"matrix": {"a": [1, 2]}, "seeds": 3}}
    one, two = manifest_of(**parts), manifest_of(**parts)
    assert json.dumps(one) == json.dumps(two)
    other = manifest_of("p-abcdeg", **parts)
    assert not {job["job"] for job in one["jobs"]} & {job["job"] for job in other["jobs"]}


def test_names_follow_the_grammar() -> None:
    found = jobs(sweep={"matrix": {"search": ["fixed-100", "x" * 70]}, "seeds": 2}, steps=[play("s" * 30)])
    assert [job.job.rpartition("-")[0] for job in found[:2]] == [f"{'s' * 30}-fixed-100-s{seed}" for seed in (1, 2)]
    for index, job in enumerate(found):
        assert re.fullmatch(r".*-[0-9a-f]{10}", job.job)
        assert is_job_id(job.job) and len(job.job) <= 80
        assert job.seq == f"1795412345678{index:05d}"
        assert Token(job.seq, job.job).name
    assert jobs()[0].job.startswith("play-") and len(jobs()[0].job) == len("play-") + 10


def test_the_manifest_holds_what_the_format_says() -> None:
    manifest = manifest_of(title="A title")
    assert list(manifest) == [
        "format", "exp", "slug", "title", "created", "submitted_by", "protocol_sha256", "protocol_text", "protocol",
        "code", "decision", "jobs",
    ]  # fmt: skip
    assert (manifest["slug"], manifest["title"], manifest["created"]) == ("p", "A title", "2026-11-23T05:39:05Z")
    assert manifest["decision"]["rule"] == "exploratory"
    assert not {"tmp", "nonce"} & set(manifest["jobs"][0])
    json.dumps(manifest, allow_nan=False)


def test_a_job_says_what_it_needs_of_a_host_and_how_often_it_may_fail() -> None:
    job = jobs(resources={"cpus": 3, "gpus": 2, "memory": "1GiB", "roles": ["r"]}, steps=[play("a", retries=0)])[0]
    assert (job.resources.cpus, job.resource_class, job.resources.memory_bytes) == (3, "gpuN", 1 << 30)
    assert (job.max_failures, jobs()[0].max_failures) == (1, 3)
    assert job.argv == ("{python}", "-m", "fake", "play")
    assert (job.artifacts, job.code_id) == (("net", "log"), CODE["id"])


def test_jobs_need_the_jobs_of_their_own_arm() -> None:
    found = jobs(
        sweep={"matrix": {"a": [1, 2]}, "seeds": 2},
        steps=[play("learn"), play("match", needs="learn", params={"net": "${steps.learn.artifacts.net}"})],
    )
    by_name = {job.job: job for job in found}
    matches = [job for job in found if job.step == "match"]
    assert len(matches) == 4
    for job in matches:
        (need,) = job.needs
        assert (by_name[need].arm, by_name[need].seed) == (job.arm, job.seed)
        assert by_name[need].dependents == (job.job,)
        assert job.params["net"] == "${steps.learn.artifacts.net}"
        assert (job.inputs["learn"].jobs, job.inputs["learn"].many) == ((need,), False)


def test_a_gather_is_one_job_over_what_it_gathers() -> None:
    net = {"net": "${steps.learn.artifacts.net}"}
    found = jobs(
        sweep={"matrix": {"a": [1, 2]}, "seeds": 3},
        steps=[
            play("learn"),
            play("per-a", needs="learn", gather=["seed"], params=net),
            play("all", needs="per-a", gather=["a"], params=net),
            play("last", needs="all"),
        ],
    )
    learned = [job.job for job in found if job.step == "learn"]
    per_a = [job for job in found if job.step == "per-a"]
    assert [(job.arm, job.seed) for job in per_a] == [({"a": 1}, 1), ({"a": 2}, 1)]
    assert [job.inputs["learn"].jobs for job in per_a] == [tuple(learned[:3]), tuple(learned[3:])]
    assert per_a[0].needs == tuple(learned[:3]) and per_a[0].inputs["learn"].many
    (everything,) = [job for job in found if job.step == "all"]
    assert everything.inputs["learn"].jobs == tuple(learned)
    assert everything.needs == tuple(job.job for job in per_a)
    assert len([job for job in found if job.step == "last"]) == 1


def test_gathering_one_seed_still_gives_a_list() -> None:
    found = jobs(steps=[play("a"), play("b", needs="a", gather=["seed"], params={"net": "${steps.a.artifacts.net}"})])
    assert found[1].inputs["a"].many and found[1].inputs["a"].jobs == (found[0].job,)


def test_a_repeat_is_a_chain_whose_end_stands_for_the_step() -> None:
    found = jobs(
        steps=[
            play("prep"),
            play("learn", needs="prep", repeat=3, params={"net": "${previous.artifacts.net}"}),
            play("match", needs="learn", params={"net": "${steps.learn.artifacts.net}"}),
        ]
    )
    prep, one, two, three, match = found
    assert [job.repetition for job in found] == [1, 1, 2, 3, 1]
    assert (one.needs, two.needs, three.needs) == ((prep.job,), (prep.job, one.job), (prep.job, two.job))
    assert "net" not in one.params and not one.inputs
    assert two.params["net"] == "${previous.artifacts.net}" and two.inputs["previous"].jobs == (one.job,)
    assert match.needs == (three.job,) and match.inputs["learn"].jobs == (three.job,)
    assert set(prep.dependents) == {one.job, two.job, three.job}


def test_shards_run_side_by_side_and_are_read_together() -> None:
    found = jobs(
        steps=[
            {"id": "play", "run": ["play", "${shard}/${shards}", "${seed}"], "shards": 3, "artifacts": ["games"]},
            {"id": "sum", "run": ["sum", "${steps.play.artifacts.games}"], "needs": "play"},
        ]
    )
    assert [job.argv for job in found[:3]] == [("play", f"{i}/3", "1") for i in range(3)]
    assert [job.shard for job in found] == [0, 1, 2, 0]
    assert len({job.job for job in found}) == 4
    assert found[3].needs == found[3].inputs["play"].jobs == tuple(job.job for job in found[:3])
    assert found[3].inputs["play"].many


def test_sweep_values_keep_their_type() -> None:
    found = jobs(
        sweep={"matrix": {"lr": [1e-3], "deep": [{"x": [1]}]}},
        steps=[play("a", params={"lr": "${sweep.lr}", "net": "${arm}"}), {"id": "b", "run": ["x", "${sweep.deep}"]}],
    )
    assert found[0].params["lr"] == 1e-3
    assert found[1].argv == ("x", '{"x": [1]}')


def test_code_may_be_absent() -> None:
    manifest = expand(load(), text_of(), "p-abcdef", None, 0, registry=REGISTRY)
    assert manifest["code"] is None and manifest["jobs"][0]["code_id"] is None


def test_costs_add_up_over_jobs_and_along_the_longest_chain() -> None:
    protocol = load(
        resources={"gpus": 2, "cpus": 3},
        sweep={"seeds": 5},
        steps=[play("a", time="40m"), play("b", needs="a", gather=["seed"], time="10m", resources={"gpus": 0})],
    )
    assert costs(protocol, plan(protocol)) == {
        "gpu_time": 5 * 2 * 2400.0,
        "cpu_time": 5 * 3 * 2400.0 + 3 * 600.0,
        "wall": 3000.0,
    }


def test_too_many_jobs_are_refused() -> None:
    with pytest.raises(LabError, match=str(MAX_JOBS)):
        load(sweep={"seeds": 100}, steps=[play("a", repeat=101)])


def test_instances_are_named_after_the_file() -> None:
    assert new_exp_id("First Light!", lambda letters: letters[0]) == "first-light-aaaaaa"
    assert new_exp_id("碁", lambda letters: letters[-1]) == "experiment-777777"
    assert re.fullmatch(r"x{40}-[a-z2-7]{6}", new_exp_id("x" * 99))


def test_topological_order_leaves_cycles_out() -> None:
    steps = [("d", ["b"], 0), ("a", [], 0), ("b", ["a"], 0), ("x", ["y"], 0), ("y", ["x"], 0), ("z", ["gone"], 0)]
    assert topological(steps) == ["a", "z", "b", "d"]


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    steps = []
    for index in range(draw(st.integers(1, 5))):
        needs = draw(st.lists(st.sampled_from([f"s{i}" for i in range(index)]), unique=True)) if index else []
        gather = draw(st.lists(st.sampled_from(["a", "b", "seed"]), unique=True, max_size=2))
        extra = {"repeat": draw(st.integers(1, 3)), "shards": draw(st.integers(1, 2))}
        steps.append(play(f"s{index}", needs=needs, gather=gather, **extra))
    sweep = {"matrix": {"a": [1, 2], "b": ["x", "y"]}, "exclude": [{"a": 1, "b": "y"}], "seeds": 2}
    return {"steps": steps, "sweep": sweep, "decision": EXPLORE}


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_every_graph_is_whole(parts: dict[str, Any]) -> None:
    """Edges go both ways, point backwards only, stay inside the arm, and no two jobs share a name."""
    found = jobs(**parts)
    place = {job.job: index for index, job in enumerate(found)}
    assert len(place) == len(found)
    wanted = {step["id"]: set(step["needs"]) for step in parts["steps"]}
    for job in found:
        for need in job.needs:
            other = found[place[need]]
            assert place[need] < place[job.job]
            assert job.job in other.dependents
            assert all(other.arm[key] == value for key, value in job.arm.items() if key in other.arm)
        assert {found[place[need]].step for need in job.needs} - {job.step} == wanted[job.step]
        for dependent in job.dependents:
            assert job.job in found[place[dependent]].needs
