"""What a request tells about all of its events: who sends them, from where, in whose name."""

from __future__ import annotations

from portfolio_analytics.producer.visitor import Visitor
from portfolio_analytics.shared.access import Principal


class Sender:
    """One request's sender. `address` stays in this process; `signal` is a reason to record nothing.

    `visitors` remembers who the sender is to a site, by user agent, site and page's host, for the next event
    of a batch.
    """

    __slots__ = ("address", "origin_host", "principal", "signal", "user_agent", "visitors")

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
        self.visitors: dict[tuple[str, str, str | None], Visitor] = {}
