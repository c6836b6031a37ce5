"""What people and programs read stays as it is, byte for byte, until somebody means to change it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import labfiles as files

from lab.notebook import build_note
from lab.status import take_snapshot
from lab.tui import plain_lines


def busy_lab(root: Path) -> str:
    """The finished demo, plus an experiment with a job in every unfinished state."""
    paths = files.first_light(root)
    exp = "sweep-k2k2k2"
    names = [f"learn-{letter}-8c1f09b2aa" for letter in "abcdef"]
    specs = [files.spec(name, "learn", exp=exp) for name in names]
    specs[3]["needs"] = [names[0]]
    files.add_experiment(paths, specs, exp=exp, created="2026-11-23T05:45:00Z")
    token = files.place(paths.run(exp), names[0], f"g2.l0.f0.{files.INC}")
    files.place(paths.ready("cpu", 5), names[1], "g1.l0.f0", 1)
    files.place(paths.delayed, names[2], f"g3.l0.f1.t{int(files.NOW) + 30}", 2)
    files.place(paths.waiting, names[3], "g0.l0.f0", 3)
    files.place(paths.failed, names[4], f"g9.l0.f3.{files.INC}", 4)
    files.place(paths.quarantine, names[5], f"g9.l3.f0.{files.INC}", 5)
    events = [("failed", names[4], "exit 2", "unknown parameter"), ("quarantine", names[5], "host lost", "")]
    for state, job, cause, detail in events:
        files.event(paths, {"at": "2026-11-23T05:48:00Z", "inc": files.INC, "job": job, "exp": exp, "from": "running",
                            "to": state, "token": "", "cause": cause, "detail": detail})  # fmt: skip
    progress = {"done": 30, "total": 90, "unit": "games", "rate": 0.5, "eta_s": 120.0}
    job = {"job": names[0], "exp": exp, "token": token, "epoch": 2, "started_at": "2026-11-23T05:48:00Z",
           "elapsed_s": 60.0, "time_limit_s": 600.0, "gpus": [0], "progress": progress,
           "metric": {"name": "loss", "value": 2.5}}  # fmt: skip
    gpu = {"index": 0, "name": "NVIDIA H200", "holder": names[0], "util_pct": 93, "mem_used_bytes": 40 << 30,
           "mem_total_bytes": 140 << 30, "temp_c": 61}  # fmt: skip
    files.beat(paths, jobs=[job], gpus=[gpu], cpus={"total": 4, "used": 2})
    return paths.root


def test_note(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    paths = files.first_light(tmp_path)
    golden("NOTE.md", Path(build_note(files.FS, paths, files.EXP).path).read_text(encoding="utf-8"))
    golden("index.md", Path(paths.index).read_text(encoding="utf-8"))


def test_status(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    root = busy_lab(tmp_path)
    snapshot = take_snapshot(files.FS, files.LabPaths(root), files.Clock())
    golden("status.json", json.dumps(snapshot.to_json(), indent=2).replace(root, "/lab") + "\n")
    golden("status.txt", "\n".join(plain_lines(snapshot)).replace(root, "/lab") + "\n")
