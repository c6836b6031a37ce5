"""The worker daemon as one synchronous step over Fs, Clock and Executor: no threads, no sleeping, no signals."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lab import attempt, results
from lab.beats import compose
from lab.errors import CorruptFile, LabError
from lab.executors import EXIT_BAD_PARAMETERS, EXIT_DONE, EXIT_PREEMPTED, Executor, Exit
from lab.fsio import dump_json, ensure_dir, replace
from lab.gpus import GpuPool
from lab.held import Chore, Code, Task, passing
from lab.host import Capacity
from lab.janitor import Janitor
from lab.job import JobState
from lab.matching import choose
from lab.queue import Queue
from lab.token import Token

CLAIMS_PER_LOOK = 64


class Daemon:
    """Claims, runs and commits jobs. `step()` does what is due and says in how many seconds the next thing is."""

    def __init__(
        self,
        queue: Queue,
        executor: Executor,
        capacity: Capacity,
        *,
        info: Mapping[str, Any] | None = None,
        gpus: GpuPool | None = None,
        code: Code | None = None,
        provenance: Mapping[str, Any] | None = None,
        janitor: Janitor | None = None,
        chores: Iterable[Chore] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.queue, self.executor, self.capacity = queue, executor, capacity
        self.inc = queue.who
        self.gpus = gpus or GpuPool([], "")
        self.janitor = janitor or Janitor(queue)
        self.chores = list(chores)
        self.tasks: dict[str, Task] = {}
        self.draining = False
        self.others_busy = True
        self.info = dict(info or {"format": 1, "inc": self.inc, "host": self.inc})
        self._code, self._environ = code, environ
        self._provenance = dict(provenance or {})
        self._clock, self._lease = queue.clock, queue.cluster.lease
        self._registered = self.left = False
        self._n = 0
        self._beat_at = self._look_at = float("-inf")
        self._contact = self._clock.monotonic()
        self._listed: frozenset[str] = frozenset()
        self._said: dict[str, str] = {}
        self.moved = False

    # what the outer loop calls

    def step(self) -> float:
        """Everything that is due now. Never raises for a file, a job or the share; says it once and goes on."""
        ended = self._guard("poll", self._poll)
        now = self._clock.monotonic()
        if now - self._beat_at >= self._lease.beat_s:
            self._guard("beat", self.beat)
        if ended or now >= self._look_at:
            self._look_at = now + self._lease.poll_s * self.queue.rng.uniform(0.8, 1.2)
            self._guard("look", self.look)
        self._limits()
        self._guard("events", self.queue.events.flush)
        now = self._clock.monotonic()
        due = min(self._look_at, self._beat_at + self._lease.beat_s)
        for task in self.tasks.values():
            if task.running and not task.stop:
                due = min(due, task.started_mono + task.spec.time_limit_s)
        return max(0.0, due - now)

    def hint(self) -> None:
        """Something may have changed: look at the next step."""
        self._look_at = float("-inf")

    def shutdown(self, *, quick: bool = False) -> None:
        """Claim nothing more and ask the tasks to leave (`quick`: at once). Go on stepping until `tasks` is empty."""
        if not self.draining:
            self.queue.events.add(cause="draining", detail=f"{len(self.tasks)} jobs")
        self.draining = True
        for task in list(self.tasks.values()):
            if task.running:
                if quick:
                    self.executor.kill(task.launch.key)  # type: ignore[union-attr]
                elif not task.stop:
                    self.executor.terminate(task.launch.key)  # type: ignore[union-attr]
                task.stop = task.stop or "draining"
        self._beat_at = float("-inf")
        self.hint()

    def leave(self) -> None:
        """The last beat, and what is left of the event log."""
        self.left = True
        self._guard("beat", self.beat)
        self._guard("events", self.queue.events.flush)

    # beats

    def beat(self) -> None:
        """Write the beat: the first one precedes the first claim, and every start is in one before it happens."""
        started = self._clock.monotonic()
        paths, fs = self.queue.paths, self.queue.fs
        if not self._registered:
            self.queue.check_sentinel()
            ensure_dir(fs, paths.inbox_of(self.inc))
            with contextlib.suppress(FileExistsError):  # this incarnation's own, from a try whose reply was lost
                fs.create(paths.info(self.inc), dump_json(self.info))
        self._n += 1
        names = frozenset(self.tasks)
        self._beat_at = started
        self.executor.beat()
        self.gpus.refresh()
        replace(fs, paths.tmp(self.queue.tmp_name()), paths.beat(self.inc), dump_json(compose(self, self._n)))
        self._registered = True
        self._listed = names
        self._contact = started

    # looking around

    def look(self) -> None:
        """One pass over the queue: own tokens, cancels, the janitor's work, claims, starts."""
        if not self._registered:
            self.beat()
        running = self._running()
        self._own(running)
        self._finish_all()
        self._guard("cancels", self._cancels)
        self._guard("watch", lambda: self.janitor.watch(running))
        self.moved = bool(self._guard("tidy", self.janitor.tidy))
        for chore in self.chores:
            self._guard("chore", chore.look)
        if not self.draining:
            self._guard("claim", self._claim)
        self._start_all()

    def _running(self) -> dict[str, list[Token]]:
        queue = self.queue
        exps = queue.fs.listdir(queue.paths.run_root)
        if not exps:
            queue.check_sentinel()
        running = {exp: queue.tokens(queue.paths.run(exp)) for exp in exps}
        self.others_busy = any(token.inc != self.inc for tokens in running.values() for token in tokens)
        return running

    def _own(self, running: dict[str, list[Token]]) -> None:
        """Kill what was taken away from this daemon; give back what it holds without knowing."""
        names = {token.name for tokens in running.values() for token in tokens}
        for name, task in list(self.tasks.items()):
            if name in names or task.stop == "fenced":
                continue
            # Listed once more, after making sure that the share is there: killing is not undone.
            self.queue.check_sentinel()
            if name in self.queue.fs.listdir(self.queue.paths.run(task.spec.exp)):
                continue
            if task.token.next().name in self.queue.fs.listdir(self.queue.paths.done(task.spec.exp)):
                # Accepted, but the reply to the rename was an error.
                self.queue.told(task.spec, JobState.running, JobState.done, task.token.next(), "exit 0")
                self._drop(task)
                self._ended(task, JobState.done)
            else:
                self._fence(task, "its token is gone from run/")
        for tokens in running.values():
            for token in tokens:
                if token.inc == self.inc and token.name not in self.tasks:
                    spec = self.queue.spec_or_none(token.job)
                    if spec is not None:
                        self.queue.give_back(spec, token, "held without knowing")

    def _fence(self, task: Task, why: str) -> None:
        self.queue.log(f"{task.spec.job}: fenced, {why}")
        self.queue.events.add(job=task.spec.job, exp=task.spec.exp, token=task.token.name, cause="fenced", detail=why)
        task.stop = "fenced"
        if task.running:
            self.executor.kill(task.launch.key)  # type: ignore[union-attr]
        else:
            self._drop(task)

    def _drop(self, task: Task) -> None:
        self.tasks.pop(task.token.name, None)
        self.gpus.release(task.token.name)

    def _cancels(self) -> None:
        for task in list(self.tasks.values()):
            if task.stop or task.exit is not None or not self.queue.cancel_intended(task.spec.job):
                continue
            task.stop = "cancelled"
            self.queue.log(f"{task.spec.job}: cancelled")
            if task.running:
                self.executor.terminate(task.launch.key)  # type: ignore[union-attr]
            else:
                self._settle(task)

    def _limits(self) -> None:
        now = self._clock.monotonic()
        for task in list(self.tasks.values()):
            if task.running and not task.stop and now - task.started_mono >= task.spec.time_limit_s:
                task.stop = "time limit"
                self.queue.log(f"{task.spec.job}: over its time limit of {task.spec.time_limit_s:g} s")
                self.executor.terminate(task.launch.key)  # type: ignore[union-attr]
        if self.tasks and now - self._contact > self._lease.fence_after_s:
            for task in list(self.tasks.values()):
                if task.stop != "fenced":
                    self._fence(task, f"the share was out of reach for {now - self._contact:.0f} s")

    # claiming and starting

    def _claim(self) -> None:
        for _ in range(CLAIMS_PER_LOOK):
            used = sum(task.spec.resources.cpus for task in self.tasks.values())
            picked = choose(self.queue, self.capacity, self.capacity.cpus - used, self.gpus.free())
            if picked is None:
                return
            spec, token = picked
            name = token.next(inc=self.inc, t=None).name
            if spec.resources.gpus and self.gpus.acquire(name, spec.resources.gpus) is None:
                return  # another program holds them
            mine: Token | None = None
            try:
                mine = self.queue.claim(spec, token)
            finally:
                if mine is None:
                    self.gpus.release(name)
            if mine is not None:
                task = self.tasks[mine.name] = Task(mine, spec)
                if self.queue.cancel_intended(spec.job):
                    task.stop = "cancelled"
                    self._settle(task)

    def _start_all(self) -> None:
        fresh = [task for task in self.tasks.values() if task.launch is None and task.exit is None and not task.stop]
        if not fresh:
            return
        if self.draining:
            for task in fresh:
                task.stop = "draining"
                self._guard("settle", lambda task=task: self._settle(task))  # type: ignore[misc]
            return
        if not all(task.token.name in self._listed for task in fresh):
            self.beat()
        for task in fresh:
            self._start(task)

    def _start(self, task: Task) -> None:
        spec, name = task.spec, task.token.name
        try:
            code_dir = None
            if spec.code_id is not None and self._code is not None:
                code_dir = self._code.ready(spec.code_id)
                if code_dir is None:
                    return  # still being made; the token is ours and listed
            task.started_mono, task.started_wall = self._clock.monotonic(), self._clock.wall()
            launch = attempt.prepare(
                self.queue,
                spec,
                task.token,
                gpus=self.gpus.indices(name),
                lock_fds=self.gpus.fds(name),
                code_dir=code_dir,
                environ=self._environ,
            )
            self.executor.start(launch)
            task.launch = launch
            self.queue.events.add(job=spec.job, exp=spec.exp, token=name, cause="started")
            self.queue.log(f"{spec.job}: started (attempt g{task.token.g})")
        except (OSError, LabError) as error:
            task.broken = f"cannot start: {error}"
            task.passing = passing(error)
            final = isinstance(error, attempt.Unbindable)
            task.exit = Exit(EXIT_BAD_PARAMETERS if final else 1)
            self._guard("settle", lambda: self._settle(task))

    # ends

    def _poll(self) -> bool:
        over = self.executor.poll()
        for key, exit_ in over.items():
            task = self.tasks.get(key)
            if task is not None:
                task.exit, task.ended_mono = exit_, self._clock.monotonic()
        if over:
            self._finish_all()
        return bool(over)

    def _finish_all(self) -> None:
        """Settle what has ended. What cannot be settled now (the share is away) is tried again at the next look."""
        for task in list(self.tasks.values()):
            if task.exit is not None:
                self._guard(f"settle {task.spec.job}", lambda task=task: self._settle(task))  # type: ignore[misc]

    def _settle(self, task: Task) -> None:
        """Turn the end of a task into the one rename that says so."""
        spec, token, queue = task.spec, task.token, self.queue
        code = task.exit.code if task.exit is not None else None
        state: JobState | None
        if task.stop == "fenced":
            self._drop(task)
            return
        if code == EXIT_DONE and not task.broken and task.stop != "cancelled":
            state = self._commit(task)
        elif task.stop == "cancelled":
            state = queue.cancel_running(spec, token)
        elif task.stop == "draining":
            state = queue.give_back(spec, token, "draining")
        elif task.stop == "time limit":
            state = queue.fail(spec, token, "time limit", f"{spec.time_limit_s:g} s")
        elif task.passing:
            state = queue.give_back(spec, token, task.broken, delay_s=queue.backoff_s)
        elif code == EXIT_PREEMPTED:
            state = queue.give_back(spec, token, "preempted", delay_s=queue.backoff_s)
        else:
            cause = "bad parameters" if code == EXIT_BAD_PARAMETERS and not task.broken else f"exit {code}"
            detail = task.exit.cause if task.exit is not None else ""
            final = code == EXIT_BAD_PARAMETERS
            state = queue.fail(spec, token, task.broken or cause, detail, final=final)
        self._drop(task)
        if state is None:
            self._fence(task, "somebody else took its token")
            return
        self._ended(task, state)

    def _ended(self, task: Task, state: JobState) -> None:
        spec, code = task.spec, task.exit.code if task.exit is not None else None
        reason = (
            f" ({task.broken or task.stop or (f'exit {code}' if code else '')})" if state is not JobState.done else ""
        )
        self.queue.log(f"{spec.job}: {state.word}{reason.replace(' ()', '')}")
        if state.terminal:
            for chore in self.chores:
                chore.ended(spec.exp)

    def _commit(self, task: Task) -> JobState | None:
        """Make the result durable, then accept it by the rename to done/."""
        assert task.launch is not None and task.exit is not None
        code = None
        try:
            code = self.queue.manifest(task.spec.exp).get("code")
        except LabError as error:
            self.queue.complain(f"manifest {task.spec.exp}", str(error), exp=task.spec.exp)
        record = attempt.record(
            task.spec,
            task.token,
            task.exit,
            argv=task.launch.argv,
            gpus=self.gpus.indices(task.token.name),
            code=code,
            provenance=self._provenance,
            host=self.info.get("host"),
        )
        try:
            results.finish(self.queue.fs, task.launch.attempt_dir, record, self._tick)
        except (OSError, CorruptFile) as error:
            if passing(error) and self._clock.monotonic() - task.ended_mono < self._lease.fence_after_s:
                raise  # the share may come back: tried again at the next look
            task.broken = f"cannot commit its result: {error}"
            self.queue.log(f"{task.spec.job}: {task.broken}")
            return self.queue.fail(task.spec, task.token, "cannot commit its result", str(error))
        return JobState.done if self.queue.complete(task.spec, task.token) else None

    def _tick(self) -> None:
        """Beats go on while a large result is hashed."""
        if self._clock.monotonic() - self._beat_at >= self._lease.beat_s:
            self._guard("beat", self.beat)

    # errors

    def _guard(self, what: str, call: Callable[[], Any]) -> Any:
        """Run one part; whatever goes wrong is said once and must not stop the rest."""
        try:
            result = call()
        except (OSError, LabError) as error:
            if what in ("watch", "look"):
                self.janitor.forget()
            kind = f"{type(error).__name__} {error.errno}" if isinstance(error, OSError) else str(error)
            self._say(what, f"{what}: {error}", kind)
            return None
        except Exception:  # a bug must not take the host's other jobs with it
            text = traceback.format_exc()
            self._say(what, f"{what}: unexpected error\n{text}", text)
            return None
        self._said.pop(what, None)
        return result

    def _say(self, what: str, text: str, kind: str) -> None:
        if self._said.get(what) != kind:
            self._said[what] = kind
            self.queue.log(text)
            self.queue.events.add(cause="error", detail=text[:2000])
