"""Durations, sizes and times as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.units import format_duration, format_size, parse_duration, parse_size, parse_utc, utc_now_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30m", 1800),
        ("1h30m", 5400),
        ("90s", 90),
        ("1.5h", 5400),
        ("250ms", 0.25),
        ("2d", 172800),
        ("5min", 300),
        ("PT30M", 1800),
        ("P1DT2H", 93600),
        ("0s", 0),
    ],
)
def test_durations_parse(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "30",
        "1.5",
        "m",
        "30 m",
        "30m1h",
        "1h1h",
        "-5s",
        "1e3s",
        "PT",
        "P",
        "P1DT",
        "30M",
        "5x",
        "99999d",
        "٣m",
        "9" * 80 + "s",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


def test_a_bare_number_is_told_to_take_a_unit() -> None:
    with pytest.raises(ValueError, match="30s, 30m or 30h"):
        parse_duration("30")
    with pytest.raises(ValueError, match="unit"):
        parse_duration(30)  # type: ignore[arg-type]


@given(st.integers(0, 300 * 86400))
def test_whole_seconds_survive_the_round_trip(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


def test_durations_can_be_shortened() -> None:
    assert format_duration(93784) == "1d2h3m4s"
    assert format_duration(93784, parts=2) == "1d2h"
    assert format_duration(0.25) == "250ms"
    assert format_duration(-90) == "-1m30s"
    assert format_duration(float("inf")) == "?"


@pytest.mark.parametrize(
    ("text", "count"),
    [("2GiB", 2 << 30), ("512MiB", 512 << 20), ("1.5 GB", 1_500_000_000), ("7 B", 7), ("1kB", 1000), ("1KB", 1000)],
)
def test_sizes_parse(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "2", "2G", "2gib", "-1GiB", "GiB", "1e3MiB", "1  GiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_size(text)


def test_sizes_print_with_three_figures() -> None:
    assert [format_size(n) for n in (0, 512, 1536, 2 << 30, 1023, 1024**2 - 1)] == [
        "0 B",
        "512 B",
        "1.5 KiB",
        "2 GiB",
        "1023 B",
        "1 MiB",
    ]


def test_times_are_utc_and_come_back() -> None:
    assert utc_now_text(1_000_000_000.9) == "2001-09-09T01:46:40Z"
    assert parse_utc("2001-09-09T01:46:40Z") == 1_000_000_000
