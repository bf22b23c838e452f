"""From a record to a place where it is safe: the log, else the spool, else an error.

Whoever gets an answer from here may tell the client that its event is stored.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from portfolio_analytics.producer.breaker import Breaker
from portfolio_analytics.shared.deadlines import Patience
from portfolio_analytics.shared.errors import LogError, LogUnavailable, LogUncertain, RecordTooLarge
from portfolio_analytics.shared.log.protocol import Appended, LogWriter
from portfolio_analytics.shared.record import mark_spooled

Placed = Appended | None
"""Where a record is in the log; None when it is in the spool, on its way there."""


class Spool(Protocol):
    """A local place that persists, for while the log is away. Drained into the log by itself."""

    def append(self, key: bytes, value: bytes) -> Awaitable[object]:
        """Store one record; ends after the fsync, or raises LogError."""

    def append_many(
        self, records: Sequence[tuple[bytes, bytes]]
    ) -> Awaitable[Sequence[Appended | BaseException]]:
        """Store several in one commit; one result a record, in order."""


class Publisher:
    """Puts records into `log`, or into `spool` if there is one, when the log does not answer in `patience` s.

    A record that the log may have taken (LogUncertain) is spooled too: the event's id makes the two one row,
    and the mark of what was spooled tells the ledger that they are one acknowledgement.
    """

    def __init__(
        self,
        log: LogWriter,
        spool: Spool | None,
        *,
        patience: float,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._spool = spool
        self._clock = clock
        self._spooled = itertools.count()
        self.breaker = breaker or Breaker()
        self.patience = Patience(patience)

    async def publish(self, key: bytes, value: bytes) -> Placed:
        """Store one record. Raises LogError when it is stored nowhere (after LogUncertain: perhaps)."""
        if not self.breaker.closed and not self.breaker.allows(self._clock()):
            return await self._rescue(key, value, LogUnavailable("the event log is away"))
        try:
            appended = self._log.append(key, value)
            self.patience.watch(appended)
            placed = await appended
            self.breaker.succeeded()
            return placed
        except RecordTooLarge:
            self.breaker.undecided()
            raise
        except LogError as failure:
            error = failure
        except asyncio.CancelledError:
            error = self._impatience()
        self.breaker.failed(self._clock())
        return await self._rescue(key, value, error)

    async def publish_many(self, records: Sequence[tuple[bytes, bytes]]) -> list[Placed | LogError]:
        """Store several records; for each where it is, or the error that kept it out."""
        results: list[Placed | LogError] = [*await self._append_many(records)]
        if self._spool is None:
            return results
        failed = [
            place
            for place, result in enumerate(results)
            if not isinstance(result, Appended) and _may_be_spooled(result)
        ]
        if failed:
            saved = await self._spool.append_many([self._marked(*records[place]) for place in failed])
            for place, outcome in zip(failed, saved, strict=True):
                results[place] = None if isinstance(outcome, Appended) else _log_error(outcome)
        return results

    async def _append_many(self, records: Sequence[tuple[bytes, bytes]]) -> list[Appended | LogError]:
        if not self.breaker.allows(self._clock()):
            return [LogUnavailable("the event log is away")] * len(records)
        try:
            appended = self._log.append_many(records)
            self.patience.watch(appended)
            outcomes = await appended
        except LogError as error:
            self.breaker.failed(self._clock())
            return [error] * len(records)
        except asyncio.CancelledError:
            uncertain = self._impatience()
            self.breaker.failed(self._clock())
            return [uncertain] * len(records)
        failed = [outcome for outcome in outcomes if not isinstance(outcome, Appended)]
        if any(map(_may_be_spooled, failed)):
            self.breaker.failed(self._clock())
        else:
            self.breaker.succeeded()
        return [outcome if isinstance(outcome, Appended) else _log_error(outcome) for outcome in outcomes]

    def _impatience(self) -> LogError:
        """What it means that waiting was cancelled; raises CancelledError when it was by somebody else."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            self.breaker.undecided()
            raise asyncio.CancelledError
        return LogUncertain("the event log did not answer in time")

    async def _rescue(self, key: bytes, value: bytes, error: LogError) -> Placed:
        if self._spool is None:
            raise error
        await self._spool.append(*self._marked(key, value))
        return None

    def _marked(self, key: bytes, value: bytes) -> tuple[bytes, bytes]:
        return key, mark_spooled(value, next(self._spooled))


def _may_be_spooled(outcome: object) -> bool:
    return isinstance(outcome, LogError) and not isinstance(outcome, RecordTooLarge)


def _log_error(outcome: BaseException) -> LogError:
    if isinstance(outcome, LogError):
        return outcome
    raise outcome
