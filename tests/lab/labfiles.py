"""Labs made by writing files directly as docs/formats.md says, for tests of what reads them."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from lab.fsio import RealFs, dump_json
from lab.paths import LabPaths

EXP = "first-light-k3x7qa"
INC = "host-a-0123456789abcdef"
LEARN, RANDOM, UNTRAINED = "learn-8c1f09b2aa", "random-11aa22bb33", "untrained-44cc55dd66"
SEQ = "179541234567800000"
NOW = 1_795_412_945.0  # 2026-11-23T05:49:05Z
FS = RealFs()

SGF = "(;FF[4]GM[1]CA[UTF-8]SZ[7]KM[7]PB[trained]PW[random]RE[B+42];B[dd];W[aa];B[de];W[ga];B[ed];W[gg];B[cc];W[];B[])"


class Clock:
    """A clock that stands still."""

    def __init__(self, wall: float = NOW) -> None:
        self.now = wall

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def new_lab(root: Path) -> LabPaths:
    """An empty lab."""
    paths = LabPaths(str(root))
    for folder in paths.skeleton():
        FS.makedirs(folder)
    FS.create(paths.queue_id, dump_json({"format": 1, "id": "00112233445566ff", "created": "2026-11-23T04:00:00Z"}))
    return paths


def spec(job: str, step: str, exp: str = EXP, **changes: Any) -> dict[str, Any]:
    """One job of a manifest."""
    base = {
        "format": 1, "job": job, "exp": exp, "seq": SEQ, "step": step, "task": "gocore.match",
        "argv": ["{python}", "-m", "x"],
        "params": {}, "arm": {}, "seed": 1, "needs": [], "dependents": [],
        "resources": {"cpus": 2, "gpus": 0, "gpu_type": None, "memory_bytes": None, "roles": []},
        "time_limit_s": 600.0, "grace_s": 30.0, "max_failures": 3, "max_losses": 3, "prio": 5, "code_id": None,
        "artifacts": [], "metrics": [],
    }  # fmt: skip
    return {**base, **changes}


def add_experiment(
    paths: LabPaths,
    jobs: list[dict[str, Any]],
    exp: str = EXP,
    decision: dict[str, Any] | None = None,
    created: str = "2026-11-23T05:39:05Z",
    **protocol: Any,
) -> None:
    """Publish a manifest and the experiment's folders."""
    text = "version: 1\ntitle: First light\n"
    rule = decision or {"rule": "exploratory", "accept": [], "guards": []}
    manifest = {
        "format": 1, "exp": exp, "slug": exp.rpartition("-")[0], "title": "First light: does it learn at all?",
        "created": created, "submitted_by": "ada", "protocol_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "protocol_text": text, "code": {"id": "ab" * 32, "commit": "1234567890abcdef" * 2 + "12345678", "dirty": False},
        "protocol": {
            "version": 1, "question": "Does a net that starts from random weights learn 7x7 Go by playing itself?",
            "hypothesis": "Yes: it beats a random player in more than 90 % of the games.", "theme": "self-play",
            "parents": [], "decision": rule, **protocol,
        },
        "decision": rule, "jobs": jobs,
    }  # fmt: skip
    for folder in (paths.exp_dir(exp), paths.run(exp), paths.done(exp), paths.result_exp(exp)):
        FS.makedirs(folder)
    FS.create(paths.manifest(exp), dump_json(manifest))
    FS.create(f"{paths.result_exp(exp)}/protocol.yaml", text.encode())


def place(folder: str, job: str, suffix: str = "g0.l0.f0", index: int = 0) -> str:
    """Put a token in a state folder; returns its name."""
    FS.makedirs(folder)
    name = f"{int(SEQ) + index:018d}-{job}.{suffix}"
    FS.create(f"{folder}/{name}", b"")
    return name


def finish(
    paths: LabPaths,
    job: str,
    task: dict[str, Any],
    *,
    exp: str = EXP,
    started: str = "2026-11-23T05:40:00Z",
    finished: str = "2026-11-23T05:42:30Z",
    wall_s: float = 150.0,
    files: dict[str, bytes] | None = None,
    suffix: str = "g3.l0.f0",
    index: int = 0,
    inc: str = INC,
) -> str:
    """Accept one attempt: its folder, its checksums, result.json and the token in done/. Returns the folder."""
    epoch = int(suffix.split(".")[0][1:]) - 1
    folder = paths.attempt(exp, job, epoch, inc)
    contents = {"job.json": b"{}\n", "log.txt": b"done\n", **{f"out/{k}": v for k, v in (files or {}).items()}}
    contents["out/result.json"] = dump_json(task)
    for name, data in contents.items():
        target = f"{folder}/{name}"
        FS.makedirs(target.rpartition("/")[0])
        FS.create(target, data)
    sums = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in contents.items()}
    FS.create(f"{folder}/manifest.json", dump_json({"format": 1, "files": sums}))
    result = {
        "format": 1, "job": job, "exp": exp, "epoch": epoch, "inc": inc, "host": "host-a", "exit": 0,
        "started": started, "finished": finished, "wall_s": wall_s, "cpu_s": wall_s * 1.8, "max_rss_bytes": 300 << 20,
        "gpus": [], "argv": ["python", "-m", "gocore.tasks", "match"], "code": {"id": "ab" * 32},
        "versions": {"python": "3.11.9", "golab": "0.1.0"}, "platform": "Linux-6.1-x86_64", "cpu_model": "Some CPU",
        "task": task,
    }  # fmt: skip
    FS.create(f"{folder}/result.json", dump_json(result))
    place(paths.done(exp), job, f"{suffix}.{inc}", index)
    return folder


def match(opponent: str, black: tuple[int, int, int], white: tuple[int, int, int]) -> dict[str, Any]:
    """One entry of `matches`."""
    side = [dict(zip(("wins", "losses", "draws"), counts)) for counts in (black, white)]
    return {
        "player": "trained", "opponent": opponent, "games": sum(black) + sum(white), "no_result": 0,
        "black": side[0], "white": side[1], "conditions": "7x7, komi 7, 32 visits",
    }  # fmt: skip


def event(paths: LabPaths, *events: dict[str, Any], inc: str = INC) -> None:
    """Append events to one writer's log."""
    FS.makedirs(paths.events_dir(inc))
    for item in events:
        FS.append(paths.events(inc, 0), json.dumps(item).encode() + b"\n")


def beat(paths: LabPaths, inc: str = INC, at: str = "2026-11-23T05:49:00Z", **changes: Any) -> None:
    """Write one worker's beat."""
    FS.makedirs(paths.worker_dir(inc))
    body = {
        "format": 1, "inc": inc, "host": inc[:-17], "n": 7, "at": at, "state": "up", "tokens": [],
        "cpus": {"total": 2, "used": 0}, "gpus": [], "jobs": [],
    }  # fmt: skip
    FS.create(paths.beat(inc), dump_json({**body, **changes}))


def learning_curve(points: int = 12) -> bytes:
    """Rows of metrics.jsonl as a training loop writes them."""
    rows = []
    for step in range(points):
        wobble = 0.05 * math.sin(3.1 * step)
        row = {
            "step": step * 50, "time": 1_795_412_400 + 10 * step,
            "loss.policy": 3.9 * math.exp(-step / 9) + 0.6 + wobble,
            "loss.value": 0.7 - 0.03 * step + wobble, "games": 100 * step,
        }  # fmt: skip
        rows.append(json.dumps(row))
    return ("\n".join(rows) + "\n").encode()


def first_light(root: Path, *, random_white: tuple[int, int, int] = (97, 3, 0), end: bool = True) -> LabPaths:
    """The demo experiment, finished: one training loop and two matches."""
    paths = new_lab(root)
    jobs = [
        spec(LEARN, "learn", task="gocore.loop", dependents=[RANDOM, UNTRAINED]),
        spec(RANDOM, "random", needs=[LEARN], seq=f"{int(SEQ) + 1:018d}"),
        spec(UNTRAINED, "untrained", needs=[LEARN], seq=f"{int(SEQ) + 2:018d}"),
    ]
    decision = {
        "rule": "fixed",
        "primary": "random.winrate",
        "accept": ["random.winrate.ci_low > 0.9", "untrained.winrate.ci_low > 0.75"],
        "guards": ["learn.early_pass_rate < 0.05"],
    }
    add_experiment(paths, jobs, decision=decision)
    curves = [
        {
            "title": "Learning curve",
            "x": "step",
            "y": ["loss.policy", "loss.value"],
            "xlabel": "training step",
            "ylabel": "loss",
        }
    ]
    learn = {
        "metrics": {"final_loss": 2.31, "early_pass_rate": {"value": 0.01, "n": 4000}},
        "artifacts": {"net": "net.pt"},
        "curves": curves,
        "info": {"torch": "2.13.0", "device": "cpu"},
    }
    files = {"metrics.jsonl": learning_curve(), "artifacts/net.pt": b"weights"}
    finish(paths, LEARN, learn, files=files)
    if not end:
        place(paths.waiting, RANDOM, index=1)
        place(paths.waiting, UNTRAINED, index=2)
        return paths
    games = {RANDOM: match("random", (98, 1, 1), random_white), UNTRAINED: match("untrained", (90, 9, 1), (88, 12, 0))}
    for index, (job, played) in enumerate(games.items(), start=1):
        # As the task reports it: rounded, by Wilson's method.
        from lab.stats import read_match

        rate = read_match(played).rate
        metrics = {
            "winrate": {
                "value": round(rate.value, 4), "n": rate.n,
                "ci_low": round(rate.low, 4), "ci_high": round(rate.high, 4),
                "method": "wilson", "unit": "of games",
            }
        }  # fmt: skip
        task = {
            "metrics": metrics,
            "matches": [played],
            "samples": [{"title": "last game", "sgf": "artifacts/final.sgf"}],
        }
        finish(
            paths, job, task, started=f"2026-11-23T05:4{2 + index}:00Z", finished=f"2026-11-23T05:4{3 + index}:00Z",
            wall_s=60.0, files={"artifacts/final.sgf": SGF.encode()}, index=index,
        )  # fmt: skip
    return paths
