"""Rate limits: the generic cell rate algorithm over a bounded table, with the clock as an argument.

A limit is told what is asked for (`allow`), and remembers for each key one number: the time at which all that
was let in so far would have been due at an even pace (ITU-T I.371, the virtual scheduling form). The table
is two dicts of `capacity` keys: when the younger is full the older is forgotten. Whoever is forgotten starts
anew, so memory is bounded and nobody is ever limited for another's sake.

Limits count in one worker process; several workers let in as many times more.
"""

from __future__ import annotations

import hashlib
import math
import secrets
import socket
from dataclasses import dataclass

from portfolio_analytics.shared.http import ApiError

BURST_SECONDS = 10
"""How many seconds' worth may come at once."""

_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96, IPv4 in IPv6


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` units at once, then `per_second` units a second; `name` is what the headers call it."""

    name: str
    per_second: float
    burst: int


class Limiter:
    """Keeps one Rate for each key. Not for several threads."""

    def __init__(self, rate: Rate, capacity: int = 50_000) -> None:
        self.rate = rate
        self._interval = 1 / rate.per_second
        self._tolerance = (rate.burst - 1) * self._interval
        self._capacity = capacity
        self._younger: dict[int, float] = {}
        self._older: dict[int, float] = {}

    def allow(self, key: int, now: float, cost: int = 1) -> float | None:
        """None when the request of `cost` units is let in at `now` (seconds, any steady clock).

        Else the seconds to wait. A request is let in while one unit is left, and all its cost is booked, so
        that a batch larger than the burst passes and is paid for afterwards.
        """
        due = self._due(key, now)
        wait = due - now - self._tolerance
        if wait > 1e-9:
            return wait
        if key not in self._younger and len(self._younger) >= self._capacity:
            self._older = self._younger
            self._younger = {}
        self._younger[key] = due + cost * self._interval
        return None

    def headers(self, key: int, now: float) -> dict[str, str]:
        """RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers): what is left for `key`."""
        rate = self.rate
        backlog = self._due(key, now) - now
        left = max(0, math.floor((self._tolerance - backlog) / self._interval + 1 + 1e-6))
        window = math.ceil(rate.burst / rate.per_second)
        return {
            "RateLimit-Policy": f'"{rate.name}";q={rate.burst};w={window}',
            "RateLimit": f'"{rate.name}";r={left};t={math.ceil(backlog)}',
        }

    def refusal(self, key: int, now: float, wait: float) -> ApiError:
        """The 429 for a request that has to wait `wait` seconds."""
        headers = {**self.headers(key, now), "Retry-After": str(max(1, math.ceil(wait)))}
        message = f"Too many requests; try again in {math.ceil(wait)} s."
        return ApiError(429, "rate_limited", message, headers=headers)

    def __len__(self) -> int:
        """How many keys are remembered, at most twice the capacity."""
        return len(self._younger) + len(self._older)

    def _due(self, key: int, now: float) -> float:
        due = self._younger.get(key)
        if due is None:
            due = self._older.get(key, now)
        return max(now, due)


def limiter(name: str, per_second: int) -> Limiter | None:
    """A limit with a burst of BURST_SECONDS; None when `per_second` is 0, which is no limit."""
    return Limiter(Rate(name, per_second, per_second * BURST_SECONDS)) if per_second else None


class KeyMaker:
    """Turns what is limited into keys that tell nothing: 64 bits of a hash under a key of this process."""

    def __init__(self, secret: bytes | None = None) -> None:
        self._state = hashlib.blake2b(key=secret or secrets.token_bytes(32), digest_size=8)

    def of(self, word: bytes) -> int:
        """The key of a site, a token or whatever else has a name."""
        state = self._state.copy()
        state.update(word)
        return int.from_bytes(state.digest(), "big")

    def of_address(self, address: str) -> int:
        """The key of an address's network: /24 of IPv4 (also when mapped into IPv6), /56 of IPv6."""
        return self.of(network_of(address))


def network_of(address: str) -> bytes:
    """The leading bytes of an address that name its network; of what is no address, the text itself."""
    try:
        if ":" not in address:
            return socket.inet_pton(socket.AF_INET, address)[:3]
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):
        return address.encode()
    return packed[12:15] if packed.startswith(_MAPPED) else packed[:7]
