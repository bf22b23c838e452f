"""Reading from PostgreSQL for an HTTP face: bounded, read-only, and with errors that a client understands."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql
from psycopg_pool import PoolTimeout

from portfolio_analytics.shared.context import Pool
from portfolio_analytics.shared.http import ApiError

Row = tuple[Any, ...]
Cursor = psycopg.AsyncCursor[Row]

TIMEOUT_MS: Final = 15_000
PATIENCE: Final = 30.0
"""Seconds that a question waits for its turn."""

_SESSION: Final[LiteralString] = """
SELECT set_config('statement_timeout', %(timeout)s, true), set_config('transaction_read_only', 'on', true),
    set_config('jit', 'off', true), set_config('work_mem', '64MB', true)
"""


class Reader:
    """A process's way to read: `at_once` questions at a time, each statement at most `timeout_ms` long.

    Others wait, so that they never take the whole pool, of which the tokens are looked up too.
    """

    def __init__(self, pool: Pool, at_once: int, timeout_ms: int = TIMEOUT_MS) -> None:
        self._pool = pool
        self._timeout = {"timeout": str(timeout_ms)}
        self._turn = asyncio.Semaphore(at_once)

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[Cursor]:
        """One consistent view of the database.

        Raises ApiError: 503 `storage_unavailable` while the database is away, 503 `query_timeout` when a
        statement or its turn takes too long.
        """
        await self._wait()
        try:
            async with self._pool.connection() as connection, connection.transaction():
                await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                await connection.execute(_SESSION, self._timeout)
                async with connection.cursor() as cursor:
                    yield cursor
        except psycopg.errors.QueryCanceled as error:
            raise _too_long("This takes too long: ask for a shorter time or fewer filters.") from error
        except (psycopg.OperationalError, PoolTimeout) as error:
            message = "The database is away; try again."
            raise ApiError(503, "storage_unavailable", message, headers={"Retry-After": "5"}) from error
        finally:
            self._turn.release()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._turn.acquire()
        except TimeoutError as error:
            raise _too_long("Too many questions are asked at once.") from error


def _too_long(message: str) -> ApiError:
    return ApiError(503, "query_timeout", message, headers={"Retry-After": "60"})


async def fetch(
    cursor: Cursor, statement: LiteralString | sql.Composed, params: Mapping[str, Any]
) -> list[Row]:
    """All rows. Planned with the parameters at hand, so that partitions out of the period are left out."""
    await cursor.execute(statement, params, prepare=False)
    return await cursor.fetchall()
