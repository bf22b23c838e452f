"""Whether the parts are there: asked at most once a second, however often someone wants to know."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

import psycopg
import psycopg_pool

from portfolio_analytics.shared.context import LogHealth, Pool
from portfolio_analytics.storage.database import describe
from portfolio_analytics.storage.migrate import standing
from portfolio_analytics.storage.steps import run_async

FRESH_SECONDS = 1.0
DATABASE_SECONDS = 2.0
LOG_SECONDS = 5.0


class Findings(NamedTuple):
    """What is wrong with the database and with the log; None where nothing is."""

    database: str | None
    log: str | None


class Health:
    """Asks the database through `pool`, and the log. `clock` gives steady seconds."""

    def __init__(
        self, pool: Pool, log_health: LogHealth, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool = pool
        self._log_health = log_health
        self._clock = clock
        self._asked = float("-inf")
        self._findings = Findings("not asked yet", "not asked yet")
        self._asking: asyncio.Task[Findings] | None = None

    async def check(self) -> Findings:
        """What is wrong now, or was less than a second ago."""
        if self._clock() - self._asked < FRESH_SECONDS:
            return self._findings
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Findings:
        try:
            self._findings = Findings(*await asyncio.gather(self._ask_database(), self._ask_log()))
            return self._findings
        finally:
            self._asked = self._clock()
            self._asking = None

    async def _ask_database(self) -> str | None:
        try:
            async with (
                asyncio.timeout(2 * DATABASE_SECONDS),
                self._pool.connection(DATABASE_SECONDS) as connection,
            ):
                return (await run_async(connection, standing())).problem
        except psycopg.Error as error:
            return describe(error)
        except (psycopg_pool.PoolTimeout, TimeoutError):
            return "PostgreSQL cannot be reached"

    async def _ask_log(self) -> str | None:
        try:
            async with asyncio.timeout(LOG_SECONDS):
                return await self._log_health()
        except TimeoutError:
            return "the event log does not answer"
