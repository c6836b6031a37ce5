"""Results: complete before they are accepted, read only through done/, refused when damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import FakeClock
from queuelab import EXP, QueueLab, spec, write

from lab import results
from lab.errors import CorruptFile, NotFound
from lab.executors.fake import FakeRun
from lab.fsio import RealFs
from lab.paths import LabPaths

BODY = {
    "metrics": {"x": {"value": 1.0, "n": 4}, "y": 2},
    "artifacts": {"net": "net.pt", "games": "games", "up": "../../x"},
}
FILES = {
    "out/result.json": json.dumps(BODY).encode(),
    "out/artifacts/net.pt": b"weights",
    "out/artifacts/games/1.sgf": b"(;)",
    "out/artifacts/games/2.sgf": b"(;)",
}


@pytest.fixture
def qlab(make_lab: Callable[..., LabPaths], fake_clock: FakeClock) -> QueueLab:
    qlab = QueueLab(make_lab(), fake_clock)
    qlab.submit(spec("a"))
    return qlab


def run(qlab: QueueLab, files: dict[str, bytes] = FILES) -> results.AcceptedResult:
    qlab.run(qlab.daemon(plan=lambda launch: FakeRun(files=files)), 4)
    return results.accepted_result(qlab.fs, qlab.paths, EXP, "a")


def test_an_accepted_result(qlab: QueueLab) -> None:
    result = run(qlab)
    result.verify(qlab.fs)
    assert set(result.files) == {*FILES, "job.json", "log.txt"}
    assert result.metric("x")["value"] == 1.0 and result.metric("y") == 2
    assert result.artifact("net") == "out/artifacts/net.pt"
    assert result.members(result.artifact("games")) == ["out/artifacts/games/1.sgf", "out/artifacts/games/2.sgf"]
    assert result.folder.endswith(f"/g{result.epoch}.{result.token.inc}")
    assert result.result["exit"] == 0 and result.result["host"]
    for missing in (lambda: result.metric("z"), lambda: result.artifact("z")):
        with pytest.raises(NotFound):
            missing()
    with pytest.raises(CorruptFile, match="outside"):
        result.artifact("up")


def test_an_attempt_without_its_token_is_not_a_result(qlab: QueueLab) -> None:
    result = run(qlab)
    Path(qlab.paths.done(EXP), result.token.name).unlink()
    assert results.accepted(qlab.fs, qlab.paths, EXP) == {}
    with pytest.raises(NotFound):
        results.accepted_result(qlab.fs, qlab.paths, EXP, "a")
    assert len(results.attempts(qlab.fs, qlab.paths, EXP, "a")) == 1


@pytest.mark.parametrize("name", ["out/artifacts/net.pt", "log.txt"])
def test_a_changed_file_is_named(qlab: QueueLab, name: str) -> None:
    result = run(qlab)
    path = Path(result.folder, name)
    path.write_bytes(b"!" * len(path.read_bytes()))
    with pytest.raises(CorruptFile) as caught:
        result.verify(qlab.fs)
    assert caught.value.path == str(path)
    path.unlink()
    with pytest.raises(CorruptFile, match="missing"):
        result.verify(qlab.fs)


@pytest.mark.parametrize("name", ["manifest.json", "result.json"])
@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"format":1}'])
def test_damaged_records_are_refused(qlab: QueueLab, name: str, damage: bytes) -> None:
    result = run(qlab)
    Path(result.folder, name).write_bytes(damage)
    with pytest.raises(CorruptFile, match=name):
        results.accepted(qlab.fs, qlab.paths, EXP)


@pytest.mark.parametrize(
    "body",
    [b"not json", b"[1]", b'{"metrics": {"x": NaN}}', b'{"metrics": {"x": 1e999}}', b'{"info": {"a": "\\ud800"}}'],
)
def test_a_task_that_writes_rubbish_has_failed(qlab: QueueLab, body: bytes) -> None:
    daemon = qlab.daemon(plan=lambda launch: FakeRun(files={"out/result.json": body}))
    qlab.run(daemon, 4)
    assert qlab.states() == {"a": "delayed"}
    assert any("result.json" in text for text in qlab.logged)
    assert not daemon.tasks


def test_links_are_no_results_and_finishing_twice_is_harmless(tmp_path: Path) -> None:
    fs = RealFs()
    write(f"{tmp_path}/g1.x/out/file", b"1")
    Path(f"{tmp_path}/g1.x/out/link").symlink_to("/etc/passwd")
    for _ in range(2):
        results.finish(fs, f"{tmp_path}/g1.x", {"job": "a"})
    assert set(json.loads(Path(f"{tmp_path}/g1.x/manifest.json").read_text())["files"]) == {"out/file"}
    assert sorted(path.name for path in Path(f"{tmp_path}/g1.x").iterdir()) == ["manifest.json", "out", "result.json"]


def test_no_checkpoint_is_no_error(qlab: QueueLab) -> None:
    assert results.newest_checkpoint(qlab.fs, qlab.paths, EXP, "a") is None
    write(f"{qlab.paths.attempt(EXP, 'a', 1, 'h-0000000000000000')}/out/checkpoint/5/w", b"no sums yet")
    said: list[str] = []
    assert results.newest_checkpoint(qlab.fs, qlab.paths, EXP, "a", said.append) is None
    assert "not complete" in said[0]


def test_a_file_whose_name_is_no_text_fails_its_job(qlab: QueueLab) -> None:
    daemon = qlab.daemon(plan=lambda launch: FakeRun(files={"out/a\udcff": b"1"}))
    qlab.run(daemon, 4)
    assert qlab.states() == {"a": "delayed"} and not daemon.tasks
    assert any("manifest.json: corrupt: cannot be written as JSON" in text for text in qlab.logged)
