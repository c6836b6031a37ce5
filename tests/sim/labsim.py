"""A seeded simulation: several real daemons over one faulty file system, and what must be true in the end.

Replay one seed with a trace: python tests/sim/labsim.py SEED
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from memfs import Crash, Disk, Faults, MemFs

from lab import births, queue_ops, results
from lab.cluster import Cluster, Lease
from lab.daemon import Daemon
from lab.errors import LabError
from lab.executors import Launch
from lab.executors.fake import FakeExecutor, FakeRun
from lab.fsio import dump_json
from lab.host import Capacity
from lab.janitor import Janitor
from lab.job import Input, JobSpec, JobState, Resources
from lab.paths import LabPaths
from lab.queue import Queue, parse_token
from lab.release import Releaser

PATHS = LabPaths("/lab")
CLUSTER = Cluster(
    lab="sim",
    queue_id="0123456789abcdef",
    lease=Lease(beat="4s", expire="18s", poll="2s", fence_after="60s", grace="2s"),
)
CHAOS_S = 45.0
LIMIT_S = 900.0
WALL = 1_790_000_000.0
TERMINAL = {state.word for state in JobState if state.terminal}


class Violation(AssertionError):
    """Something that must never be."""


@dataclass
class HostClock:
    """A host's own idea of time: another zero, a slightly other rate, another date."""

    world: World
    zero: float
    rate: float
    wall_off: float

    def monotonic(self) -> float:
        return self.zero + self.rate * self.world.now

    def wall(self) -> float:
        return WALL + self.wall_off + self.world.now

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing sleeps in here")


@dataclass
class Host:
    """A machine that runs one daemon at a time."""

    name: str
    clock: HostClock
    lives: int = 0
    daemon: Daemon | None = None
    fs: MemFs | None = None
    due: float = 0.0
    stopped: float = float("inf")  # since when it does not run, if it is stopped


@dataclass
class Behaviour:
    """How a job's attempts go."""

    seconds: float
    fails: int = 0
    code: int = 1
    preempts: int = 0
    hangs: int = 0


@dataclass
class World:
    """One run. Everything random comes from the seed."""

    seed: int
    tracing: bool = False
    now: float = 0.0
    disk: Disk = field(default_factory=Disk)
    trace: list[str] = field(default_factory=list)
    calm: bool = False

    def __post_init__(self) -> None:
        self.rng = rng = random.Random(self.seed)
        level = rng.choice((0.3, 1.0, 2.0))
        self.faults = Faults(
            lost=rng.choice((0.0, 0.03, 0.08)) * level,
            crash=rng.choice((0.0, 0.0005, 0.002)) * level,
            error=rng.choice((0.0, 0.002, 0.008)) * level,
            pause=rng.choice((0.002, 0.01)) * level,
        )
        self.short = 0.75  # share of the pauses that are over after somebody else's step
        self.stall = rng.choice((0.0, 0.05, 0.1))
        if rng.random() < 0.25:  # few faults of other kinds, but everybody stops at the wrong moments
            self.stall, self.faults.moving, self.faults.pause, self.short = 0.6, 0.4, 0.001, 0.97
        self.wrong: list[str] = []
        for folder in PATHS.skeleton():
            self.disk.makedirs(folder)
        self.clean = MemFs(self.disk, "observer")
        self.clean.create(PATHS.queue_id, dump_json({"format": 1, "id": CLUSTER.queue_id, "created": ""}))
        self.hosts = [
            Host(f"h{n}", HostClock(self, rng.uniform(0, 1e6), rng.uniform(0.98, 1.02), rng.uniform(-30, 30)))
            for n in range(rng.choice((2, 2, 3)))
        ]
        self.stack: list[str] = []
        self.behaviour: dict[str, Behaviour] = {}
        self.crashed: set[str] = set()
        self.cancels: set[str] = set()
        self.script: list[tuple[float, Callable[[], None]]] = []
        for number in range(rng.choice((1, 1, 2))):
            manifest = self.make_experiment(number)
            self.script.append((rng.uniform(0, 8), lambda manifest=manifest: self.submit(manifest)))
            jobs = [job["job"] for job in manifest["jobs"]]
            if rng.random() < 0.25:
                job = rng.choice(jobs)
                self.script.append((rng.uniform(2, 40), lambda job=job: self.cancel(job)))
            if rng.random() < 0.25:
                exp = manifest["exp"]
                self.script.append((rng.uniform(10, 44), lambda exp=exp: self.retry(exp)))
        for host in self.hosts:
            host.due = rng.uniform(0, 3)

    # the work

    def make_experiment(self, number: int) -> dict:
        rng = self.rng
        exp = f"exp{number}-aaaaaa"
        count = rng.choice((2, 3, 4))
        names = [f"s{i}-{number}{i}{self.seed % 10**8:08d}" for i in range(count)]
        needs: list[list[int]] = [[]]
        for i in range(1, count):
            needs.append(sorted(rng.sample(range(i), rng.choice((0, 1, 1, min(2, i))))))
        jobs = []
        for i, name in enumerate(names):
            kind = rng.random()
            self.behaviour[name] = Behaviour(
                seconds=rng.uniform(0.2, 7.0),
                fails=0 if kind < 0.6 else rng.choice((1, 1, 2, 9)) if kind < 0.8 else 0,
                code=rng.choice((1, 1, 2, -9)),
                preempts=1 if 0.8 <= kind < 0.9 else 0,
                hangs=1 if kind >= 0.9 else 0,
            )
            spec = JobSpec(
                job=name,
                exp=exp,
                seq=f"{1790000000000 + number:013d}{i:05d}",
                step=f"s{i}",
                argv=("pretend",),
                params={f"from{n}": f"${{steps.s{n}.artifacts.a}}" for n in needs[i]},
                needs=tuple(names[n] for n in needs[i]),
                inputs={f"s{n}": Input((names[n],)) for n in needs[i]},
                resources=Resources(cpus=rng.choice((1, 1, 2))),
                time_limit_s=15.0,
                grace_s=2.0,
                max_failures=3,
                max_losses=rng.choice((3, 6)),
                prio=rng.choice((4, 5)),
            )
            jobs.append(spec.to_dict())
        return {
            "format": 1, "exp": exp, "slug": f"exp{number}", "title": "t", "created": "", "submitted_by": "sim",
            "protocol_sha256": "", "protocol_text": "text", "protocol": {}, "code": None, "decision": {}, "jobs": jobs,
        }  # fmt: skip

    def plan(self, launch: Launch, fs: MemFs) -> FakeRun:
        """An attempt starts: check what must be true now, and say how it will go."""
        token = parse_token(launch.key)
        assert token is not None and token.inc is not None
        beat = json.loads(self.disk.file(PATHS.beat(token.inc)).data)
        if token.name not in beat["tokens"]:
            self.wrong.append(f"{token.name} started before a beat listed it")
        spec = JobSpec.from_json(self.disk.file(PATHS.spec(token.job)).data, "spec")
        done = {parse_token(name).job for name in self.disk.folder(PATHS.done(spec.exp))}  # type: ignore[union-attr]
        if not done.issuperset(spec.needs):
            self.wrong.append(f"{token.name} started before its needs were done")
        how = self.behaviour[token.job]
        code, seconds = 0, how.seconds
        if token.f < how.fails:
            code = how.code
        elif token.f < how.hangs:
            seconds = 1000.0
        elif how.preempts and token.g <= 4:
            code = 75
        body = {"metrics": {"epoch": {"value": token.g}}, "artifacts": {"a": "a.bin"}}
        files = {"out/result.json": json.dumps(body).encode(), "out/artifacts/a.bin": token.name.encode()}
        return FakeRun(seconds=seconds, code=code, files=files)

    # people

    def command(self, act: Callable[[Queue], None]) -> bool:
        """Run a command as some person would; False if it did not get through."""
        who = f"cli-{self.rng.getrandbits(64):016x}"
        fs = MemFs(self.disk, who, self.faults, self.rng.random, self.pause)
        clock = HostClock(self, self.rng.uniform(0, 1e6), 1.0, self.rng.uniform(-30, 30))
        queue = Queue(fs, clock, PATHS, who, CLUSTER, rng=self.rng)
        self.stack.append(who)
        try:
            act(queue)
            queue.events.flush()
            return True
        except Crash:
            self.crashed.add(who)
            return False
        except (OSError, LabError) as error:
            self.say(f"{who}: {error!r}")
            self.crashed.add(who)  # its events may be lost with it
            return False
        finally:
            self.stack.pop()

    def submit(self, manifest: dict) -> None:
        def act(queue: Queue) -> None:
            births.publish_experiment(queue, manifest)
            births.expand(queue, manifest["exp"])
            Releaser(queue).release()

        if not self.command(act) and "manifest.json" not in self.disk.dirs.get(PATHS.exp_dir(manifest["exp"]), {}):
            # Nothing was committed, so the person does it again.
            self.script.append((self.now + self.rng.uniform(0.5, 5), lambda: self.submit(manifest)))

    def cancel(self, job: str) -> None:
        self.cancels.add(job)
        self.command(lambda queue: queue_ops.cancel_job(queue, job) and None)

    def retry(self, exp: str) -> None:
        self.command(lambda queue: queue_ops.retry_exp(queue, exp) and None)

    # the machines

    def boot(self, host: Host) -> None:
        host.lives += 1
        inc = f"{host.name}-{host.lives:04x}{self.rng.getrandbits(48):012x}"
        fs = host.fs = MemFs(self.disk, inc, self.faults, self.rng.random, self.pause)
        queue = Queue(fs, host.clock, PATHS, inc, CLUSTER, rng=self.rng, log=lambda t: self.say(f"{inc[:7]}: {t}"),
                      backoff_s=3.0)  # fmt: skip
        executor = FakeExecutor(host.clock, lambda launch: self.plan(launch, fs), fs.scribble)
        host.daemon = Daemon(queue, executor, Capacity(cpus=2), janitor=Janitor(queue, tmp_ttl_s=12.0))

    def step(self, host: Host) -> None:
        self.stack.append(host.name)
        try:
            if host.daemon is None:
                self.boot(host)
            assert host.daemon is not None
            host.stopped = float("inf")
            due = host.daemon.step()
            running = [item.ends for item in host.daemon.executor.running.values()]  # type: ignore[attr-defined]
            if running:
                due = min(due, max(0.0, min(running) - host.clock.monotonic()))
            host.due = self.now + due / host.clock.rate + self.rng.uniform(0.001, 0.3)
            if host is not self.hosts[-1] and host.daemon.tasks and self.rng.random() < self.stall and not self.calm:
                # Stopped between two steps (never the last host: somebody must watch). It may wake while another is
                # in the middle of taking its job.
                self.faults.seen["stopped"] += 1
                host.stopped = self.now
                host.due = self.now + self.rng.uniform(12.0, 45.0)
        except Crash:
            self.kill(host)
        finally:
            self.stack.pop()

    def kill(self, host: Host) -> None:
        assert host.fs is not None
        host.fs.dead = True
        self.crashed.add(host.fs.client)
        if self.rng.random() < 0.4:
            self.faults.seen["power cut"] += 1
            torn = self.disk.power_cut(host.fs.client)
            self.faults.seen["torn file"] += torn
        self.say(f"{host.fs.client[:7]} died")
        host.daemon = None
        host.due = self.now + self.rng.uniform(0.5, 30.0)

    def pause(self, client: str) -> None:
        """Somebody is stopped in the middle of a call: the others go on, for a moment or for longer than a lease."""
        if self.calm or len(self.stack) > 4:
            return
        if self.rng.random() < self.short:
            # One that is stopped wakes only when the others have reason to think it dead.
            others = [
                host
                for host in self.hosts
                if host.name not in self.stack
                and host.daemon is not None
                and (host.stopped > self.now or self.now - host.stopped > CLUSTER.lease.expire_s)
            ]
            for host in others[: self.rng.choice((1, 2))]:
                if host.daemon is not None and host.name not in self.stack:  # an earlier one's pause may have moved it
                    host.daemon.hint()
                    self.step(host)
        else:
            self.faults.seen["long stall"] += 1
            self.advance(self.now + self.rng.uniform(1.0, 40.0))

    def advance(self, until: float) -> None:
        """Let everybody who is not in the middle of something go on until then."""
        while True:
            free = [host for host in self.hosts if host.name not in self.stack]
            next_host = min(free, key=lambda host: host.due, default=None)
            next_script = min(self.script, key=lambda item: item[0], default=None)
            if next_script is not None and (next_host is None or next_script[0] <= next_host.due):
                if next_script[0] > until:
                    break
                self.script.remove(next_script)
                self.now = max(self.now, next_script[0])
                next_script[1]()
                continue
            if next_host is None or next_host.due > until:
                break
            self.now = max(self.now, next_host.due)
            self.step(next_host)
        self.now = max(self.now, until)

    def say(self, text: str) -> None:
        if "unexpected error" in text:
            self.wrong.append(text)
        if self.tracing:
            self.trace.append(f"{self.now:8.2f} {text}")

    # the run

    def run(self) -> Counter[str]:
        """Chaos, then calm, then the questions. The faults that happened, by kind."""
        self.advance(CHAOS_S)
        self.calm = True
        faults = self.faults
        faults.lost = faults.crash = faults.error = faults.pause = faults.moving = 0.0
        for host in self.hosts[1:]:
            if host.daemon is not None and self.rng.random() < 0.7:
                self.kill(host)
            if host.daemon is None:
                host.due = float("inf")
        quiet = 0
        while quiet < 2:
            self.advance(self.now + 3.0)
            quiet = quiet + 1 if self.quiescent() else 0
            if self.now > LIMIT_S:
                raise Violation(f"no rest after {LIMIT_S:.0f} s: {self.places()}")
        for host in self.hosts:
            if host.daemon is not None:
                host.daemon.queue.events.flush()
        if self.wrong:
            raise Violation("; ".join(self.wrong))
        self.check()
        return faults.seen

    def quiescent(self) -> bool:
        dirs = self.disk.dirs
        for folder in (PATHS.waiting, PATHS.delayed, PATHS.tmp_dir):
            if dirs[folder]:
                return False
        for exp in dirs[PATHS.exps]:
            names = dirs[PATHS.exp_dir(exp)]
            if "manifest.json" in names and births.EXPANDED not in names:
                return False
            if dirs.get(PATHS.run(exp)):
                return False
        return not any(dirs[PATHS.ready("cpu", prio)] for prio in (4, 5)) and not self.script

    def places(self) -> dict[str, list[str]]:
        """Every token name by folder."""
        found: dict[str, list[str]] = {}
        for folder, entries in self.disk.dirs.items():
            for name in entries:
                token = parse_token(name)
                if token is not None:
                    found.setdefault(folder.removeprefix("/lab/queue/"), []).append(name)
        return found

    def check(self) -> None:
        """What must be true when everything has come to rest."""
        queue = Queue(self.clean, HostClock(self, 0, 1, 0), PATHS, "observer", CLUSTER)
        where: dict[str, list[tuple[str, str]]] = {}
        for folder, names in self.places().items():
            for name in names:
                where.setdefault(parse_token(name).job, []).append((folder.split("/")[0], name))  # type: ignore[union-attr]
        specs = {}
        for exp in self.disk.dirs[PATHS.exps]:
            if "manifest.json" not in self.disk.dirs[PATHS.exp_dir(exp)]:
                continue
            for job in queue.jobs_of(exp):
                specs[job] = queue.spec(job)
                if len(where.get(job, [])) != 1 or where[job][0][0] not in TERMINAL:
                    raise Violation(f"{job} is at {where.get(job)}")
            try:
                self._results(exp)
            except LabError as error:
                raise Violation(f"an accepted result cannot be read: {error}") from error
        for job, places in where.items():
            if job not in specs:
                raise Violation(f"{job} at {places} belongs to no experiment")
        self._history(specs)
        self._outcomes(specs, {job: places[0] for job, places in where.items()})

    def _results(self, exp: str) -> None:
        for job, result in results.accepted(self.clean, PATHS, exp).items():
            result.verify(self.clean)
            text = self.clean.read(f"{result.folder}/{result.artifact('a')}").decode()
            if result.epoch != result.metric("epoch")["value"] or parse_token(text).g != result.epoch:  # type: ignore[union-attr]
                raise Violation(f"{job}: the accepted result is not of epoch {result.epoch}")

    def _history(self, specs: dict[str, JobSpec]) -> None:
        """Nobody's name is used twice, acceptance happens once, and whoever moved a token knows it."""
        names: Counter[str] = Counter()
        accepted: Counter[str] = Counter()
        epochs: dict[str, int] = {}
        logged = set()
        for folder, entries in self.disk.dirs.items():
            if folder.startswith(PATHS.events_root + "/"):
                for inode in entries.values():
                    for line in inode.data.decode().splitlines():  # type: ignore[union-attr]
                        try:
                            logged.add(json.loads(line)["token"])
                        except ValueError:
                            continue  # half a line of a daemon that died
        for client, _, target, how in self.disk.renames:
            token = parse_token(target.rpartition("/")[2])
            if token is None:
                continue
            names[token.name] += 1
            if token.g <= epochs.get(token.job, -1):
                raise Violation(f"{token.name}: G did not rise")
            epochs[token.job] = token.g
            if "/done/" in target:
                accepted[token.job] += 1
                if how in ("ok", "lost") and client not in self.crashed and token.name not in logged:
                    raise Violation(f"{client} does not know that it committed {token.name}")
        if doubled := [name for name, count in (names + accepted).items() if count > 1]:
            raise Violation(f"happened twice: {doubled}")

    def _outcomes(self, specs: dict[str, JobSpec], where: dict[str, tuple[str, str]]) -> None:
        state = {job: place for job, (place, _) in where.items()}
        for job, spec in specs.items():
            token, how = parse_token(where[job][1]), self.behaviour[job]
            assert token is not None
            bad_need = any(state[need] != "done" for need in spec.needs)
            intent = "cancel" in self.disk.dirs[PATHS.job_dir(job)]
            if state[job] == "cancelled" and not (bad_need or intent):
                raise Violation(f"{job} is cancelled for no reason")
            if state[job] == "done" and bad_need:
                raise Violation(f"{job} is done without its needs")
            if state[job] == "failed" and how.fails == 0 and token.f < spec.max_failures:
                raise Violation(f"{job} failed though it never fails: {token.name}")
            if token.f > spec.max_failures or token.l > spec.max_losses:
                raise Violation(f"{token.name} is beyond its limits")
            if intent and job not in self.cancels:
                raise Violation(f"{job}: an intent that nobody had")


def main() -> None:
    world = World(int(sys.argv[1]), tracing=True)
    try:
        print(world.run())
    finally:
        print("\n".join(world.trace[-400:]))
        print(json.dumps(world.places(), indent=1))


if __name__ == "__main__":
    main()
