"""When not to try the log: a circuit breaker. Pure; the clock is an argument, in seconds.

closed      every request tries the log; `failures` failures in a row open it
open        no request tries, for `pause` seconds
half-open   one request at a time tries; success closes, failure opens again
"""

from __future__ import annotations


class Breaker:
    """One log's state, as one worker process sees it."""

    def __init__(self, failures: int = 5, pause: float = 1.0) -> None:
        self._limit = failures
        self._pause = pause
        self._failures = 0
        self._open_until: float | None = None
        self._trying = False

    @property
    def closed(self) -> bool:
        """Whether every request may try."""
        return self._open_until is None

    def allows(self, now: float) -> bool:
        """Whether a request may try at `now`; when half-open, the one that is told so is the trial."""
        if self._open_until is None:
            return True
        if self._trying or now < self._open_until:
            return False
        self._trying = True
        return True

    def succeeded(self) -> None:
        """A try went well."""
        self._failures = 0
        self._open_until = None
        self._trying = False

    def failed(self, now: float) -> None:
        """A try failed."""
        self._failures += 1
        self._trying = False
        if self._open_until is not None or self._failures >= self._limit:
            self._open_until = now + self._pause

    def undecided(self) -> None:
        """A try that says nothing about the log: the record itself was at fault, or the client left."""
        self._trying = False
