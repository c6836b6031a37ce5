"""The arrows of the architecture: base <- model <- action <- face, and two programs that know nothing of each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASE = {"errors", "units", "paths", "fsio", "clock"}
MODEL = {
    "protocol", "protocol_yaml", "protocol_check", "yaml_nodes", "template", "conditions", "sweep", "refs", "tasks",
    "experiment", "job", "token", "cluster",
}  # fmt: skip
FACE = {"cli", "tui", "__main__"}
LAB = sorted(path for path in (ROOT / "lab").rglob("*.py"))
GOCORE = sorted((ROOT / "gocore").rglob("*.py"))
# Local disk or the author's own files, not the share: the shim (its own process), GPU and host probes, executors that
# start processes, code snapshots (git, tar, the local cache), the doctor's probes, figures.
MAY_TOUCH_FILES = {
    "fsio",
    "shim",
    "gpus",
    "host",
    "executors",
    "code",
    "native",
    "doctor",
    "notebook",
    "cli",
    "provenance",
}
LOCAL = {"worker": ("shutil.rmtree",)}  # its private scratch folder on local disk
FILE_CALLS = {
    "open",
    "rename",
    "replace",
    "link",
    "unlink",
    "remove",
    "mkdir",
    "makedirs",
    "rmdir",
    "listdir",
    "scandir",
}
FILE_CALLS |= {"stat", "exists", "isfile", "isdir", "getsize", "getmtime", "symlink", "truncate"}


def layer(module: str) -> int:
    """0 base, 1 model, 2 action, 3 face; the package itself (its version) is below all."""
    top = module.split(".")[0]
    return -1 if not top else 0 if top in BASE else 1 if top in MODEL else 3 if top in FACE else 2


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT / "lab").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            if node.module == "lab":
                yield from (f"lab.{alias.name}" for alias in node.names if (ROOT / f"lab/{alias.name}.py").exists())


@pytest.mark.parametrize("path", LAB, ids=lambda path: module_of(path) or "lab")
def test_nothing_in_lab_points_up_or_at_the_instrument(path: Path) -> None:
    own = layer(module_of(path))
    for name in imports(path):
        assert name.split(".")[0] not in ("torch", "gocore", "numpy"), f"{path} imports {name}"
        if name == "lab" or name.startswith("lab."):
            target = name.removeprefix("lab").removeprefix(".")
            assert layer(target) <= own, f"{module_of(path)} imports {name}, which is above it"


@pytest.mark.parametrize("path", GOCORE, ids=lambda path: path.stem)
def test_gocore_never_imports_lab(path: Path) -> None:
    for name in imports(path):
        assert name.split(".")[0] != "lab", f"{path} imports {name}"


def file_calls(path: Path) -> Iterator[str]:
    """Calls of the built-in open, and of os.X, os.path.X, shutil.X that touch files."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        call = ast.unparse(node.func)
        head, _, last = call.rpartition(".")
        if call == "open" or (head in ("os", "os.path") and last in FILE_CALLS) or head == "shutil":
            yield f"{call} at line {node.lineno}"


@pytest.mark.parametrize(
    "path",
    [p for p in LAB if module_of(p).split(".")[0] not in MAY_TOUCH_FILES],
    ids=lambda path: module_of(path) or "lab",
)
def test_only_fsio_touches_shared_files(path: Path) -> None:
    allowed = LOCAL.get(module_of(path), ())
    assert [call for call in file_calls(path) if call.split()[0] not in allowed] == []


def test_no_package_named_queue_shadows_the_standard_library() -> None:
    assert not list((ROOT / "queue").rglob("__init__.py"))
    for name in ("lab", "gocore", "cli"):  # tests/ is on sys.path: a package tests/lab would shadow the package lab
        assert not (ROOT / "tests" / name / "__init__.py").exists()


def test_the_checks_above_can_fail(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("import os, torch\nfrom lab import queue\nopen('x')\nos.path.exists('y')\n")
    assert {"torch", "lab.queue"} <= set(imports(bad))
    assert len(list(file_calls(bad))) == 2
    assert layer("job") < layer("queue") < layer("cli.main")
