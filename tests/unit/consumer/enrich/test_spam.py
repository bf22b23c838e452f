"""Referrer spam by host."""

from __future__ import annotations

import pytest

from portfolio_analytics.consumer.enrich.spam import is_spam


@pytest.mark.parametrize(
    "referrer", ["http://semalt.com/crawler.php?u=x", "https://www.Semalt.com", "http://a.b.semalt.com/"]
)
def test_spam(referrer: str) -> None:
    assert is_spam(referrer)


@pytest.mark.parametrize(
    "referrer",
    [None, "", "-", "https://www.google.com/", "https://notsemalt.com/", "https://a.example/semalt.com"],
)
def test_no_spam(referrer: str | None) -> None:
    assert not is_spam(referrer)
