"""Screen classes at their bounds."""

from __future__ import annotations

import pytest

from portfolio_analytics.consumer.enrich.screen import screen_class


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (None, ""), (0, ""), (-5, ""), (1, "Mobile"), (575, "Mobile"), (576, "Tablet"), (991, "Tablet"),
        (992, "Laptop"), (1439, "Laptop"), (1440, "Desktop"), (7680, "Desktop"),
    ],
)  # fmt: skip
def test_screen_class(width: int | None, expected: str) -> None:
    assert screen_class(width) == expected
