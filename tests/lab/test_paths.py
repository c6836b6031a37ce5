"""File names, and finding the lab."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import NotFound
from lab.paths import LabPaths, find_lab


def test_names_are_those_of_the_format() -> None:
    paths = LabPaths("/lab/")
    assert paths.queue_id == "/lab/queue/QUEUE_ID"
    assert paths.manifest("a-bcdefg") == "/lab/queue/exps/a-bcdefg/manifest.json"
    assert paths.spec("learn-8c1f09b2aa") == "/lab/queue/jobs/learn-8c1f09b2aa/spec.json"
    assert paths.cancel("learn-8c1f09b2aa") == "/lab/queue/jobs/learn-8c1f09b2aa/cancel"
    assert paths.ready("gpuN", 5) == "/lab/queue/ready/gpuN/5"
    assert paths.beat("h-0123456789abcdef") == "/lab/queue/workers/h-0123456789abcdef/beat"
    assert paths.events("h-0123456789abcdef", 3) == "/lab/queue/events/h-0123456789abcdef/3.jsonl"
    assert paths.attempt("a-bcdefg", "j", 2, "h-0123456789abcdef") == "/lab/results/a-bcdefg/j/g2.h-0123456789abcdef"
    assert paths.code_tar("ab") == "/lab/queue/code/ab.tar"
    assert LabPaths("/").queue == "/queue"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a\0b"])
def test_a_name_cannot_leave_its_folder(name: str) -> None:
    with pytest.raises(ValueError):
        LabPaths("/lab").spec(name)


def test_the_nearest_parent_with_a_queue_id_is_the_lab(make_lab: Callable[..., LabPaths]) -> None:
    outer = make_lab("outer")
    inner = make_lab("outer/in ner")
    deep = Path(inner.root) / "a" / "b"
    deep.mkdir(parents=True)
    assert find_lab(str(deep)) == inner
    assert find_lab(outer.protocols) == outer


def test_naming_a_lab_wins_and_is_not_second_guessed(
    make_lab: Callable[..., LabPaths], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one, two = make_lab("one"), make_lab("two")
    assert find_lab(one.root, two.root) == two
    monkeypatch.setenv("LAB_ROOT", one.root)
    assert find_lab(two.root) == one
    assert find_lab(one.root, two.root) == two
    with pytest.raises(NotFound, match="not a lab"):
        find_lab(one.root, str(tmp_path))


def test_no_lab_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        find_lab(str(tmp_path))
    assert caught.value.hint == "lab init ."
    assert caught.value.exit_code == 3


def test_the_skeleton_lists_parents_first() -> None:
    seen = {"/lab"}
    for folder in LabPaths("/lab").skeleton():
        assert folder.rpartition("/")[0] in seen
        seen.add(folder)
