from __future__ import annotations

import pytest

from portfolio_analytics.stats.latency import Latency, latency
from portfolio_analytics.stats.metric import change


@pytest.mark.parametrize(
    ("name", "new", "old", "expected"),
    [
        ("visitors", 150, 100, 50),
        ("visitors", 2, 3, -33),
        ("visitors", 0, 0, 0),
        ("visitors", 5, 0, 100),
        ("visitors", 0, 5, -100),
        ("bounce_rate", 40, 60, -20),
        ("percentage", 12.34, 10.1, 2.24),
        ("bounce_rate", None, 60, None),
        ("visit_duration", 60, None, None),
    ],
)
def test_change(name: str, new: float | None, old: float | None, expected: float | None) -> None:
    assert change(name, new, old) == expected


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, Latency()),
        ({0: 1}, Latency(1.0, 1.0, 1.0)),
        ({8: 1}, Latency(4.0, 4.0, 4.0)),
        ({40: 2, 12: 98}, Latency(8.0, 8.0, 1024.0)),
        ({12: 50, 40: 50}, Latency(8.0, 1024.0, 1024.0)),
        ({12: 49, 40: 51}, Latency(1024.0, 1024.0, 1024.0)),
    ],
)
def test_latency(counts: dict[int, int], expected: Latency) -> None:
    assert latency(counts) == expected
