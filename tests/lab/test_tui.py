"""The status screen: nothing is cut in a pipe, ids are never cut on a terminal, and ASCII is enough."""

from __future__ import annotations

import io
from pathlib import Path

import labfiles as files
import pytest
from rich.console import Console

from lab.status import StatusSnapshot, take_snapshot
from lab.tui import amount, bar, plain_lines, screen, screen_of_running

JOB = "learn-search-fixed-100-8c1f09b2aa"


@pytest.fixture
def busy(tmp_path: Path) -> StatusSnapshot:
    """A lab with one of everything."""
    paths = files.first_light(tmp_path)
    exp = "sweep-k2k2k2"
    names = [JOB, "learn-search-fixed-200-8c1f09b2ab", "wait-8c1f09b2ac", "bad-8c1f09b2ad"]
    files.add_experiment(paths, [files.spec(name, "learn", exp=exp) for name in names], exp=exp)
    token = files.place(paths.run(exp), JOB, f"g2.l0.f0.{files.INC}")
    files.place(paths.run(exp), names[1], "g2.l0.f0.host-b-00000000000000ff", 1)
    files.place(paths.ready("cpu", 5), names[2], "g1.l0.f0", 2)
    files.place(paths.failed, names[3], f"g9.l0.f3.{files.INC}", 3)
    files.event(paths, {"at": "2026-11-23T05:00:00Z", "job": names[3], "exp": exp, "from": "running", "to": "failed",
                        "cause": "exit 1", "detail": "RuntimeError: shapes\tdo not match"})  # fmt: skip
    job = {"job": JOB, "token": token, "epoch": 2, "elapsed_s": 600.4, "time_limit_s": 2400,
           "progress": {"done": 1234, "total": 5000, "unit": "games", "rate": 12.3},
           "metric": {"name": "loss.policy", "value": 2.3411}}  # fmt: skip
    gpu = {"index": 0, "name": "NVIDIA H200", "holder": JOB, "util_pct": 93, "mem_used_bytes": 40 << 30,
           "mem_total_bytes": 140 << 30, "temp_c": 61}  # fmt: skip
    files.beat(paths, jobs=[job], gpus=[gpu], cpus={"total": 4, "used": 2})
    return take_snapshot(files.FS, paths, files.Clock())


def draw(snapshot: StatusSnapshot, width: int, *, unicode: bool = True, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    console = Console(file=out, width=width, color_system=None, highlight=False, markup=False, emoji=False)
    console.print(screen(snapshot, width, unicode=unicode))
    return raw.getvalue().decode(encoding)


def test_a_pipe_gets_whole_rows_with_headers(busy: StatusSnapshot) -> None:
    lines = list(plain_lines(busy))
    header = next(line for line in lines if line.startswith("RUNNING\tEXPERIMENT"))
    rows = [line for line in lines if line.startswith(JOB)]
    assert len(rows) == 1 and len(rows[0].split("\t")) == len(header.split("\t"))
    assert "1234/5000 games" in rows[0]
    assert not any("\x1b" in line or "…" in line for line in lines)
    ended = next(line for line in lines if line.startswith("bad-8c1f09b2ad"))
    assert len(ended.split("\t")) == 6, "a tab in a cause must not make a column"


@pytest.mark.parametrize("width", [80, 120, 200])
def test_ids_are_never_cut_on_a_terminal(busy: StatusSnapshot, width: int) -> None:
    text = draw(busy, width)
    running = text.split("Running", 1)[1]
    for job in (JOB, "learn-search-fixed-200-8c1f09b2ab", "wait-8c1f09b2ac", "bad-8c1f09b2ad"):
        assert job in running
    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines())


def test_states_have_words_beside_colours(busy: StatusSnapshot) -> None:
    text = draw(busy, 200)
    for word in ("● running 2", "✗ failed 1", "○ ready 1", "✓ done 3", "● up", "? gone", "93 %"):
        assert word in text


def test_ascii_is_enough(busy: StatusSnapshot) -> None:
    text = draw(busy, 120, unicode=False)
    assert "* running 2" in text and "#" in text
    assert set(text) - set(map(chr, range(128))) <= {"–"}  # the stream turns a dash into a hyphen


def test_an_unknown_total_draws_no_bar(busy: StatusSnapshot) -> None:
    text = draw(busy, 200)
    row = next(line for line in text.splitlines() if "fixed-200" in line)
    assert "█" not in row and "░" not in row and "no progress yet" in row


def test_an_empty_lab_says_how_to_go_on(tmp_path: Path) -> None:
    snap = take_snapshot(files.FS, files.new_lab(tmp_path), files.Clock())
    text = draw(snap, 80)
    assert "lab worker starts one" in text and "lab submit FILE fills it" in text
    assert "no GPUs" in list(plain_lines(snap))


def test_long_lists_say_how_many_more(busy: StatusSnapshot) -> None:
    busy.pending = busy.pending * 50
    assert "and 30 more: lab job list" in draw(busy, 120)


def test_the_running_screen_of_one_experiment(busy: StatusSnapshot) -> None:
    raw = io.StringIO()
    Console(file=raw, width=120, color_system=None).print(screen_of_running(busy, "head", 120, unicode=True))
    assert raw.getvalue().startswith("head") and JOB in raw.getvalue()


@pytest.mark.parametrize(
    ("share", "drawn"), [(None, "    "), (0.0, "...."), (0.5, "##.."), (1.0, "####"), (7.0, "####"), (-1.0, "....")]
)
def test_bars(share: float | None, drawn: str) -> None:
    assert bar(share, 4, False) == drawn


@pytest.mark.parametrize(("value", "text"), [(7, "7"), (12.34, "12.3"), (12345, "12.3k"), (2.5e6, "2.5M"), (1e9, "1G")])
def test_amounts(value: float, text: str) -> None:
    assert amount(value) == text
