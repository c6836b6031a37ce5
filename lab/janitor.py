"""What any daemon does for the whole lab: dead daemons' jobs, ended delays, half-done submits, old temporaries."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from lab.births import expand_all, sweep_tmp
from lab.errors import LabError
from lab.queue import ODD, Queue
from lab.release import Releaser
from lab.token import Token

TMP_TTL_S = 3600.0
CHORES_S = 10.0  # how often the chores that only clean up are done


@dataclass
class _Watched:
    """What this observer has seen of one incarnation's beat, on its own clock."""

    beat: bytes | None
    since: float
    read_at: float
    # Run tokens the last beats did not list: the first such beat.
    missing: dict[str, bytes] = field(default_factory=dict)


class Janitor:
    """Watches the other daemons. Death is a beat that did not change over successful, contiguous reads."""

    def __init__(self, queue: Queue, releaser: Releaser | None = None, tmp_ttl_s: float = TMP_TTL_S) -> None:
        self._queue = queue
        self._releaser = releaser or Releaser(queue)
        self._tmp_ttl_s = tmp_ttl_s
        self._watched: dict[str, _Watched] = {}
        self._expanded: set[str] = set()
        self._tmp_seen: dict[str, float] = {}
        self._chores_at = float("-inf")
        lease = queue.cluster.lease
        self._expire_s = lease.expire_s
        self._gap_s = lease.expire_s / 3

    def forget(self) -> None:
        """Start every observation over: something went wrong between two reads."""
        self._watched.clear()

    def watch(self, running: dict[str, list[Token]]) -> int:
        """Look at the beats of all who hold a token in run/ (by experiment); take from the dead. Tokens moved."""
        queue = self._queue
        holders: dict[str, list[Token]] = {}
        for tokens in running.values():
            for token in tokens:
                if token.inc is not None and token.inc != queue.who:
                    holders.setdefault(token.inc, []).append(token)
        for inc in set(self._watched) - set(holders):
            del self._watched[inc]
        moved = 0
        for inc, tokens in holders.items():
            try:
                moved += self._watch_one(inc, tokens)
            except OSError:
                self._watched.pop(inc, None)
                raise
        return moved

    def _watch_one(self, inc: str, tokens: list[Token]) -> int:
        queue = self._queue
        started = queue.clock.monotonic()
        try:
            beat: bytes | None = queue.fs.read(queue.paths.beat(inc), 1 << 22)
        except FileNotFoundError:
            beat = None  # counts as unchanged: a first beat precedes a first claim
        except OSError as error:
            if error.errno not in ODD:
                raise
            queue.complain(f"odd beat {inc}", f"{queue.paths.beat(inc)}: {error.strerror}, not a beat")
            beat = None
        now = queue.clock.monotonic()
        seen = self._watched.get(inc)
        if seen is None or started - seen.read_at > self._gap_s or now - started > self._gap_s:
            self._watched[inc] = _Watched(beat, now, now)
            return 0
        changed = beat is not None and beat != seen.beat
        seen.read_at = now
        if changed:
            seen.beat, seen.since = beat, now
            return self._unlisted(inc, seen, tokens)
        if now - seen.since >= self._expire_s:
            return self._take(tokens, f"no sign of life from {inc} for {now - seen.since:.0f} s")
        return 0

    def _unlisted(self, inc: str, seen: _Watched, tokens: list[Token]) -> int:
        """A daemon that lives but lists a token in none of two different beats does not know that it holds it."""
        assert seen.beat is not None
        listed = listed_in(seen.beat)
        if listed is None:
            self._queue.complain(f"beat {inc}", f"{self._queue.paths.beat(inc)}: not a beat")
            return 0
        missing = [token for token in tokens if token.name not in listed]
        lost = [token for token in missing if seen.missing.get(token.name, seen.beat) != seen.beat]
        seen.missing = {token.name: seen.missing.get(token.name, seen.beat) for token in missing}
        return self._take(lost, f"{inc} lives but does not know it has this job")

    def _take(self, tokens: list[Token], cause: str) -> int:
        moved = 0
        for token in tokens:
            spec = self._queue.spec_or_none(token.job)
            if spec is not None and self._queue.lose(spec, token, cause) is not None:
                self._queue.log(f"{token.job}: taken back, {cause}")
                moved += 1
        return moved

    def tidy(self) -> int:
        """Delayed jobs whose time has come, half-done submits, releases; now and then old temporaries."""
        queue = self._queue
        moved = expand_all(queue, self._expanded)
        wall = queue.clock.wall()
        for token in queue.tokens(queue.paths.delayed):
            if (token.t or 0) <= wall:
                moved += queue.wake(token)
        moved += self._releaser.release()
        now = queue.clock.monotonic()
        if now - self._chores_at >= CHORES_S:
            self._chores_at = now
            sweep_tmp(queue, self._tmp_seen, self._tmp_ttl_s)
        return moved


def listed_in(beat: bytes) -> frozenset[str] | None:
    """The run/ tokens a beat lists; None if it is no beat."""
    try:
        tokens = json.loads(beat)["tokens"]
        return frozenset(tokens) if all(isinstance(name, str) for name in tokens) else None
    except (ValueError, KeyError, TypeError, RecursionError, LabError):
        return None
