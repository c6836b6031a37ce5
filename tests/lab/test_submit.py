"""Submitting by command and through the inbox: all or nothing, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import FakeClock
from queuelab import QueueLab

from lab import births, submit
from lab.errors import LabError, ProtocolErrors, UsageError
from lab.fsio import RealFs
from lab.paths import LabPaths
from lab.tasks import TaskRegistry

GOOD = """\
version: 1
title: t
question: q?
hypothesis: h
theme: plumbing
steps:
  - {id: one, run: ["true"], time: 1m}
  - {id: two, run: ["true"], time: 1m, needs: one}
decision: {rule: exploratory}
"""
REGISTRY = TaskRegistry({"known": dict})


@pytest.fixture
def qlab(make_lab: Callable[..., LabPaths], fake_clock: FakeClock) -> QueueLab:
    return QueueLab(make_lab(), fake_clock)


def put(qlab: QueueLab, name: str, text: str = GOOD) -> Path:
    path = Path(qlab.paths.inbox, name)
    path.write_text(text)
    return path


def inbox(qlab: QueueLab, who: str = "host-00000000000000aa") -> submit.Inbox:
    return submit.Inbox(qlab.actor(who), REGISTRY, freeze=False)


def send(qlab: QueueLab, text: str = GOOD, **options: bool) -> str:
    path = Path(qlab.paths.protocols, "my-thing.yaml")
    path.write_text(text)
    return submit.submit(qlab.paths, str(path), qlab.clock, registry=REGISTRY, freeze=False, **options)


def test_a_submit_is_ready_to_start(qlab: QueueLab) -> None:
    exp = send(qlab)
    assert exp.startswith("my-thing-")
    assert sorted(qlab.states().values()) == ["ready", "waiting"]
    assert births.unexpanded(qlab.queue, set()) == []
    manifest = json.loads(Path(qlab.paths.manifest(exp)).read_text())
    assert manifest["protocol_text"] == GOOD and manifest["code"] is None
    assert send(qlab) != exp, "a second submit is a second instance"
    with pytest.raises(UsageError, match=exp.rpartition("-")[0]):
        send(qlab, once=True)


def test_a_bad_protocol_queues_nothing(qlab: QueueLab) -> None:
    with pytest.raises(ProtocolErrors):
        send(qlab, GOOD.replace("needs: one", "needs: three").replace("version: 1", "version: 7"))
    assert qlab.states() == {} and qlab.queue.exps() == []


@pytest.mark.parametrize("where", ["births.expand", "fsync_dir"])
def test_an_interrupt_after_the_commit_says_how_to_go_on(
    qlab: QueueLab, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def interrupted(*args: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        target, name = (submit.births, "expand") if where == "births.expand" else (RealFs, "fsync_dir")
        patch.setattr(target, name, interrupted)
        with pytest.raises(LabError, match="is submitted") as caught:
            send(qlab)
    assert caught.value.exit_code == 130
    assert caught.value.hint is not None and "lab exp cancel my-thing-" in caught.value.hint
    assert births.expand_all(qlab.actor("host-00000000000000aa"), set()) == 2


def test_the_inbox_takes_a_file_after_two_equal_reads(qlab: QueueLab) -> None:
    box = inbox(qlab)
    path = put(qlab, "drop.yaml", GOOD[:100])
    assert box.look() and qlab.queue.exps() == []
    qlab.clock.advance(2.5)
    path.write_text(GOOD)  # still being written
    box.look()
    qlab.clock.advance(1.0)
    box.look()
    assert path.exists()
    qlab.clock.advance(1.5)
    box.look()
    assert not path.exists()
    assert [exp.rpartition("-")[0] for exp in qlab.queue.exps()] == ["drop"]
    assert len(qlab.states()) == 2 and not qlab.fs.listdir(qlab.paths.tmp_dir)
    assert not box.look()


def test_a_bad_inbox_file_is_kept_with_its_errors(qlab: QueueLab) -> None:
    box = inbox(qlab)
    put(qlab, "bad.yaml", GOOD.replace("title: t", "titel: t").replace("needs: one", "needs: none"))
    put(qlab, "noise.yaml", "{{{{")
    for _ in range(3):
        box.look()
        qlab.clock.advance(2.5)
    names = sorted(qlab.fs.listdir(qlab.paths.rejected))
    assert len(names) == 4 and not qlab.fs.listdir(qlab.paths.inbox)
    errors = next(Path(qlab.paths.rejected).glob("bad-*.errors.txt")).read_text()
    assert "titel" in errors and "none" in errors and ":2:" in errors
    assert qlab.queue.exps() == []


def test_strange_things_in_the_inbox(qlab: QueueLab, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(GOOD)
    Path(qlab.paths.inbox, "link.yaml").symlink_to(secret)
    Path(qlab.paths.inbox, "folder.yaml").mkdir()
    for name in (".hidden.yaml", "editing.yaml~", "half.tmp", "readme.txt"):
        put(qlab, name)
    put(qlab, "foreign.yaml", GOOD.replace('run: ["true"]', "task: elsewhere.thing"))
    box = inbox(qlab)
    for _ in range(4):
        box.look()
        qlab.clock.advance(3)
    assert qlab.queue.exps() == []
    assert secret.read_text() == GOOD
    left = sorted(path.name for path in Path(qlab.paths.inbox).iterdir())
    assert left == [".hidden.yaml", "editing.yaml~", "foreign.yaml", "half.tmp", "readme.txt"]
    assert not box.pending


def test_a_file_taken_by_a_daemon_that_died_is_finished_by_another(qlab: QueueLab) -> None:
    Path(qlab.paths.tmp("host-00000000000000bb.inbox.drop-abc234.yaml")).write_text(GOOD)
    box = inbox(qlab)
    box.look()
    assert qlab.queue.exps() == []
    qlab.clock.advance(31)
    box.look()
    assert qlab.queue.exps() == ["drop-abc234"] and len(qlab.states()) == 2


def test_code_that_cannot_be_frozen_rejects_the_inbox_file_with_the_reason(
    qlab: QueueLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_git(*args: object) -> None:
        raise LabError("git is not installed", "install git")

    monkeypatch.setattr("lab.code.freeze", no_git)
    box = submit.Inbox(qlab.actor("host-00000000000000aa"), REGISTRY)
    put(qlab, "mine.yaml")
    for _ in range(4):
        box.look()
        qlab.clock.advance(2.5)
    assert not box.pending and qlab.fs.listdir(qlab.paths.exps) == []
    errors = [name for name in qlab.fs.listdir(qlab.paths.rejected) if name.endswith(".errors.txt")]
    assert qlab.fs.read(f"{qlab.paths.rejected}/{errors[0]}") == b"git is not installed\ninstall git\n"
