"""What every daemon does for all: delays that end, releases, and beats that are no beats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import FakeClock
from queuelab import QueueLab, spec

from lab.host import Capacity
from lab.janitor import Janitor, listed_in
from lab.matching import choose
from lab.paths import LabPaths

ME, OTHER = "host-00000000000000aa", "host-00000000000000bb"


@pytest.fixture
def qlab(make_lab: Callable[..., LabPaths], fake_clock: FakeClock) -> QueueLab:
    qlab = QueueLab(make_lab(), fake_clock)
    qlab.submit(spec("a"))
    queue = qlab.actor(OTHER)
    picked = choose(queue, Capacity(cpus=1), 1, 0)
    assert picked is not None and queue.claim(*picked) is not None
    qlab.fs.makedirs(qlab.paths.worker_dir(OTHER))
    return qlab


def look(qlab: QueueLab, janitor: Janitor, seconds: float, each_s: float = 2.0) -> int:
    moved = 0
    queue = qlab.actor(ME)
    for _ in range(int(seconds / each_s)):
        moved += janitor.watch({exp: queue.tokens(qlab.paths.run(exp)) for exp in qlab.fs.listdir(qlab.paths.run_root)})
        qlab.clock.advance(each_s)
    return moved


def test_a_missing_beat_counts_as_unchanged(qlab: QueueLab) -> None:
    janitor = Janitor(qlab.actor(ME))
    assert look(qlab, janitor, 88) == 0
    assert look(qlab, janitor, 6) == 1


def test_a_gap_between_reads_starts_over(qlab: QueueLab) -> None:
    janitor = Janitor(qlab.actor(ME))
    look(qlab, janitor, 80)
    qlab.clock.advance(31)  # more than a third of the lease
    assert look(qlab, janitor, 80) == 0
    assert look(qlab, janitor, 14) == 1


def test_an_error_starts_over(qlab: QueueLab, monkeypatch: pytest.MonkeyPatch) -> None:
    janitor = Janitor(qlab.actor(ME))
    look(qlab, janitor, 80)

    def broken(*args: object, **kwargs: object) -> bytes:
        raise OSError(5, "EIO")

    with monkeypatch.context() as patch:
        patch.setattr(type(qlab.fs), "read", broken)
        with pytest.raises(OSError, match="EIO"):
            look(qlab, janitor, 2)
    assert look(qlab, janitor, 80) == 0
    assert look(qlab, janitor, 14) == 1


def test_a_changing_beat_that_lists_it_keeps_it(qlab: QueueLab) -> None:
    janitor = Janitor(qlab.actor(ME))
    name = qlab.queue.find("a")[1].name
    for n in range(100):
        Path(qlab.paths.beat(OTHER)).write_text(f'{{"n":{n},"tokens":["{name}"]}}')
        assert look(qlab, janitor, 4) == 0


def test_a_corrupt_beat_is_reported_once_and_takes_nothing(qlab: QueueLab) -> None:
    janitor = Janitor(qlab.actor(ME))
    for n in range(60):
        Path(qlab.paths.beat(OTHER)).write_text(f"rubbish {n}")
        assert look(qlab, janitor, 2) == 0
    assert listed_in(b"rubbish") is None and listed_in(b'{"tokens": [1]}') is None
    assert [text for text in qlab.logged if "not a beat" in text].__len__() == 1


def test_a_delay_ends_by_the_wall_clock(qlab: QueueLab) -> None:
    token = qlab.queue.find("a")[1]
    qlab.actor(OTHER).fail(spec("a"), token, "exit 1")
    janitor = Janitor(qlab.actor(ME))
    janitor.tidy()
    assert qlab.states() == {"a": "delayed"}
    qlab.clock.advance(11)
    janitor.tidy()
    assert qlab.states() == {"a": "ready"}


def test_a_beat_that_is_a_folder_does_not_stop_the_watch(qlab: QueueLab) -> None:
    Path(qlab.paths.beat(OTHER)).mkdir()
    assert look(qlab, Janitor(qlab.actor(ME)), 94) == 1
    assert sum("not a beat" in text for text in qlab.logged) == 1
