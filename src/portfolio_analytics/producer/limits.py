"""How many events anybody may send without a token that may send: by network, by site, by visitor."""

from __future__ import annotations

import math
import zlib

from portfolio_analytics.producer.daily_counts import DailyCounts
from portfolio_analytics.producer.identity import DAY_MS
from portfolio_analytics.producer.sender import Sender
from portfolio_analytics.shared.access import Principal
from portfolio_analytics.shared.errors import InvalidEvent
from portfolio_analytics.shared.ratelimit import KeyMaker, limiter

MANY_SHARE = 50
"""From a fiftieth of a visitor's limit on it is more than one person, or none."""
SESSIONS_OF_MANY = 1_024
SENDING = frozenset({"ingest", "import", "admin"})
"""Scopes with one of which a token lifts the limits; to read is not to send."""


class Limits:
    """Counts in one worker process. Rates are events a second, for visitors events a day; 0 is no limit.

    Addresses that are not of the public Internet are not limited: behind them stand the machine itself,
    a local network, or a proxy that nobody named in TRUSTED_PROXIES, with all its clients.
    """

    def __init__(self, address_rate: int, site_rate: int, visitor_rate: int) -> None:
        self._addresses = limiter("address", address_rate)
        self._sites = limiter("site", site_rate)
        self._keys = KeyMaker()
        self._visitor_rate = visitor_rate
        self._visitors = DailyCounts()
        self._sessions = DailyCounts()

    def sender(self, sender: Sender, events: int, now: float) -> None:
        """Book `events` of a sender at `now` (steady seconds). Raises ApiError 429."""
        sender.limited = not may_exceed(sender.principal) and is_public(sender.address)
        if self._addresses is None or not sender.limited:
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

    def visitor(self, sender: Sender, site: str, visitor: int, session: str | None, now: int) -> str | None:
        """Book an event of a visitor and of its session at `now` (Unix ms); the session to record it in.

        The consumer looks at all of a visitor's visits of a day, and at all pages of a visit, whenever one of
        its events comes. So who sends more than a person does is one of a bounded number of sessions, and
        who goes on and on is refused. Raises InvalidEvent 429.
        """
        if not (self._visitor_rate and sender.limited):
            return session
        day = now // DAY_MS
        events = most = self._visitors.add(visitor, day)
        if session is not None:
            most = max(most, self._sessions.add(hash((site, session)), day))
        if most > self._visitor_rate:
            raise InvalidEvent(
                "rate_limited",
                f"This visitor, or session, has sent {self._visitor_rate} events today; try again tomorrow.",
                status=429,
            )
        if session is not None and events > self._visitor_rate // MANY_SHARE:
            # The same in every worker, which Python's own hash is not.
            number = zlib.crc32(session.encode("utf-8", "surrogatepass")) % SESSIONS_OF_MANY
            return f"one of many: {number}"
        return session


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
