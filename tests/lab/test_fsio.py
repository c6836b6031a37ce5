"""Shared files: whole or not at all, and the right answer when a reply was lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from fakes import LossyFs

from lab.errors import CorruptFile, EnvironmentProblem
from lab.fsio import RealFs, dump_json, ensure_dir, move, parse_json, publish, read_json, remove, replace


@pytest.fixture
def root(weird_tmp_path: Path) -> str:
    for name in ("tmp", "a", "b"):
        (weird_tmp_path / name).mkdir()
    return weird_tmp_path.as_posix()


def test_create_refuses_a_name_that_is_taken(root: str) -> None:
    fs = RealFs()
    fs.create(f"{root}/x", b"one")
    with pytest.raises(FileExistsError):
        fs.create(f"{root}/x", b"two")
    assert fs.read(f"{root}/x") == b"one"


@pytest.mark.parametrize("call", ["write", "fsync", "close"])
def test_a_full_disk_is_seen_wherever_it_shows_and_leaves_no_half_file(
    root: str, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    real = getattr(os, call)

    def full(fd: int, *args: object) -> None:
        if call == "close":
            real(fd)
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OSError) as caught:
            RealFs().create(f"{root}/x", b"data")
    assert caught.value.errno == errno.ENOSPC
    assert "x" not in os.listdir(root)


def test_short_writes_are_finished(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: real(fd, data[:3]))
        RealFs().create(f"{root}/x", b"0123456789")
    assert RealFs().read(f"{root}/x") == b"0123456789"


def test_reads_are_bounded_and_refuse_what_is_no_file(root: str) -> None:
    fs = RealFs()
    fs.create(f"{root}/x", b"12345")
    assert fs.read(f"{root}/x", 5) == b"12345"
    with pytest.raises(OSError) as caught:
        fs.read(f"{root}/x", 4)
    assert caught.value.errno == errno.EFBIG
    os.mkfifo(f"{root}/pipe")
    with pytest.raises(OSError) as caught:
        fs.read(f"{root}/pipe")  # would hang without O_NONBLOCK
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(OSError):
        fs.read(f"{root}/a")


def test_links_are_followed_only_where_wanted(root: str) -> None:
    fs = RealFs()
    fs.create(f"{root}/x", b"secret")
    os.symlink(f"{root}/x", f"{root}/link")
    assert fs.read(f"{root}/link") == b"secret"
    with pytest.raises(OSError) as caught:
        fs.read(f"{root}/link", follow=False)
    assert caught.value.errno == errno.ELOOP


def test_a_stale_handle_is_opened_again(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fs = RealFs()
    fs.create(f"{root}/x", b"data")
    real, left = os.read, [3]

    def stale(fd: int, size: int) -> bytes:
        if left[0]:
            left[0] -= 1
            raise OSError(errno.ESTALE, "stale")
        return real(fd, size)

    with monkeypatch.context() as patch:
        patch.setattr(os, "read", stale)
        assert fs.read(f"{root}/x") == b"data"
        left[0] = 1000
        with pytest.raises(OSError) as caught:
            fs.read(f"{root}/x")
    assert caught.value.errno == errno.ESTALE


def test_dot_names_are_not_there(root: str) -> None:
    for name in (".nfs0001", ".x.swp", "y"):
        Path(root, "a", name).touch()
    assert RealFs().listdir(f"{root}/a") == ["y"]


def test_makedirs_asks_nothing_and_takes_what_is_there(root: str) -> None:
    fs = RealFs()
    for _ in range(2):
        ensure_dir(fs, f"{root}/c/d/e")
    assert fs.listdir(f"{root}/c/d") == ["e"]
    fs.fsync_dir(f"{root}/c/d")


def test_append_adds_whole_lines(root: str) -> None:
    fs = RealFs()
    fs.append(f"{root}/log", b"1\n")
    fs.append(f"{root}/log", b"2\n")
    assert fs.read(f"{root}/log") == b"1\n2\n"


def test_publish_has_one_winner(root: str) -> None:
    fs = RealFs()
    assert publish(fs, f"{root}/tmp/1", f"{root}/a/x", b"nonce1", "nonce1")
    assert not publish(fs, f"{root}/tmp/2", f"{root}/a/x", b"nonce2", "nonce2")
    assert fs.read(f"{root}/a/x") == b"nonce1"
    assert fs.listdir(f"{root}/tmp") == []


def test_publish_believes_the_nonce_and_not_the_reply(root: str) -> None:
    fs = LossyFs()
    fs.lose("link")
    assert publish(fs, f"{root}/tmp/1", f"{root}/a/x", b"nonce1", "nonce1")
    fs.lose("unlink")
    assert publish(fs, f"{root}/tmp/2", f"{root}/a/y", b"nonce2", "nonce2")
    assert fs.listdir(f"{root}/tmp") == []


def test_publish_can_leave_the_inode_in_tmp_for_the_token(root: str) -> None:
    fs = RealFs()
    assert publish(fs, f"{root}/tmp/1", f"{root}/a/x", b"n1", "n1", keep_tmp=True)
    assert os.stat(f"{root}/tmp/1").st_ino == os.stat(f"{root}/a/x").st_ino
    assert not publish(fs, f"{root}/tmp/2", f"{root}/a/x", b"n2", "n2", keep_tmp=True)
    assert fs.listdir(f"{root}/tmp") == ["1"]


def test_publish_into_a_missing_folder_is_loud_and_needs_its_nonce(root: str) -> None:
    with pytest.raises(EnvironmentProblem, match="missing"):
        publish(RealFs(), f"{root}/tmp/1", f"{root}/nowhere/x", b"n", "n")
    with pytest.raises(ValueError):
        publish(RealFs(), f"{root}/tmp/1", f"{root}/a/x", b"data", "nonce")


def test_replace_survives_a_lost_reply_but_not_a_missing_folder(root: str) -> None:
    fs = LossyFs()
    replace(fs, f"{root}/tmp/1", f"{root}/a/beat", b"1")
    fs.lose("rename")
    replace(fs, f"{root}/tmp/2", f"{root}/a/beat", b"2")
    assert fs.read(f"{root}/a/beat") == b"2"
    fs.refuse("rename")
    with pytest.raises(FileNotFoundError):
        replace(fs, f"{root}/tmp/3", f"{root}/a/beat", b"3")
    with pytest.raises(EnvironmentProblem):
        replace(fs, f"{root}/tmp/4", f"{root}/nowhere/beat", b"4")


def test_move_has_one_winner(root: str) -> None:
    fs = RealFs()
    fs.create(f"{root}/a/t.g0", b"")
    assert move(fs, f"{root}/a", "t.g0", f"{root}/b", "t.g1.one")
    assert not move(fs, f"{root}/a", "t.g0", f"{root}/b", "t.g1.two")
    assert fs.listdir(f"{root}/b") == ["t.g1.one"]


def test_move_looks_for_its_own_name_before_it_believes_enoent(root: str) -> None:
    fs = LossyFs()
    fs.create(f"{root}/a/t.g0", b"")
    fs.lose("rename")
    assert move(fs, f"{root}/a", "t.g0", f"{root}/b", "t.g1")


def test_move_asks_again_when_enoent_contradicts_the_listing(root: str) -> None:
    fs = LossyFs()
    fs.create(f"{root}/a/t.g0", b"")
    fs.refuse("rename")
    assert move(fs, f"{root}/a", "t.g0", f"{root}/b", "t.g1")
    fs.create(f"{root}/a/u.g0", b"")
    fs.refuse("rename", "rename", "rename")
    with pytest.raises(EnvironmentProblem):
        move(fs, f"{root}/a", "u.g0", f"{root}/b", "u.g1")


@pytest.mark.parametrize(("src", "dst"), [("a", "nowhere"), ("nowhere", "b")])
def test_move_without_its_folders_is_loud(root: str, src: str, dst: str) -> None:
    Path(root, "a", "t").touch()
    with pytest.raises(EnvironmentProblem, match="nowhere is missing"):
        move(RealFs(), f"{root}/{src}", "t", f"{root}/{dst}", "u")


def test_remove_is_done_when_it_is_gone(root: str) -> None:
    fs = LossyFs()
    remove(fs, f"{root}/nothing")
    fs.create(f"{root}/x", b"")
    fs.lose("unlink")
    remove(fs, f"{root}/x")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b'{"format":1', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1]", "a list"),
        (b"{}", "format"),
        (b'{"format":true}', "format"),
        (b'{"format":2}', "format 2"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_damaged_json_is_named_with_its_path(data: bytes, why: str) -> None:
    with pytest.raises(CorruptFile, match=why) as caught:
        parse_json(data, "queue/x.json")
    assert "queue/x.json" in str(caught.value)


def test_json_comes_back(root: str) -> None:
    fs = RealFs()
    fs.create(f"{root}/x", dump_json({"format": 1, "title": "碁"}))
    assert read_json(fs, f"{root}/x") == {"format": 1, "title": "碁"}
    with pytest.raises(ValueError):
        dump_json({"x": float("nan")})
