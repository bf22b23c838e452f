"""The circuit breaker, with a clock of its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portfolio_analytics.producer.breaker import Breaker


def opened(at: float) -> Breaker:
    breaker = Breaker(failures=3, pause=1.0)
    for _ in range(3):
        breaker.failed(at)
    return breaker


def test_closed_until_failures_in_a_row() -> None:
    breaker = Breaker(failures=3, pause=1.0)
    breaker.failed(0)
    breaker.failed(0)
    breaker.succeeded()
    breaker.failed(0)
    breaker.failed(0)
    assert breaker.closed
    breaker.failed(0)
    assert not breaker.closed


def test_open_lets_nobody_try_until_the_pause_is_over() -> None:
    breaker = opened(10.0)
    assert not breaker.allows(10.0)
    assert not breaker.allows(10.99)
    assert breaker.allows(11.0)


def test_half_open_lets_one_try_at_a_time() -> None:
    breaker = opened(10.0)
    assert breaker.allows(11.0)
    assert not breaker.allows(11.5)
    breaker.succeeded()
    assert breaker.closed
    assert breaker.allows(11.5)
    assert breaker.allows(11.5)


def test_a_failed_trial_opens_again() -> None:
    breaker = opened(10.0)
    assert breaker.allows(11.0)
    breaker.failed(12.5)
    assert not breaker.allows(13.4)
    assert breaker.allows(13.5)


def test_an_undecided_trial_lets_the_next_one_try() -> None:
    breaker = opened(10.0)
    assert breaker.allows(11.0)
    breaker.undecided()
    assert not breaker.closed
    assert breaker.allows(11.0)


def test_late_failures_of_requests_from_before_do_not_end_a_trial_well() -> None:
    breaker = opened(10.0)
    breaker.failed(10.5)
    assert not breaker.allows(11.4)
    assert breaker.allows(11.5)


@given(st.lists(st.tuples(st.sampled_from(["ask", "fail", "succeed", "undecided"]), st.floats(0, 0.6))))
def test_it_never_stays_open_for_ever(steps: list[tuple[str, float]]) -> None:
    breaker = Breaker(failures=2, pause=1.0)
    now = 0.0
    for what, passed in steps:
        now += passed
        if what == "ask":
            breaker.allows(now)
        elif what == "fail":
            breaker.failed(now)
        elif what == "succeed":
            breaker.succeeded()
        else:
            breaker.undecided()
    breaker.undecided()  # a trial that was let in ends somehow
    assert breaker.allows(now + 1.0)
