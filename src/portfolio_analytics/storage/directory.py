"""Tokens, sessions and links as the HTTP faces look them up; for intake, with a short memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
import psycopg_pool

from portfolio_analytics.shared.access import Principal
from portfolio_analytics.shared.errors import StorageUnavailable
from portfolio_analytics.storage import public_links, sessions, tokens
from portfolio_analytics.storage.database import describe
from portfolio_analytics.storage.steps import Steps, run_async

T = TypeVar("T")
Pool = psycopg_pool.AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]

FRESH = 10.0  # seconds for which intake goes on without asking again; a revoked token lives that much longer
STALE = 3600.0  # seconds for which a token known to be good is taken while the database is away
CAPACITY = 1000


class StoredDirectory:
    """The Directory over a pool. `clock` is any steady clock in seconds."""

    def __init__(self, pool: Pool, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()

    async def token(self, hashed: bytes, fresh: bool) -> Principal | None:
        """Whose token it is. Unless `fresh`, remembered for FRESH seconds, for STALE without PostgreSQL."""
        seen, known = self._known.get(hashed, (0.0, None))
        age = self._clock() - seen
        if known and not fresh and age < FRESH:
            return known
        try:
            found = await self._ask(tokens.lookup(hashed))
        except StorageUnavailable:
            if known and not fresh and age < STALE:
                return known
            raise
        self._known.pop(hashed, None)
        if found is not None:
            self._known[hashed] = (self._clock(), found)
            if len(self._known) > CAPACITY:
                self._known.popitem(last=False)
        return found

    async def session(self, session: str, admin_digest: bytes | None) -> Principal | None:
        """Whose session it is; None when it is over."""
        return await self._ask(sessions.lookup(session, admin_digest))

    async def link(self, hashed: bytes) -> Principal | None:
        """The reader that a public link makes; None when it is revoked."""
        return await self._ask(public_links.lookup(hashed))

    async def any_token(self) -> bool:
        """Whether there is a token in use."""
        return await self._ask(tokens.any_live())

    async def _ask(self, steps: Steps[T]) -> T:
        try:
            async with self._pool.connection() as connection:
                return await run_async(connection, steps)
        except (psycopg.OperationalError, psycopg_pool.PoolTimeout) as error:
            reason = describe(error) if isinstance(error, psycopg.Error) else "no connection in time"
            raise StorageUnavailable(reason) from error
