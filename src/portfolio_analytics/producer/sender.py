"""What a request tells about all of its events: who sends them, from where, in whose name."""

from __future__ import annotations

import msgspec

from portfolio_analytics.producer.address import Place
from portfolio_analytics.producer.sites import KnownSite
from portfolio_analytics.producer.visitor import Visitor
from portfolio_analytics.shared.access import Principal


class Standing(msgspec.Struct, gc=False):
    """What follows for an event from its sender, user agent, site and page's host.

    `may_import`: it may name others' visitors and countries, and any past. `visitor` is who the sender itself
    is there, once an event needed to know.
    """

    user_agent: str
    site: KnownSite
    host: str | None
    may_import: bool
    place: Place
    visitor: Visitor | None = None


class Sender:
    """One request's sender. `address` stays in this process; `signal` is a reason to record nothing;
    `limited`, which the limits say, whether it is anybody of the public Internet.

    `standings` keeps what was found out for one event for the next ones of a batch, by the user agent and
    the site that an event names and its page's host; a text is a reason to ignore it.
    """

    __slots__ = ("address", "limited", "origin_host", "principal", "signal", "standings", "user_agent")

    def __init__(
        self,
        address: str,
        user_agent: str,
        origin_host: str | None,
        signal: str | None,
        principal: Principal | None,
    ) -> None:
        self.address = address
        self.user_agent = user_agent
        self.origin_host = origin_host
        self.signal = signal
        self.principal = principal
        self.limited = False
        self.standings: dict[tuple[str | None, str | None, str | None], Standing | str] = {}
