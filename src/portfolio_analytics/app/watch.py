"""Looks at how far the consumers are, for the HTTP side and for a consumer's own probe."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import psycopg_pool

from portfolio_analytics.app.log_ends import LogEnds
from portfolio_analytics.app.progress import OVERDUE_S, Progress, StoredPositions, progress, progress_gauges
from portfolio_analytics.shared.context import Pool
from portfolio_analytics.shared.errors import LogError
from portfolio_analytics.shared.metrics import Declaration
from portfolio_analytics.storage import presence
from portfolio_analytics.storage.sql import statement

FRESH_S = 1.0
DATABASE_S = 2.0
LOOK_S = 8.0
LEDGER_FROM = datetime.timedelta(minutes=60)
LEDGER_TO = datetime.timedelta(minutes=2)
"""The youngest minutes are always on their way."""

Found = tuple[Progress, Mapping[Declaration, float | Mapping[str, float]]]
Row = Sequence[Any]


def look(connection: psycopg.Connection[Any], ends: LogEnds) -> Found:
    """How far the consumers are, and its metrics. Raises psycopg.Error, LogError."""
    answers = [connection.execute(query, params).fetchall() for query, params in _questions()]
    return _found(answers, ends)


class Watch:
    """Looks at most once a second, however often somebody asks; `clock` gives steady seconds."""

    def __init__(self, pool: Pool, ends: LogEnds, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._ends = ends
        self._clock = clock
        # The log is asked by one thread, which blocks; a thread that hangs ends with the process.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log-ends")
        self._looked = float("-inf")
        self._found: Found | None = None
        self._looking: asyncio.Task[Found | None] | None = None

    async def found(self) -> Found | None:
        """What was found now, or less than a second ago; None while the database or the log is away."""
        if self._clock() - self._looked < FRESH_S:
            return self._found
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    def close(self) -> None:
        """Let go of the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _look(self) -> Found | None:
        self._found = None
        try:
            async with asyncio.timeout(LOOK_S):
                answers = await self._ask()
                loop = asyncio.get_running_loop()
                self._found = await loop.run_in_executor(self._thread, _found, answers, self._ends)
        except (psycopg.Error, psycopg_pool.PoolTimeout, LogError, TimeoutError):
            pass  # health says which of the two is away
        finally:
            self._looked = self._clock()
            self._looking = None
        return self._found

    async def _ask(self) -> list[list[Row]]:
        answers: list[list[Row]] = []
        async with self._pool.connection(DATABASE_S) as connection:
            for query, params in _questions():
                cursor = await connection.execute(query, params)
                answers.append(list(await cursor.fetchall()))
        return answers


def _questions() -> list[tuple[Any, dict[str, object]]]:
    now = datetime.datetime.now(datetime.UTC)
    return [
        (statement("status_positions"), {}),
        (presence.COUNT, {}),
        (statement("status_bad_rows"), {}),
        (statement("stats_ledger"), {"after": now - LEDGER_FROM, "until": now - LEDGER_TO}),
    ]


def _found(answers: Sequence[Sequence[Row]], ends: LogEnds) -> Found:
    [(positions, gaps)], [(consumers,)], [(bad_rows,)], minutes = answers
    stored = StoredPositions.of(positions, gaps, consumers)
    backlog = ends.backlog(stored.next, int((time.time() - OVERDUE_S) * 1000))
    found = progress(stored, backlog)
    # The columns of storage/sql/stats_ledger.sql.
    in_flight = sum(minute[5] for minute in minutes)
    unattested = sum(minute[8] for minute in minutes)
    return found, progress_gauges(found, bad_rows, in_flight, unattested)
