"""What one worker has had acknowledged, refused and ignored: attested in the log, and shown as metrics.

The ledger's accepted side must outlive the process, so every few seconds what was counted goes into the log
as a control record. An event is counted only after its acknowledgement.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from portfolio_analytics.shared.errors import LogError
from portfolio_analytics.shared.metrics import (
    APPEND_SECONDS,
    EVENTS,
    IGNORED_EVENTS,
    REFUSALS,
    REFUSED,
    Sheet,
    cell,
    observe,
)
from portfolio_analytics.shared.record import AttestRecord, encode_record

MINUTE_MS = 60_000
ATTEST_SECONDS = 10.0

Append = Callable[[bytes, bytes], Awaitable[object]]

logger = logging.getLogger(__name__)


class Tally:
    """One worker's counts. `worker` names it in every record that it writes; it is new in every process."""

    def __init__(self, sheet: Sheet) -> None:
        self.worker = secrets.token_hex(6)
        self._row = sheet.row
        self._accepted: Counter[int] = Counter()
        self._refused: dict[int, Counter[str]] = {}
        self._ignored: dict[int, Counter[str]] = {}
        self._sequence = 0
        self._sending: AttestRecord | None = None

    def accepted(self, at: int, n: int, in_log: bool) -> None:
        """`n` events of one request that came at `at` (Unix milliseconds) were acknowledged."""
        self._accepted[at // MINUTE_MS] += n
        self._row[_LOGGED if in_log else _SPOOLED] += n

    def refused(self, at: int, reason: str) -> None:
        """A request, or an event of a batch, was answered with an error."""
        if reason not in _REFUSED_CELLS:
            reason = "other"
        self._refused.setdefault(at // MINUTE_MS, Counter())[reason] += 1
        self._row[_REFUSED_CELLS[reason]] += 1

    def ignored(self, at: int, reason: str) -> None:
        """An event was not recorded by policy."""
        self._ignored.setdefault(at // MINUTE_MS, Counter())[reason] += 1
        self._row[cell(IGNORED_EVENTS, reason)] += 1

    def took(self, seconds: float) -> None:
        """An append was acknowledged after that long."""
        observe(self._row, APPEND_SECONDS, seconds)

    async def attest(self, append: Append) -> None:
        """Put what was counted into the log. When that fails the same record is sent again the next time."""
        record = self._sending or self._take()
        if record is None:
            return
        self._sending = record
        await append(f"\x00{self.worker}".encode(), encode_record(record))
        self._sending = None

    async def attest_forever(self, append: Append, seconds: float = ATTEST_SECONDS) -> None:
        """Attest every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.attest(append)
            except LogError as error:
                logger.warning("the ledger's counts wait: %s", error)

    async def attest_last(self, append: Append, seconds: float) -> None:
        """Attest all that is left, trying for `seconds`."""
        end = time.monotonic() + seconds
        while self._sending or self._accepted or self._refused or self._ignored:
            with contextlib.suppress(LogError):
                await self.attest(append)
                continue
            if time.monotonic() > end:
                logger.error("the ledger's last counts are not in the log; they will show as unattested")
                return
            await asyncio.sleep(0.2)

    def _take(self) -> AttestRecord | None:
        if not (self._accepted or self._refused or self._ignored):
            return None
        self._sequence += 1
        record = AttestRecord(
            worker=self.worker,
            sequence=self._sequence,
            accepted={str(minute): n for minute, n in self._accepted.items()},
            refused={str(minute): dict(counts) for minute, counts in self._refused.items()},
            ignored={str(minute): dict(counts) for minute, counts in self._ignored.items()},
        )
        self._accepted.clear()
        self._refused.clear()
        self._ignored.clear()
        return record


_LOGGED = cell(EVENTS, "log")
_SPOOLED = cell(EVENTS, "spool")
_REFUSED_CELLS = {reason: cell(REFUSED, reason) for reason in REFUSALS}
