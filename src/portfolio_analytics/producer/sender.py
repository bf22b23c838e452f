"""What a request tells about all of its events: who sends them, from where, in whose name."""

from __future__ import annotations

from portfolio_analytics.shared.access import Principal


class Sender:
    """One request's sender. `address` stays in this process; `signal` is a reason to record nothing."""

    __slots__ = ("address", "origin_host", "principal", "signal", "user_agent")

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
