"""What a worker keeps fresh from PostgreSQL, so that no request waits for it: salts and sites.

Before all else it waits for the schema that it needs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import psycopg
import psycopg_pool

from portfolio_analytics.producer.salts import Salts, refresh_salts
from portfolio_analytics.producer.sites import Sites
from portfolio_analytics.shared.context import Pool
from portfolio_analytics.storage.database import describe
from portfolio_analytics.storage.migrate import standing
from portfolio_analytics.storage.sites import policies
from portfolio_analytics.storage.steps import run_async

PAUSE = 5.0
RETRY_PAUSE = 0.5
SALTS_EVERY = 60.0
DATABASE_SECONDS = 2.0
MAX_SHARE = 0.05
"""The most of the time that reading sites may take; a great many of them are read less often."""

logger = logging.getLogger(__name__)


class Upkeep:
    """Refreshes `salts` and `sites` from `pool`. `now` gives Unix nanoseconds, `clock` steady seconds."""

    def __init__(
        self,
        pool: Pool,
        salts: Salts,
        sites: Sites,
        now: Callable[[], int] = time.time_ns,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._salts = salts
        self._sites = sites
        self._now = now
        self._clock = clock
        self._salts_due = float("-inf")
        self._complaint = ""
        self._has_schema = False

    @property
    def has_schema(self) -> bool:
        """Whether the database's schema was found to be one that this version runs on."""
        return self._has_schema

    async def refresh(self) -> bool:
        """Read what is due; whether that went well."""
        now = self._now() // 1_000_000
        try:
            async with self._pool.connection(DATABASE_SECONDS) as connection:
                if not self._has_schema:
                    problem = (await run_async(connection, standing())).problem
                    if problem is not None:
                        self._complain(problem)
                        return False
                    self._has_schema = True
                if self._clock() >= self._salts_due or not self._salts.ready(now):
                    await refresh_salts(connection, self._salts, now)
                    self._salts_due = self._clock() + SALTS_EVERY
                self._sites.replace(await run_async(connection, policies()))
        except (psycopg.Error, psycopg_pool.PoolTimeout) as error:
            self._complain(describe(error) if isinstance(error, psycopg.Error) else "no connection in time")
            return False
        self._complaint = ""
        return True

    async def run(self) -> None:
        """Refresh for ever, until cancelled."""
        while True:
            begun = self._clock()
            well = await self.refresh()
            took = self._clock() - begun
            await asyncio.sleep(max(PAUSE, took / MAX_SHARE) if well else RETRY_PAUSE)

    def _complain(self, problem: str) -> None:
        """Say once what is wrong, not twice a second."""
        if problem != self._complaint:
            self._complaint = problem
            logger.warning("sites and salts could not be read: %s", problem)
