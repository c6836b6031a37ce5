"""cluster.toml: defaults, mistakes all at once, and lease times that would not be safe."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.cluster import Cluster, load_cluster, parse_cluster
from lab.errors import ProtocolErrors

ROOT = Path(__file__).parents[2]


def test_the_committed_file_states_the_defaults() -> None:
    assert load_cluster(str(ROOT / "cluster.toml")) == Cluster()


def test_no_file_means_the_defaults(tmp_path: Path) -> None:
    cluster = load_cluster(str(tmp_path / "cluster.toml"))
    assert (cluster.lease.beat_s, cluster.lease.expire_s, cluster.lease.fence_after_s) == (10, 90, 900)
    assert (cluster.limits.max_losses, cluster.limits.default_retries) == (3, 2)


def test_values_are_read_with_their_units() -> None:
    text = 'lab="x"\nqueue_id="0123456789abcdef"\n[lease]\nexpire="2m"\nbeat="30s"\n'
    text += '[hosts.gpu1]\nroles=["train"]\nnum_gpu=8\n'
    cluster = parse_cluster(text)
    assert (cluster.lab, cluster.lease.expire_s, cluster.hosts["gpu1"].num_gpu) == ("x", 120, 8)


@pytest.mark.parametrize(
    ("lease", "reason"),
    [
        ('beat="30s"', "beat .* at most a quarter of expire"),
        ('poll="20s"', "poll .* at most a sixth of expire"),
        ('fence_after="1m"', "fence_after .* at least expire"),
        ('grace="20m"', "grace .* at most fence_after"),
        ('beat="0s"', "above zero"),
        ("beat=10", "unit"),
        ('beet="10s"', "did you mean beat"),
    ],
)
def test_unsafe_times_are_refused_with_the_reason(lease: str, reason: str) -> None:
    with pytest.raises(ProtocolErrors, match=reason) as caught:
        parse_cluster(f"[lease]\n{lease}\n")
    assert caught.value.exit_code == 2


def test_all_mistakes_come_at_once() -> None:
    with pytest.raises(ProtocolErrors) as caught:
        parse_cluster('labb="x"\n[lease]\nbeat="x"\n[hosts.a]\nrole=[]\n[limits]\nmax_losses=0\n', "c.toml")
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    for part in ("labb", "did you mean lab", "lease.beat", "hosts.a.role", "did you mean roles", "limits.max_losses"):
        assert part in text


def test_what_is_not_toml_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    path.write_bytes(b"lease = [\n")
    with pytest.raises(ProtocolErrors, match="not TOML"):
        load_cluster(str(path))
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ProtocolErrors, match="not UTF-8"):
        load_cluster(str(path))
