"""How many events anybody may send without a token that may send: by network, and by site."""

from __future__ import annotations

import math

from portfolio_analytics.producer.sender import Sender
from portfolio_analytics.shared.access import Principal
from portfolio_analytics.shared.errors import InvalidEvent
from portfolio_analytics.shared.ratelimit import KeyMaker, limiter

SENDING = frozenset({"ingest", "import", "admin"})
"""Scopes with one of which a token lifts the limits; to read is not to send."""


class Limits:
    """Counts in one worker process. Rates are events a second; 0 is no limit.

    Addresses that are not of the public Internet are not limited: behind them stand the machine itself,
    a local network, or a proxy that nobody named in TRUSTED_PROXIES, with all its clients.
    """

    def __init__(self, address_rate: int, site_rate: int) -> None:
        self._addresses = limiter("address", address_rate)
        self._sites = limiter("site", site_rate)
        self._keys = KeyMaker()

    def sender(self, sender: Sender, events: int, now: float) -> None:
        """Book `events` of a sender at `now` (steady seconds). Raises ApiError 429."""
        if self._addresses is None or may_exceed(sender.principal) or not is_public(sender.address):
            return
        key = self._keys.of_address(sender.address)
        wait = self._addresses.allow(key, now, events)
        if wait is not None:
            raise self._addresses.refusal(key, now, wait)

    def site(self, name: str, now: float) -> None:
        """Book an event of a site. Raises InvalidEvent 429."""
        if self._sites is None:
            return
        wait = self._sites.allow(hash(name), now)
        if wait is not None:
            raise InvalidEvent(
                "rate_limited",
                f"Too many events for this site; try again in {math.ceil(wait)} s.",
                status=429,
            )


def may_exceed(principal: Principal | None, site: str | None = None) -> bool:
    """Whether `principal` may send past the limit of a network, or, where it is named, of `site`."""
    if principal is None or principal.scopes.isdisjoint(SENDING):
        return False
    return site is None or principal.site in (None, site)


def is_public(address: str) -> bool:
    """Whether an address in its usual form is of the public Internet, as far as its first digits tell.

    The ipaddress module knows better, and takes 5 us.
    """
    if address.startswith(_PARTLY_PUBLIC):
        first, second = address.split(".", 2)[:2]
        low, high = (16, 31) if first == "172" else (64, 127)
        return not low <= int(second) <= high
    return address[:1] in _HEXADECIMAL and not address.startswith(_NOT_PUBLIC)


_HEXADECIMAL = frozenset("0123456789abcdef")
_PARTLY_PUBLIC = ("172.", "100.")
_NOT_PUBLIC = ("127.", "10.", "192.168.", "169.254.", "fc", "fd", "fe8", "fe9", "fea", "feb")
