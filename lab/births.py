"""Bringing an experiment into the queue: publish its manifest, then give every job its one token."""

from __future__ import annotations

import contextlib
import errno
import json

from lab.errors import LabError
from lab.fsio import dump_json, ensure_dir, move, publish, remove
from lab.job import JobSpec, JobState
from lab.queue import EXPANDED, ODD, Queue
from lab.token import Token


def publish_experiment(queue: Queue, manifest: dict) -> bool:
    """Publish the manifest: this is the commit of a submit. False if the id is taken by another submit."""
    exp = manifest["exp"]
    paths, fs = queue.paths, queue.fs
    for folder in (paths.exp_dir(exp), paths.run(exp), paths.done(exp), paths.result_exp(exp)):
        ensure_dir(fs, folder)
    tmp = queue.tmp_name()
    nonce = tmp.rpartition(".")[2]
    won = publish(fs, paths.tmp(tmp), paths.manifest(exp), dump_json({**manifest, "nonce": nonce}), nonce)
    if won:
        fs.fsync_dir(paths.exp_dir(exp))
        queue.events.add(exp=exp, cause="submitted", detail=f"{len(manifest['jobs'])} jobs")
    return won


def expand(queue: Queue, exp: str) -> int:
    """Make the tokens that are missing, and mark the experiment as expanded. Anybody may do it, any number of times."""
    manifest = queue.manifest(exp)
    paths, fs = queue.paths, queue.fs
    for folder in (paths.run(exp), paths.done(exp), paths.result_exp(exp)):
        ensure_dir(fs, folder)
    born = 0
    for entry in manifest["jobs"]:
        born += _birth(queue, JobSpec.from_dict(entry, paths.manifest(exp)))
    _protocol_text(queue, exp, manifest)
    with contextlib.suppress(FileExistsError):
        # Only the name counts, so a torn or empty file is as good.
        fs.create(f"{paths.exp_dir(exp)}/{EXPANDED}", b"")
    return born


def unexpanded(queue: Queue, known: set[str]) -> list[str]:
    """Committed experiments without the mark. `known` is the caller's cache of marked ones, and grows here."""
    found = []
    for exp in queue.exps():
        if exp in known:
            continue
        try:
            names = queue.fs.listdir(queue.paths.exp_dir(exp))
        except NotADirectoryError:
            queue.complain(f"exps/{exp}", f"{queue.paths.exp_dir(exp)}: not a folder, left alone")
            known.add(exp)
            continue
        if EXPANDED in names:
            known.add(exp)
        elif "manifest.json" in names:
            found.append(exp)
    return found


def expand_all(queue: Queue, known: set[str]) -> int:
    """Finish every half-done submit; a corrupt one is reported once and does not stop the others."""
    born = 0
    for exp in unexpanded(queue, known):
        try:
            born += expand(queue, exp)
        except (LabError, NotADirectoryError) as error:
            queue.complain(f"expand {exp}", f"cannot expand {exp}: {error}", exp=exp)
    return born


def _birth(queue: Queue, spec: JobSpec) -> bool:
    """Give one job its token: the inode of spec.json, moved out of tmp/. It can be moved, but never made twice."""
    paths, fs = queue.paths, queue.fs
    ensure_dir(fs, paths.job_dir(spec.job))
    if "spec.json" in fs.listdir(paths.job_dir(spec.job)):
        tmp = queue.spec(spec.job).tmp
        if tmp not in fs.listdir(paths.tmp_dir):
            return False  # born already
    else:
        tmp = queue.tmp_name()
        nonce = tmp.rpartition(".")[2]
        data = dump_json({**spec.to_dict(), "tmp": tmp, "nonce": nonce})
        if not publish(fs, paths.tmp(tmp), paths.spec(spec.job), data, nonce, keep_tmp=True):
            tmp = queue.spec(spec.job).tmp  # another's birth, perhaps half done: finish that one
    token = Token(seq=spec.seq, job=spec.job)
    won = move(fs, paths.tmp_dir, tmp, paths.waiting, token.name)
    if won:
        queue.events.add(job=spec.job, exp=spec.exp, to=JobState.waiting.word, token=token.name, cause="submitted")
    return won


def _protocol_text(queue: Queue, exp: str, manifest: dict) -> None:
    """Put the protocol as submitted beside its results, born there under a dot name (maybe another file system)."""
    folder = queue.paths.result_exp(exp)
    if "protocol.yaml" in queue.fs.listdir(folder):
        return
    tmp = f"{folder}/.{queue.tmp_name()}"
    queue.fs.create(tmp, str(manifest.get("protocol_text", "")).encode())
    with contextlib.suppress(FileExistsError):
        queue.fs.link(tmp, f"{folder}/protocol.yaml")
    remove(queue.fs, tmp)


def sweep_tmp(queue: Queue, seen: dict[str, float], ttl_s: float) -> int:
    """Remove files in tmp/ that this observer has seen for `ttl_s` of its own time. Call it when all is expanded."""
    now = queue.clock.monotonic()
    names = [name for name in queue.fs.listdir(queue.paths.tmp_dir) if not name.endswith(".yaml")]
    for name in set(seen) - set(names):
        del seen[name]
    removed = 0
    for name in names:
        if now - seen.setdefault(name, now) >= ttl_s and _is_garbage(queue, name):
            remove(queue.fs, queue.paths.tmp(name))
            removed += 1
    return removed


def _is_garbage(queue: Queue, name: str) -> bool:
    """False for the inode of a published spec: that one is a token not yet born, never to be unlinked."""
    try:
        entry = json.loads(queue.fs.read(queue.paths.tmp(name)))
        job = entry["job"] if isinstance(entry, dict) else None
        return not isinstance(job, str) or queue.spec(job).tmp != name
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in ODD:
            raise
        # Larger than any spec (a code snapshot that was never published) goes; a folder is somebody's.
        return error.errno == errno.EFBIG
    except (ValueError, KeyError, RecursionError, LabError):
        return True
