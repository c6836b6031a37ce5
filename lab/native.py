"""The compiled core of a code snapshot: reuse the installed one if its sources are the same, else build it once."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import zipfile
from typing import Any

from lab.errors import EnvironmentProblem, LabError

BUILD_TIMEOUT_S = 1800.0


class NeedsBuild(LabError):
    """The core has to be compiled, which takes minutes."""


def add_native(folder: str, cache: str, *, build: bool) -> str | None:
    """Put the compiled module into an unpacked snapshot, as its pyproject.toml says; the module's path or None.

    pyproject.toml: `[tool.golab.native] sources = "cpp", module = "gocore/_core", build = ["{python}", …, "{out}"]`.
    """
    table = _table(folder)
    if table is None:
        return None
    sources = _files(os.path.join(folder, table["sources"]))
    module = table["module"]
    target = os.path.dirname(os.path.join(folder, module))
    found = _installed(folder, table["sources"], module, sources)
    if found is None:
        found = _built(folder, table, module, sources, cache, build=build)
    os.makedirs(target, exist_ok=True)
    return shutil.copy2(found, os.path.join(target, os.path.basename(found)))


def _table(folder: str) -> dict[str, Any] | None:
    path = os.path.join(folder, "pyproject.toml")
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file).get("tool", {}).get("golab", {}).get("native")
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, AttributeError) as error:
        raise EnvironmentProblem(f"pyproject.toml of the frozen code: {error}") from error
    if table is None:
        return None
    if not isinstance(table, dict) or not {"sources", "module", "build"} <= set(table):
        raise EnvironmentProblem("pyproject.toml of the frozen code: [tool.golab.native] needs sources, module, build")
    return table


def _files(folder: str) -> list[str]:
    """Relative names of the source files in a folder, sorted."""
    found = []
    for base, _, names in os.walk(folder):
        found += [os.path.relpath(os.path.join(base, name), folder) for name in names]
    return sorted(found)


def _matches(directory: str, stem: str) -> list[str]:
    """Compiled modules for this Python in a folder."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX") or ".so"
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return [os.path.join(directory, name) for name in sorted(names) if name in (stem + suffix, stem + ".so")]


def _installed(folder: str, sources: str, module: str, files: list[str]) -> str | None:
    """The installed module, if it stands beside the very same sources and is newer than all of them."""
    package, _, stem = module.rpartition("/")
    try:
        spec = importlib.util.find_spec(package.split("/")[0])
    except (ImportError, ValueError):
        return None
    for location in (spec.submodule_search_locations or []) if spec is not None else []:
        checkout = os.path.dirname(location)
        for compiled in _matches(os.path.join(checkout, package), stem):
            try:
                made = os.stat(compiled).st_mtime
                for name in files:
                    theirs = os.path.join(checkout, sources, name)
                    if os.stat(theirs).st_mtime > made or not _same(theirs, os.path.join(folder, sources, name)):
                        break
                else:
                    return compiled
            except OSError:
                continue
    return None


def _same(a: str, b: str) -> bool:
    with open(a, "rb") as one, open(b, "rb") as other:
        return one.read() == other.read()


def _key(folder: str, table: dict[str, Any], files: list[str]) -> str:
    """What a compiled module depends on: sources, build command, Python and processor."""
    sha = hashlib.sha256()
    abi = (sysconfig.get_config_var("EXT_SUFFIX"), platform.machine(), platform.libc_ver(), table["build"])
    sha.update(repr(abi).encode())
    for name in files:
        with open(os.path.join(folder, table["sources"], name), "rb") as file:
            sha.update(f"\0{name}\0".encode() + hashlib.sha256(file.read()).digest())
    with open(os.path.join(folder, "pyproject.toml"), "rb") as file:
        sha.update(file.read())
    return sha.hexdigest()


def _built(folder: str, table: dict[str, Any], module: str, files: list[str], cache: str, *, build: bool) -> str:
    package, _, stem = module.rpartition("/")
    kept = os.path.join(cache, "native", _key(folder, table, files))
    if found := _matches(kept, stem):
        return found[0]
    if not build:
        raise NeedsBuild("the compiled core of this code is not in the cache")
    os.makedirs(os.path.dirname(kept), exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="golab-build-") as scratch:
        tree, out, new = (os.path.join(scratch, name) for name in ("tree", "out", "new"))
        shutil.copytree(folder, tree, symlinks=True)
        os.mkdir(out)
        os.mkdir(new)
        command = [word.replace("{python}", sys.executable).replace("{out}", out) for word in table["build"]]
        try:
            done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EnvironmentProblem(
                f"cannot build the frozen code: {error}", "is a C++ compiler installed?"
            ) from error
        if done.returncode:
            tail = (done.stdout + done.stderr).strip()[-2000:]
            raise EnvironmentProblem(f"the frozen code does not build: {tail}", "is a C++ compiler installed?")
        for name in os.listdir(out):
            if name.endswith(".whl"):
                with zipfile.ZipFile(os.path.join(out, name)) as wheel:
                    for member in wheel.namelist():
                        if os.path.dirname(member) == package and os.path.basename(member).startswith(stem + "."):
                            with (
                                wheel.open(member) as source,
                                open(os.path.join(new, os.path.basename(member)), "wb") as to,
                            ):
                                shutil.copyfileobj(source, to)
        if not _matches(new, stem):
            raise EnvironmentProblem(f"the build of the frozen code made no {module} for this Python")
        staged = f"{kept}.{os.getpid()}.tmp"
        shutil.copytree(new, staged)
    try:
        os.rename(staged, kept)
    except OSError:  # another build was faster
        shutil.rmtree(staged, ignore_errors=True)
    return _matches(kept, stem)[0]
