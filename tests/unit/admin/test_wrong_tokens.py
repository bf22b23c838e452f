"""How long wrong tokens are made to wait."""

from __future__ import annotations

import pytest

from portfolio_analytics.shared.wrong_tokens import FORGIVEN_EACH, FREE, MAX_DELAY, WrongTokens


@pytest.mark.parametrize(
    ("tries", "delay"),
    [
        (1, 0),
        (FREE, 0),
        (FREE + 1, 0.05),
        (FREE + 2, 0.1),
        (FREE + 3, 0.2),
        (FREE + 6, 1.0),
        (5000, MAX_DELAY),
    ],
)
def test_the_delay_grows_to_a_bound(tries: int, delay: float) -> None:
    wrong = WrongTokens()
    for _ in range(tries - 1):
        wrong.count(1, 0.0)
    assert wrong.count(1, 0.0) == pytest.approx(delay)


def test_time_forgives_and_others_are_not_concerned() -> None:
    wrong = WrongTokens()
    for _ in range(FREE + 3):
        wrong.count(1, 0.0)
    assert wrong.count(2, 0.0) == 0
    assert wrong.count(1, 0.0) > 0
    assert wrong.count(1, FORGIVEN_EACH * 5) == 0


def test_memory_is_bounded_and_the_busiest_stay() -> None:
    wrong = WrongTokens(capacity=10)
    for key in range(1000):
        wrong.count(key, 0.0)
        wrong.count(-1, 0.0)
    assert len(wrong) == 10
    assert wrong.count(-1, 0.0) == MAX_DELAY
