"""Slowing down those who try tokens, without ever slowing down a right one.

Each wrong token of a network earns a point, points wear off with time, and past a few the refusal is delayed.
A right token is answered at once, whoever else is behind the same address.
"""

from __future__ import annotations

from collections import OrderedDict

FREE = 5  # wrong tokens without any delay: a typing mistake costs nothing
FORGIVEN_EACH = 10.0  # seconds until one point wears off
FIRST_DELAY = 0.05  # seconds; doubles with each further point
MAX_DELAY = 1.0  # seconds


class WrongTokens:
    """Counts wrong tokens by key, in bounded memory: the key that was silent longest is forgotten first."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._points: OrderedDict[int, tuple[float, float]] = OrderedDict()

    def count(self, key: int, now: float) -> float:
        """Note a wrong token of `key` at `now` (seconds); returns the refusal's delay in seconds."""
        points, last = self._points.pop(key, (0.0, now))
        points = max(0.0, points - (now - last) / FORGIVEN_EACH) + 1
        self._points[key] = (points, now)
        if len(self._points) > self._capacity:
            self._points.popitem(last=False)
        return 0.0 if points <= FREE else min(MAX_DELAY, FIRST_DELAY * 2 ** min(points - FREE - 1, 30))

    def __len__(self) -> int:
        return len(self._points)
