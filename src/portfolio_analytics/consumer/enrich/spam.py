"""Referrer spam: made-up referrers of sites that want to be seen in statistics (see spam_hosts.txt)."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from portfolio_analytics.consumer.enrich.origin import referrer_place

CACHED_REFERRERS = 8192


def is_spam(referrer: str | None) -> bool:
    """Whether `referrer` is on a host, or under one, that is known for made-up referrers."""
    return bool(referrer) and _listed(referrer or "")


@lru_cache(maxsize=CACHED_REFERRERS)
def _listed(referrer: str) -> bool:
    place = referrer_place(referrer)
    rest = place.partition("/")[0] if place else ""
    spam = _spam_hosts()
    while rest:
        if rest in spam:
            return True
        rest = rest.partition(".")[2]
    return False


@lru_cache(maxsize=1)
def _spam_hosts() -> frozenset[str]:
    lines = files(__package__).joinpath("spam_hosts.txt").read_text("utf-8").splitlines()
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))
