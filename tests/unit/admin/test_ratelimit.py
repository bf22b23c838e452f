"""Rate limits as tables of moments, and what bounds them."""

from __future__ import annotations

import itertools
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_analytics.shared.ratelimit import KeyMaker, Limiter, Rate, network_of

TEN = Rate("test", 10, 5)  # 10 a second, 5 at once


@pytest.mark.parametrize(
    ("moments", "allowed"),
    [
        ([0.0] * 7, [True] * 5 + [False] * 2),
        ([0.0] * 5 + [0.1, 0.1], [True] * 6 + [False]),
        ([0.0] * 5 + [0.05, 0.0999], [True] * 5 + [False] * 2),
        ([0.0] * 5 + [1.0] * 6, [True] * 10 + [False]),
        ([0.0] * 5 + [-1.0, 0.1], [True] * 5 + [False, True]),  # a clock that steps back
        ([i / 10 for i in range(50)], [True] * 50),
    ],
)
def test_burst_then_pace(moments: list[float], allowed: list[bool]) -> None:
    limiter = Limiter(TEN)
    assert [limiter.allow(1, moment) is None for moment in moments] == allowed


def test_the_wait_is_the_time_until_the_next_is_let_in() -> None:
    limiter = Limiter(TEN)
    for _ in range(5):
        assert limiter.allow(1, 0.0) is None
    wait = limiter.allow(1, 0.03)
    assert wait is not None
    assert wait == pytest.approx(0.07)
    assert limiter.allow(1, 0.03 + wait) is None


def test_a_batch_larger_than_the_burst_passes_and_is_paid_for() -> None:
    limiter = Limiter(TEN)
    assert limiter.allow(1, 0.0, cost=100) is None
    assert limiter.allow(1, 9.4) is not None
    assert limiter.allow(1, 9.7) is None  # 100 units are due at 10 s, of which 4 may be ahead


def test_keys_do_not_share() -> None:
    limiter = Limiter(TEN)
    for _ in range(6):
        limiter.allow(1, 0.0)
    assert limiter.allow(2, 0.0) is None


@given(st.lists(st.tuples(st.fractions(0, Fraction(1, 2)), st.integers(1, 3)), max_size=60))
def test_never_more_than_burst_and_pace_allow(steps: list[tuple[Fraction, int]]) -> None:
    """The property that a limit is for, by an independent count over every window."""
    limiter = Limiter(TEN)
    now = Fraction(0)
    let_in: list[tuple[Fraction, int]] = []
    for pause, cost in steps:
        now += pause
        if limiter.allow(1, float(now), cost) is None:
            let_in.append((now, cost))
    for first, last in itertools.combinations_with_replacement(range(len(let_in)), 2):
        span = let_in[last][0] - let_in[first][0]
        total = sum(cost for _, cost in let_in[first:last])  # the last one may go into debt
        assert total <= TEN.burst - 1 + span * 10 + Fraction(1, 10**6)


def test_memory_is_bounded_and_the_busy_are_not_forgotten() -> None:
    limiter = Limiter(TEN, capacity=100)
    for _ in range(6):
        limiter.allow(-1, 0.0)
    for key in range(150):
        limiter.allow(key, 0.0)
    assert limiter.allow(-1, 0.0) is not None
    for key in range(10_000):
        limiter.allow(key, 0.0)
    assert len(limiter) <= 200


@pytest.mark.parametrize(
    ("taken", "now", "left", "reset"),
    [(0, 0.0, 5, 0), (1, 0.0, 4, 1), (5, 0.0, 0, 1), (5, 0.35, 3, 1), (5, 9.0, 5, 0)],
)
def test_headers(taken: int, now: float, left: int, reset: int) -> None:
    limiter = Limiter(TEN)
    for _ in range(taken):
        assert limiter.allow(1, 0.0) is None
    assert limiter.headers(1, now) == {
        "RateLimit-Policy": '"test";q=5;w=1',
        "RateLimit": f'"test";r={left};t={reset}',
    }


def test_a_refusal_says_when_to_come_back() -> None:
    limiter = Limiter(Rate("slow", 0.5, 1))
    assert limiter.allow(1, 0.0) is None
    wait = limiter.allow(1, 0.5)
    assert wait is not None
    error = limiter.refusal(1, 0.5, wait)
    assert (error.status, error.code, error.headers["Retry-After"]) == (429, "rate_limited", "2")
    assert error.headers["RateLimit"] == '"slow";r=0;t=2'


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.254", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("192.0.2.1", "::ffff:192.0.2.9", True),
        ("2001:db8:0:ff::1", "2001:db8:0:01::9", True),
        ("2001:db8:0:100::1", "2001:db8:0:200::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "", True),
        ("unix:", "testclient", False),
        ("192.0.2.1\0", "192.0.2.2\0", False),
    ],
)
def test_addresses_share_a_key_with_their_network(one: str, other: str, same: bool) -> None:
    keys = KeyMaker()
    assert (keys.of_address(one) == keys.of_address(other)) is same


def test_keys_tell_nothing_without_the_secret() -> None:
    assert KeyMaker().of_address("192.0.2.1") != KeyMaker().of_address("192.0.2.1")
    assert KeyMaker(b"s").of(b"x") == KeyMaker(b"s").of(b"x")
    assert b"\xc0\x00\x02" not in KeyMaker().of_address("192.0.2.1").to_bytes(8, "big")
    assert network_of("192.0.2.1") == b"\xc0\x00\x02"


def test_cheap_enough_for_every_event() -> None:
    """Key and decision take a few microseconds; what looks through the table would take far longer."""
    limiter, keys = Limiter(Rate("hot", 1e6, 10**6)), KeyMaker()
    addresses = [f"192.0.{i // 250}.{i % 250}" for i in range(10_000)]
    start = time.process_time()
    for address in addresses:
        limiter.allow(keys.of_address(address), 0.0)
    assert (time.process_time() - start) / len(addresses) < 20e-6
