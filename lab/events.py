"""The event log: one line for every transition with its cause, appended by one writer per file."""

from __future__ import annotations

import json

from lab.clock import Clock
from lab.fsio import Fs, ensure_dir
from lab.paths import LabPaths
from lab.units import utc_now_text

MAX_BUFFERED = 10_000
LINES_PER_FILE = 100_000


class EventLog:
    """Collects events of one incarnation; `flush` appends them in one call. A failed flush keeps them."""

    def __init__(self, fs: Fs, clock: Clock, paths: LabPaths, who: str) -> None:
        self._fs, self._clock, self._paths, self._who = fs, clock, paths, who
        self._lines: list[str] = []
        self._n = 0
        self._in_file = 0
        self._ready = self._torn = False
        self.dropped = 0

    def add(
        self,
        *,
        job: str = "",
        exp: str = "",
        source: str = "",
        to: str = "",
        token: str = "",
        cause: str,
        detail: str = "",
    ) -> None:
        """Remember one event; `source` and `to` are words of JobState, `token` the new name."""
        if len(self._lines) >= MAX_BUFFERED:
            self.dropped += 1
            return
        at = utc_now_text(self._clock.wall())
        event = {"at": at, "inc": self._who, "job": job, "exp": exp, "from": source, "to": to}
        event |= {"token": token, "cause": cause, "detail": detail}
        self._lines.append(json.dumps(event, ensure_ascii=False, separators=(",", ":")))

    def flush(self) -> None:
        """Append what is there. After an error the next try begins a new line: the last one may be half a line."""
        if not self._lines:
            return
        try:
            if not self._ready:
                ensure_dir(self._fs, self._paths.events_dir(self._who))
                self._ready = True
            data = ("\n" if self._torn else "") + "\n".join(self._lines) + "\n"
            # A name that is no text (of a stray file) becomes an escape, which JSON reads.
            self._fs.append(self._paths.events(self._who, self._n), data.encode("utf-8", "backslashreplace"))
        except OSError:
            self._torn = True
            raise
        self._torn = False
        self._in_file += len(self._lines)
        self._lines.clear()
        if self._in_file >= LINES_PER_FILE:
            self._n += 1
            self._in_file = 0
