"""Code snapshots: what is frozen is what runs, whatever happens to the working tree meanwhile."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import FakeClock
from queuelab import QueueLab, spec

from lab.attempt import SITE_HOOK
from lab.code import CodeStore, freeze, materialise
from lab.errors import CorruptFile, EnvironmentProblem, NotFound
from lab.fsio import RealFs
from lab.native import NeedsBuild
from lab.paths import LabPaths

FS = RealFs()
PYPROJECT = """\
[tool.golab.native]
sources = "csrc"
module = "thing/_fast"
build = ["{python}", "build.py", "{out}"]
"""
# Stands for a compiler: a wheel with a "compiled" module made of the sources.
BUILD = """\
import sys, sysconfig, zipfile
if "broken" in open("csrc/a.cpp").read():
    sys.exit("a.cpp:1: error: broken")
with zipfile.ZipFile(sys.argv[1] + "/thing-0-py3-none-any.whl", "w") as wheel:
    wheel.write("csrc/a.cpp", "thing/_fast" + sysconfig.get_config_var("EXT_SUFFIX"))
"""


def git(root: Path, *args: str) -> str:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org"}
    env |= {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org"}
    return subprocess.run(["git", *args], cwd=root, env=env, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repo(make_lab: Callable[..., LabPaths]) -> LabPaths:
    paths = make_lab()
    root = Path(paths.root)
    (root / "tool.py").write_text("print('one')\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / ".gitignore").write_text("*.secret\n")
    (root / "my.secret").write_text("key")
    git(root, "init", "-q")
    git(root, "add", "tool.py", "run.sh", ".gitignore")
    git(root, "commit", "-q", "-m", "first")
    return paths


def test_no_repository_no_snapshot(make_lab: Callable[..., LabPaths], fake_clock: FakeClock) -> None:
    assert freeze(make_lab(), FS, fake_clock) is None


def test_the_working_tree_is_frozen_without_touching_the_repository(
    repo: LabPaths, fake_clock: FakeClock, tmp_path: Path
) -> None:
    root = Path(repo.root)
    (root / "tool.py").write_text("print('two')\n")
    (root / "new ünï.txt").write_text("new")
    (root / "results" / "big").write_text("x")
    before = git(root, "status", "--porcelain"), git(root, "count-objects")
    record = freeze(repo, FS, fake_clock)
    assert record is not None and record["dirty"] and record["commit"] == git(root, "rev-parse", "HEAD")
    assert (git(root, "status", "--porcelain"), git(root, "count-objects")) == before
    assert freeze(repo, FS, fake_clock) == record, "the same tree has the same id"
    details = json.loads(Path(repo.code_json(record["id"])).read_text())
    assert "+print('two')" in details["patch"]
    folder = Path(materialise(repo, FS, record["id"], str(tmp_path / "cache")))
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert names == [".gitignore", "new ünï.txt", "run.sh", "tool.py"]
    assert (folder / "tool.py").read_text() == "print('two')\n"
    assert os.access(folder / "run.sh", os.X_OK)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "second")
    clean = freeze(repo, FS, fake_clock)
    assert clean is not None and not clean["dirty"] and clean["id"] == record["id"]


def test_an_edited_working_tree_does_not_change_a_queued_job(
    repo: LabPaths, fake_clock: FakeClock, tmp_path: Path
) -> None:
    record = freeze(repo, FS, fake_clock)
    assert record is not None
    (Path(repo.root) / "tool.py").write_text("print('edited after the submit')\n")
    qlab = QueueLab(repo, fake_clock)
    qlab.submit(spec("a", code_id=record["id"], argv=("{python}", "-m", "tool")))
    daemon = qlab.daemon()
    daemon._code = CodeStore(repo, FS, str(tmp_path / "cache"))
    qlab.run(daemon, 3)
    launch = daemon.executor.started[0]  # type: ignore[attr-defined]
    run = subprocess.run(launch.argv, env=launch.env, cwd=launch.cwd, capture_output=True, text=True)
    assert run.stdout == "one\n"


def test_a_damaged_or_missing_snapshot_is_refused(repo: LabPaths, fake_clock: FakeClock, tmp_path: Path) -> None:
    record = freeze(repo, FS, fake_clock)
    assert record is not None
    path = Path(repo.code_tar(record["id"]))
    path.write_bytes(path.read_bytes()[:-600] + b"x" * 600)
    with pytest.raises(CorruptFile) as caught:
        materialise(repo, FS, record["id"], str(tmp_path / "cache"))
    assert caught.value.path == str(path)
    with pytest.raises(NotFound):
        materialise(repo, FS, "0" * 64, str(tmp_path / "cache"))
    assert not list((tmp_path / "cache").rglob("tool.py"))


def native(repo: LabPaths, source: str) -> None:
    root = Path(repo.root)
    (root / "csrc").mkdir(exist_ok=True)
    (root / "csrc" / "a.cpp").write_text(source)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "build.py").write_text(BUILD)


def test_the_core_is_built_once_per_sources(repo: LabPaths, fake_clock: FakeClock, tmp_path: Path) -> None:
    native(repo, "int one;")
    cache = str(tmp_path / "cache")
    record = freeze(repo, FS, fake_clock)
    assert record is not None
    with pytest.raises(NeedsBuild):
        materialise(repo, FS, record["id"], cache, build=False)
    folder = Path(materialise(repo, FS, record["id"], cache))
    assert [path.read_text() for path in (folder / "thing").glob("_fast*")] == ["int one;"]
    (Path(repo.root) / "tool.py").write_text("print('other Python, same core')\n")
    second = freeze(repo, FS, fake_clock)
    assert second is not None and second["id"] != record["id"]
    materialise(repo, FS, second["id"], cache, build=False)


def test_a_build_does_not_stop_the_daemon_and_its_errors_reach_the_job(
    repo: LabPaths, fake_clock: FakeClock, tmp_path: Path
) -> None:
    native(repo, "broken")
    record = freeze(repo, FS, fake_clock)
    assert record is not None
    store = CodeStore(repo, FS, str(tmp_path / "cache"))
    assert store.ready(record["id"]) is None
    store._builds[record["id"]].wait(60)
    with pytest.raises(EnvironmentProblem, match=r"a\.cpp:1: error: broken"):
        store.ready(record["id"])


def test_an_installed_core_with_the_same_sources_is_reused(
    repo: LabPaths, fake_clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sysconfig

    native(repo, "int one;")
    record = freeze(repo, FS, fake_clock)
    assert record is not None
    checkout = tmp_path / "checkout"
    (checkout / "csrc").mkdir(parents=True)
    (checkout / "thing").mkdir()
    (checkout / "thing" / "__init__.py").touch()
    (checkout / "csrc" / "a.cpp").write_text("int one;")
    os.utime(checkout / "csrc" / "a.cpp", (1, 1))
    compiled = checkout / "thing" / f"_fast{sysconfig.get_config_var('EXT_SUFFIX')}"
    compiled.write_text("compiled")
    monkeypatch.setattr(sys, "path", [str(checkout), *sys.path])
    folder = Path(materialise(repo, FS, record["id"], str(tmp_path / "cache"), build=False))
    assert (folder / "thing" / compiled.name).read_text() == "compiled"
    (checkout / "csrc" / "a.cpp").write_text("int edited;")
    with pytest.raises(NeedsBuild):
        materialise(repo, FS, record["id"], str(tmp_path / "cache2"), build=False)


def test_the_hook_of_an_editable_install_does_not_win_over_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hook:
        """A finder that finds nothing."""

        def find_spec(self, *args: object) -> None:
            return None

    for module in ("_editable_skbc_thing", "__editable___thing_finder"):
        hook = type("Editable", (Hook,), {"__module__": module})
        monkeypatch.setattr(sys, "meta_path", [hook(), Hook(), *sys.meta_path])
        runpy.run_path(str(Path(SITE_HOOK) / "sitecustomize.py"))
        assert not any(type(finder).__module__ == module for finder in sys.meta_path)
        assert any(type(finder) is Hook for finder in sys.meta_path)


def test_links_that_lead_outside_are_kept_as_they_were(repo: LabPaths, fake_clock: FakeClock, tmp_path: Path) -> None:
    (Path(repo.root) / "data").symlink_to("/nowhere/data")
    record = freeze(repo, FS, fake_clock)
    assert record is not None
    folder = materialise(repo, FS, record["id"], str(tmp_path / "cache"))
    assert os.readlink(f"{folder}/data") == "/nowhere/data"
