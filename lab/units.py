"""Durations, sizes and times as text: the only place that knows how they are spelled."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import re

_MAX_TEXT = 64
MAX_DURATION_S = 10 * 365 * 86400.0
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_PLAIN = re.compile(rf"(?:{_NUMBER}(?:min|ms|[dhms]))+", re.ASCII)
_PART = re.compile(rf"({_NUMBER})(min|ms|[dhms])", re.ASCII)
_ISO = re.compile(
    rf"P(?=[0-9T])(?:({_NUMBER})D)?(?:T(?=[0-9])(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?", re.ASCII
)
_SIZE = re.compile(rf"({_NUMBER}) ?([A-Za-z]+)", re.ASCII)
_BYTES = {"B": 1}
for _power, _letter in enumerate("KMGTP", start=1):
    _BYTES[f"{_letter}iB"] = 1024**_power
    _BYTES[f"{_letter}B"] = 1000**_power
_BYTES["kB"] = 1000


def parse_duration(text: str) -> float:
    """Seconds in `30m`, `1h30m`, `90s`, `1.5h`, `250ms` or ISO 8601 `PT30M`; ValueError says what is wrong."""
    if not isinstance(text, str):
        raise ValueError(f"a duration needs a unit: write {text!r} as text such as 30m, 90s or 1h30m")
    total: float | None = None
    if len(text) <= _MAX_TEXT:
        if _PLAIN.fullmatch(text):
            parts = [(float(number), _SECONDS[unit]) for number, unit in _PART.findall(text)]
            scales = [scale for _, scale in parts]
            if any(later >= earlier for earlier, later in itertools.pairwise(scales)):
                raise ValueError(f"{text!r}: units go from large to small, each once, as in 1h30m")
            total = sum(number * scale for number, scale in parts)
        elif match := _ISO.fullmatch(text):
            total = sum(float(n) * s for n, s in zip(match.groups(), (86400.0, 3600.0, 60.0, 1.0)) if n is not None)
    if total is None:
        if re.fullmatch(_NUMBER, text, re.ASCII):
            raise ValueError(f"a duration needs a unit: write {text} as {text}s, {text}m or {text}h")
        raise ValueError(f"{text[:_MAX_TEXT]!r} is not a duration; write it like 30m, 90s, 1h30m or PT30M")
    if not math.isfinite(total) or total > MAX_DURATION_S:
        raise ValueError(f"{text!r} is longer than ten years")
    return total


def parse_size(text: str) -> int:
    """Bytes in `512MiB`, `2GiB` or `1.5 GB` (decimal); ValueError says what is wrong."""
    if not isinstance(text, str):
        raise ValueError(f"a size needs a unit: write {text!r} as text such as 512MiB or 2GiB")
    match = _SIZE.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if match is None or match[2] not in _BYTES:
        raise ValueError(f"{text[:_MAX_TEXT]!r} is not a size; write it like 512MiB, 2GiB (binary) or 2GB (decimal)")
    if "." in match[1]:
        return round(float(match[1]) * _BYTES[match[2]])
    return int(match[1]) * _BYTES[match[2]]


def format_duration(seconds: float, parts: int | None = None) -> str:
    """`1d2h`, `1m30s`, `250ms`; exact to the second unless fewer `parts` are wanted."""
    if not math.isfinite(seconds):
        return "?"
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    if 0 < seconds < 0.9995:
        return f"{sign}{max(1, round(seconds * 1000))}ms"
    left = round(seconds)
    words: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            words.append(f"{count}{unit}")
    return sign + "".join(words[:parts]) if words else "0s"


def format_size(count_bytes: int) -> str:
    """`512 B`, `1.5 GiB`: three figures at most, binary units."""
    value, unit = float(count_bytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if abs(value) < 1023.5 or unit == "PiB":
            break
        value /= 1024
    if unit == "B" or abs(value) >= 100:
        return f"{value:.0f} {unit}"
    return f"{value:.3g} {unit}"


def utc_now_text(wall: float) -> str:
    """Wall-clock seconds since 1970 as `2026-11-23T04:30:00Z`."""
    return dt.datetime.fromtimestamp(math.floor(wall), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_utc(text: str) -> float:
    """The inverse of `utc_now_text`, in seconds since 1970."""
    return dt.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC).timestamp()
