"""The doctor finds what is broken, and says nothing bad about what is well."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import labfiles as files
import pytest

from lab.doctor import Check, examine, mount_of, odd_nfs_options
from lab.errors import NotFound
from lab.fsio import RealFs
from lab.paths import LabPaths

CLUSTER = 'lab = "x"\nqueue_id = "00112233445566ff"\n'


def checks(paths: LabPaths | None, fs: RealFs = files.FS, error: NotFound | None = None) -> dict[str, Check]:
    return {check.name: check for check in examine(fs, files.Clock(), paths, error)}


def healthy(root: Path) -> LabPaths:
    paths = files.first_light(root)
    FS = files.FS
    FS.create(paths.cluster_toml, CLUSTER.encode())
    return paths


def test_a_healthy_lab_has_no_trouble(tmp_path: Path) -> None:
    found = checks(healthy(tmp_path))
    lab_checks = {name: check for name, check in found.items() if name not in ("core", "packages", "git", "clock")}
    assert {check.state for check in lab_checks.values()} <= {"ok", "warning"}
    assert {found[name].state for name in ("queue id", "folders", "writable", "manifests")} == {"ok"}
    leftovers = [name for folder in (tmp_path / "queue/tmp", tmp_path / "results") for name in os.listdir(folder)]
    assert not any("doctor" in name for name in leftovers)


def test_another_labs_folder_is_trouble(tmp_path: Path) -> None:
    paths = files.new_lab(tmp_path)
    files.FS.create(paths.cluster_toml, b'lab = "x"\nqueue_id = "ffffffffffffffff"\n')
    assert checks(paths)["queue id"].state == "trouble"


def test_an_unpinned_id_is_a_warning_with_the_line_to_add(tmp_path: Path) -> None:
    check = checks(files.new_lab(tmp_path))["queue id"]
    assert (check.state, check.hint) == ("warning", 'put queue_id = "00112233445566ff" into cluster.toml')


def test_a_missing_folder_and_a_damaged_manifest(tmp_path: Path) -> None:
    paths = healthy(tmp_path)
    os.rmdir(paths.held)
    files.FS.makedirs(paths.exp_dir("bad-aaaaaa"))
    files.FS.create(paths.manifest("bad-aaaaaa"), b"{")
    found = checks(paths)
    assert found["folders"].state == "trouble" and "queue/held" in found["folders"].text
    # With a folder gone nothing that lists it can be believed; the check says so instead of crashing.
    assert found["manifests"].state == "trouble"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    class Full(RealFs):
        def create(self, path: str, data: bytes) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    found = checks(healthy(tmp_path), Full())
    assert found["writable"].state == "trouble" and "No space left" in found["writable"].text


def test_without_a_lab_the_machine_is_still_checked() -> None:
    found = checks(None, error=NotFound("no lab here", "lab init ."))
    assert (found["lab"].state, found["lab"].hint) == ("trouble", "lab init .")
    assert "python" in found and "git" in found


def test_jobs_without_a_worker_are_told(tmp_path: Path) -> None:
    paths = healthy(tmp_path)
    files.add_experiment(paths, [files.spec("m-1234567890", "m", exp="x-aaaaaa")], exp="x-aaaaaa")
    files.place(paths.run("x-aaaaaa"), "m-1234567890", "g2.l0.f0.host-b-00000000000000ff")
    found = checks(paths)
    assert found["workers"].state == "warning"
    assert "m-1234567890" in found["lost jobs"].text


MOUNTS = """\
/dev/sda1 / ext4 rw,relatime 0 0
server:/x /mnt/my\\040lab nfs4 rw,vers=4.2,hard,proto=tcp 0 0
server:/y /mnt/my\\040lab/soft nfs rw,vers=3,soft,nolock 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/home/a", "ext4"), ("/mnt/my lab/queue", "nfs4"), ("/mnt/my lab/soft/q", "nfs"), ("/mnt/my labs", "ext4")],
)
def test_the_deepest_mount_counts(path: str, kind: str) -> None:
    assert mount_of(path, MOUNTS)[0] == kind


def test_odd_nfs_options_are_named() -> None:
    assert odd_nfs_options("nfs4", ["rw", "vers=4.2", "hard"]) == []
    odd = " ".join(odd_nfs_options("nfs", ["vers=3", "soft", "nolock", "nocto"]))
    assert all(word in odd for word in ("soft", "locks are local", "nocto", "NFS 3"))
