"""The machine's clocks and the tests' clock."""

from __future__ import annotations

from fakes import FakeClock

from lab.clock import RealClock


def test_the_real_clock_goes_forward() -> None:
    clock = RealClock()
    before = clock.monotonic()
    clock.sleep(0)
    clock.sleep(-5)  # late already: no wait, no error
    assert clock.monotonic() >= before
    assert clock.wall() > 1.7e9


def test_the_fake_clock_moves_when_told(fake_clock: FakeClock) -> None:
    wall, start = fake_clock.wall(), fake_clock.monotonic()
    fake_clock.sleep(5)
    fake_clock.advance(2)
    assert (fake_clock.monotonic() - start, fake_clock.wall() - wall) == (7, 7)
