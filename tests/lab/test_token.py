"""The grammar of token names: what it takes comes back, and nothing else is a token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.token import Token, host_of, is_inc, is_job_id, new_inc, parse

slugs = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,3}", fullmatch=True)
incs = st.builds(lambda host, bits: f"{host}-{bits}", slugs, st.from_regex(r"[0-9a-f]{16}", fullmatch=True))
counts = st.integers(0, 999_999_998)  # the highest has no successor
tokens = st.builds(
    Token,
    seq=st.from_regex(r"[0-9]{18}", fullmatch=True),
    job=slugs,
    g=counts,
    l=counts,
    f=counts,
    t=st.none() | st.integers(0, 999_999_999_999),
    inc=st.none() | incs,
)
NAME = "179541234567800003-learn-8c1f09b2aa.g2.l0.f1.t1795412345.gpu3-9f3c9f3c9f3c9f3c"


@given(tokens)
def test_every_token_comes_back_from_its_name(token: Token) -> None:
    assert parse(token.name) == token
    assert len(token.name) < 255


@given(st.text(alphabet="0123456789abcdefgltx.-_ ", max_size=60))
def test_whatever_parses_prints_the_same(text: str) -> None:
    for name in (text, "179541234567800003-" + text, NAME[:29] + text):
        token = parse(name)
        assert token is None or token.name == name


def test_the_example_of_the_format() -> None:
    token = parse(NAME)
    assert token == Token("179541234567800003", "learn-8c1f09b2aa", 2, 0, 1, 1795412345, "gpu3-9f3c9f3c9f3c9f3c")


@pytest.mark.parametrize(
    "name",
    [
        "",
        NAME.replace(".g2", ".g02"),
        NAME.replace(".g2", ".g-1"),
        NAME.replace(".g2", ".g" + "9" * 10),
        NAME.replace(".g2", ".g٢"),
        NAME.replace(".g2.l0", ".l0.g2"),
        NAME.replace(".t1795412345", ".t01"),
        NAME.replace("9f3c9f3c9f3c9f3c", "9f3c"),
        NAME.replace("9f3c9f3c9f3c9f3c", "9F3C9F3C9F3C9F3C"),
        NAME.replace("learn", "Learn"),
        NAME.replace("learn", "le--arn"),
        NAME.replace("learn", "l" * 90),
        NAME[1:],
        NAME + "\n",
        NAME + ".tmp",
        NAME + "~",
        " " + NAME,
        NAME.replace(".g2", ""),
        "spec.json",
        ".nfs000001",
    ],
)
def test_strangers_are_no_tokens(name: str) -> None:
    assert parse(name) is None


def test_every_rename_raises_g() -> None:
    token = Token("179541234567800003", "a-0123456789")
    claimed = token.next(inc="h-0123456789abcdef")
    assert (claimed.g, claimed.epoch, claimed.inc) == (1, 1, "h-0123456789abcdef")
    back = claimed.next(l=claimed.l + 1, inc=None)
    assert (back.g, back.l, back.inc) == (2, 1, None)
    with pytest.raises(ValueError):
        token.next(g=5)


@pytest.mark.parametrize("bad", [{"job": "A"}, {"g": -1}, {"seq": "1"}, {"inc": "x"}, {"t": -1}, {"job": "a.g1.l0.f0"}])
def test_a_token_that_could_not_be_parsed_cannot_be_made(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Token(**{"seq": "179541234567800003", "job": "a-0123456789", **bad})  # type: ignore[arg-type]


def test_incarnations_name_their_host() -> None:
    inc = new_inc("GPU_3.cluster.example", "0123456789abcdef")
    assert inc == "gpu-3-0123456789abcdef"
    assert is_inc(inc)
    assert host_of(inc) == "gpu-3"
    assert is_inc(new_inc("x" * 300, "0123456789abcdef"))
    assert is_inc(new_inc("日本", "0123456789abcdef"))
    with pytest.raises(ValueError):
        new_inc("a", "xyz")
    assert is_job_id("learn-8c1f09b2aa") and not is_job_id("learn_8") and not is_job_id("")


def test_a_token_without_a_next_name_is_none() -> None:
    assert parse("179541234567800003-a.g999999999.l0.f0") is None
    last = parse("179541234567800003-a.g999999998.l0.f0")
    assert last is not None and last.next().g == 999_999_999
