"""The commands on labs made by hand: exit codes, one clear line per mistake, one JSON document, no tracebacks."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))

import labfiles as files
from labfiles import EXP, LEARN, RANDOM, UNTRAINED

from lab.cli.main import main
from lab.paths import LabPaths

PROTOCOL = """\
version: 1
title: A toy
question: Does a toy run?
hypothesis: It does.
theme: toys
steps:
  - id: first
    run: ["{python}", "-c", "import os,json; json.dump({'metrics': {'x': 3}}, open(os.environ['LAB_OUT']+'/result.json', 'w'))"]
    time: 1m
    metrics: [x]
decision: {rule: fixed, primary: first.x, accept: ["first.x > 2"]}
"""  # noqa: E501


@pytest.fixture(autouse=True)
def no_lab_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.delenv("LAB_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    yield


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabPaths:
    paths = files.first_light(tmp_path / "a lab")
    monkeypatch.chdir(paths.root)
    return paths


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(argv)
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def document(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    code, out, _ = run(capsys, *argv, "--json")
    assert code == 0
    parsed: dict[str, Any] = json.loads(out)
    assert parsed["schema_version"] == 1
    return parsed


# --- init ----------------------------------------------------------------------------------------


def test_init_twice_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = document(capsys, "init", "new lab")
    tree = sorted(str(path) for path in Path("new lab").rglob("*"))
    second = document(capsys, "init", "new lab")
    assert (second["queue_id"], second["made"]) == (first["queue_id"], [])
    assert sorted(str(path) for path in Path("new lab").rglob("*")) == tree
    assert f'queue_id = "{first["queue_id"]}"' in Path("new lab/cluster.toml").read_text()
    assert not Path("new lab/queue/__init__.py").exists()


def test_init_takes_the_pinned_id_and_refuses_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("cluster.toml").write_text('lab = "mine"\nqueue_id = "0123456789abcdef"\n')
    assert document(capsys, "init")["queue_id"] == "0123456789abcdef"
    Path("cluster.toml").write_text('lab = "mine"\nqueue_id = "fedcba9876543210"\n')
    code, _, err = run(capsys, "init")
    assert code == 5 and "pins queue_id" in err


def test_init_in_a_checkout_makes_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("queue").mkdir()
    Path("queue/README.md").write_text("kept")
    code, out, err = run(capsys, "init", "--quiet", ".")
    assert (code, out, err) == (0, "", "")
    assert Path("queue/README.md").read_text() == "kept" and Path("queue/waiting").is_dir()
    Path("queue/__init__.py").write_text("")
    assert run(capsys, "init")[0] == 5


# --- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (["stauts"], 2, "did you mean status?"),
        (["job", "lsit"], 2, "did you mean list?"),
        (["job", "show"], 2, "JOB"),
        (["job", "show", "nix"], 3, "no job 'nix'"),
        (["job", "explain", "zzz", "--json"], 3, "no job 'zzz'"),
        (["job", "list", "--state", "asleep"], 2, "no state 'asleep'"),
        (["exp", "show", "nix"], 3, "no experiment 'nix'"),
        (["exp", "wait", "last", "--timeout", "5x"], 2, "--timeout"),
        (["note", "path", "last"], 3, "has no note yet"),
        (["submit", "nofile.yaml"], 3, "no file nofile.yaml"),
        (["submit", "/"], 2, "/: not a regular file"),
        (["status", "--watch"], 2, "--watch needs a terminal"),
        (["status", "--watch", "fast"], 2, "--watch"),
        (["--lab", "/nowhere", "status"], 3, "--lab names /nowhere"),
        (["status", "--lab", "/nowhere"], 3, "--lab names /nowhere"),
    ],
)
def test_a_mistake_is_one_clear_line_and_a_code(
    demo: LabPaths, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, told: str
) -> None:
    got, out, err = run(capsys, *argv)
    assert (got, out) == (code, "")
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and told in errors[0]


def test_outside_a_lab(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "status")
    assert code == 3 and "hint: lab init ." in err


def test_no_command_prints_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys)
    assert code == 2 and "COMMAND" in out


def test_a_bad_protocol_lists_all_its_mistakes_and_queues_nothing(
    demo: LabPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.yaml").write_text(PROTOCOL.replace("time: 1m", "time: 60\n    colour: red").replace("first.x > 2", "x"))
    code, out, err = run(capsys, "submit", "bad.yaml")
    assert (code, out) == (2, "")
    assert len([line for line in err.splitlines() if line.startswith("error: bad.yaml:")]) >= 3
    assert os.listdir(demo.exps) == [EXP]


# --- looking -------------------------------------------------------------------------------------


def test_status_as_text_and_json(demo: LabPaths, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "status")
    assert "DONE\t3" in out and "no GPUs" in out
    assert document(capsys, "status")["counts"]["done"] == 3


def test_experiments(demo: LabPaths, capsys: pytest.CaptureFixture[str]) -> None:
    listed = document(capsys, "exp", "list")["experiments"]
    assert [(row["exp"], row["state"], row["counts"]) for row in listed] == [(EXP, "done", {"done": 3})]
    shown = document(capsys, "exp", "show", "last")
    assert shown["exp"] == EXP and [job["job"] for job in shown["jobs"]] == [LEARN, RANDOM, UNTRAINED]
    assert "does it learn at all?" in run(capsys, "exp", "show", "first")[1]
    assert run(capsys, "exp", "wait", "first-l")[:2] == (0, f"{EXP}: done\n")


def test_waiting_for_a_failed_experiment_exits_1(demo: LabPaths, capsys: pytest.CaptureFixture[str]) -> None:
    name = next(name for name in os.listdir(demo.done(EXP)) if RANDOM in name)
    os.rename(f"{demo.done(EXP)}/{name}", f"{demo.failed}/{name}")
    code, out, err = run(capsys, "exp", "wait", "last")
    assert (code, out) == (1, f"{EXP}: failed\n")
    assert f"lab job explain {RANDOM}" in err


def test_waiting_ends_at_the_time_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = files.first_light(tmp_path / "lab", end=False)
    monkeypatch.setattr("lab.cli.exp.CLOCK", files.Clock())
    code, _, err = run(capsys, "exp", "wait", "last", "--timeout", "10m", "--lab", paths.root)
    assert code == 2 and "has not ended" in err


def test_jobs(demo: LabPaths, capsys: pytest.CaptureFixture[str]) -> None:
    files.FS.makedirs(demo.job_dir(RANDOM))
    files.FS.create(demo.spec(RANDOM), json.dumps(files.spec(RANDOM, "random")).encode())
    assert {row["job"] for row in document(capsys, "job", "list")["jobs"]} == {LEARN, RANDOM, UNTRAINED}
    assert document(capsys, "job", "list", "--state", "failed")["jobs"] == []
    assert run(capsys, "job", "explain", "rand")[1] == f"{RANDOM}: done: accepted from host-a\n"
    assert run(capsys, "job", "log", "rand")[1] == "done\n"
    shown = document(capsys, "job", "show", "rand")
    assert shown["state"] == "done" and len(shown["attempts"]) == 1


def test_an_ambiguous_prefix_lists_what_it_may_mean(demo: LabPaths, capsys: pytest.CaptureFixture[str]) -> None:
    files.place(demo.held, "random-22aa22bb33", index=5)
    code, _, err = run(capsys, "job", "explain", "random")
    assert code == 2 and "random-11aa22bb33, random-22aa22bb33" in err


def test_note_build_and_path(demo: LabPaths, capsys: pytest.CaptureFixture[str]) -> None:
    built = document(capsys, "note", "build", "--no-figures")
    assert [note["verdict"] for note in built["notes"]] == ["supported"]
    assert run(capsys, "note", "path", "last")[1] == f"results/{EXP}/NOTE.md\n"


def test_doctor_exits_5_on_trouble(demo: LabPaths, capsys: pytest.CaptureFixture[str]) -> None:
    Path(demo.cluster_toml).write_text('lab = "x"\nqueue_id = "ffffffffffffffff"\n')
    code, out, _ = run(capsys, "doctor", "--json")
    parsed = json.loads(out)
    assert (code, parsed["ok"]) == (5, False)
    assert next(check for check in parsed["checks"] if check["name"] == "queue id")["state"] == "trouble"


# --- changing ------------------------------------------------------------------------------------


def test_submit_cancel_retry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document(capsys, "init")
    Path("toy.yaml").write_text(PROTOCOL)
    plan = document(capsys, "submit", "toy.yaml", "--dry-run")
    assert (plan["total"]["jobs"], plan["total"]["time_limit_s"]) == (1, 60.0)
    assert document(capsys, "exp", "list")["experiments"] == []

    made = document(capsys, "submit", "toy.yaml")
    (job,) = made["jobs"]
    assert document(capsys, "job", "explain", job)["explain"] == "no worker is up: lab worker starts one"
    code, _, err = run(capsys, "submit", "toy.yaml", "--once")
    assert code == 2 and made["exp"] in err

    assert document(capsys, "job", "hold", "last")["jobs"][0]["state"] == "held"
    assert "lab job unhold" in run(capsys, "job", "explain", job)[1]
    assert document(capsys, "job", "unhold", "last")["jobs"][0]["state"] == "waiting"
    assert document(capsys, "job", "cancel", "last", "--why", "test")["jobs"][0]["state"] == "cancelled"
    assert run(capsys, "job", "explain", job)[1].startswith(f"{job}: cancelled")
    assert document(capsys, "exp", "retry", "last")["jobs"][0]["changed"]
    assert document(capsys, "job", "explain", job)["state"] in ("waiting", "ready")
    assert document(capsys, "exp", "cancel", "last")["jobs"][0]["state"] == "cancelled"


# --- in a process of its own ---------------------------------------------------------------------


def lab(*argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environ}
    return subprocess.run([sys.executable, "-m", "lab", *argv], capture_output=True, text=True, env=env, timeout=120)


def test_run_prints_the_path_of_the_note_last(tmp_path: Path) -> None:
    assert lab("init").returncode == 0
    Path("toy.yaml").write_text(PROTOCOL)
    done = lab("run", "toy.yaml")
    assert done.returncode == 0, done.stderr
    (path,) = done.stdout.splitlines()
    assert "**Supported.**" in Path(path).read_text()
    assert "1 done of 1 jobs" in done.stderr and "\x1b" not in done.stderr + done.stdout
    assert lab("exp", "wait", "last").returncode == 0


def test_run_exits_1_if_a_job_fails(tmp_path: Path) -> None:
    assert lab("init").returncode == 0
    Path("toy.yaml").write_text(PROTOCOL.replace("import os,json;", "import sys; sys.exit(2);"))
    done = lab("run", "toy.yaml")
    assert done.returncode == 1, done.stderr
    assert "**Invalid.**" in Path(done.stdout.splitlines()[-1]).read_text()


def test_status_imports_nothing_heavy_and_speaks_ascii(demo: LabPaths) -> None:
    heavy = "import sys; from lab.cli.main import main; main(sys.argv[1:]); " \
            "print([m for m in ('torch','matplotlib','pydantic','numpy','yaml') if m in sys.modules])"  # fmt: skip
    for argv in (["status"], ["job", "list"], ["exp", "list"], ["job", "explain", "last"]):
        done = subprocess.run([sys.executable, "-c", heavy, *argv], capture_output=True, text=True, timeout=60)
        assert done.stdout.splitlines()[-1] == "[]", (argv, done.stdout)
    plain = lab("job", "list", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert plain.returncode == 0 and plain.stdout.isascii() and "+ done" in plain.stdout


def test_a_reader_that_leaves_early_is_no_error(demo: LabPaths) -> None:
    done = subprocess.run(
        f'"{sys.executable}" -m lab status | head -1', shell=True, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == "" and done.stdout.startswith("LAB\t")


def test_ctrl_c_leaves_the_queue_consistent_and_says_how_to_go_on(tmp_path: Path) -> None:
    assert lab("init").returncode == 0
    # The first attempt never ends by itself; one that starts after the interrupt does.
    waits = "import os,time,pathlib; [time.sleep(0.05) for _ in iter(lambda: pathlib.Path('{flag}').exists(), True)];"
    flag = tmp_path / "go on"
    Path("toy.yaml").write_text(PROTOCOL.replace("import os,json;", waits.format(flag=flag) + "import json;"))
    process = subprocess.Popen(
        [sys.executable, "-m", "lab", "run", "toy.yaml"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "1 running" in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert (process.returncode, out) == (130, ""), err
    assert "to go on: lab worker" in err and "Traceback" not in err
    paths = LabPaths(str(tmp_path))
    assert not any(os.listdir(paths.run(exp)) for exp in os.listdir(paths.run_root))
    flag.touch()
    assert lab("worker", "--until-idle", "--no-notes").returncode == 0
    assert lab("exp", "wait", "last").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_leaves_no_worker_behind(
    tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOLAB_LOCAL", str(tmp_path / "local"))
    assert lab("init").returncode == 0
    Path("toy.yaml").write_text(PROTOCOL.replace("import os,json;", "import os,json,time; time.sleep(300);"))
    process = subprocess.Popen(
        [sys.executable, "-m", "lab", "run", "toy.yaml"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "1 running" in line:
            break
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGTERM else -9)
    # The next worker gets the host's lock once the other has left, and its job is in the queue again.
    paths = LabPaths(str(tmp_path))
    lock = next((tmp_path / "local").glob("daemon-*.lock"))
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
    assert not any(os.listdir(paths.run(exp)) for exp in os.listdir(paths.run_root))
