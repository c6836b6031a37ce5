"""Waiting jobs whose needs are met become ready; those whose needs failed are cancelled until a retry."""

from __future__ import annotations

from lab.job import JobState
from lab.queue import Queue
from lab.token import Token

WINDOW = 1000  # tokens in ready/ at most: every change makes every poller list the whole folder again
BAD = (JobState.failed, JobState.quarantine, JobState.cancelled)


class Releaser:
    """Derives waiting, ready and cancelled from the needs. Any daemon may run it: a race moves a token once."""

    def __init__(self, queue: Queue, window: int = WINDOW) -> None:
        self._queue = queue
        self._window = window
        self._bad_names: frozenset[str] = frozenset()

    def release(self) -> int:
        """One pass; the number of tokens moved."""
        queue = self._queue
        waiting = queue.tokens(queue.paths.waiting)
        # Needs are listed after the dependents: what is seen of a need is at least as new as the dependent's token.
        bad = {state: queue.tokens(queue.folder_of(state)) for state in BAD}
        moved = self._revive(bad, waiting)
        return moved + self._pass(waiting, {token.job for tokens in bad.values() for token in tokens})

    def _pass(self, waiting: list[Token], bad: set[str]) -> int:
        queue = self._queue
        if not waiting:
            return 0
        done: dict[str, set[str]] = {}
        room: int | None = None
        moved = 0
        for token in waiting:
            spec = queue.spec_or_none(token.job)
            if spec is None:
                continue
            if any(need in bad for need in spec.needs):
                moved += queue.go(spec, JobState.waiting, token, JobState.cancelled, token.next(), "dependency")
                bad.add(spec.job)
                continue
            if spec.needs:
                if spec.exp not in done:
                    done[spec.exp] = {other.job for other in queue.tokens(queue.paths.done(spec.exp))}
                if not done[spec.exp].issuperset(spec.needs):
                    continue
            if room is None:
                room = self._window - self._ready_count()
            if room <= 0:
                continue
            if queue.go(spec, JobState.waiting, token, JobState.ready, token.next(), "needs are met"):
                moved += 1
                room -= 1
        return moved

    def _ready_count(self) -> int:
        return sum(len(self._queue.fs.listdir(folder)) for folder in self._queue.ready_folders.values())

    def _revive(self, bad: dict[JobState, list[Token]], waiting: list[Token]) -> int:
        """Bring back what a dependency had cancelled and no longer does. Revived tokens are added to `waiting`."""
        names = frozenset(token.name for tokens in bad.values() for token in tokens)
        if names == self._bad_names:
            return 0
        queue = self._queue
        moved = 0
        again = True
        while again:
            again = False
            jobs = {token.job for tokens in bad.values() for token in tokens}
            for token in list(bad[JobState.cancelled]):
                spec = queue.spec_or_none(token.job)
                if spec is None or any(need in jobs for need in spec.needs) or queue.cancel_intended(token.job):
                    continue
                back = token.next(inc=None)
                bad[JobState.cancelled].remove(token)
                again = True
                if queue.go(spec, JobState.cancelled, token, JobState.waiting, back, "dependency is back"):
                    waiting.append(back)
                    moved += 1
        self._bad_names = frozenset(token.name for tokens in bad.values() for token in tokens)
        return moved
