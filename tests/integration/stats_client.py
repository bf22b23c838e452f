"""The statistics' routes over a real database, asked in-process."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import httpx
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette

from portfolio_analytics.app.log_records import log_look
from portfolio_analytics.settings import Secret, Settings
from portfolio_analytics.shared.access import Access
from portfolio_analytics.shared.context import Context
from portfolio_analytics.shared.http import ApiError, answer_error
from portfolio_analytics.stats.routes import routes
from portfolio_analytics.storage.directory import StoredDirectory

ADMIN = "an-administrators-token"
AUTHORIZED = {"Authorization": f"Bearer {ADMIN}"}


async def log_is_well() -> str | None:
    return None


@contextlib.asynccontextmanager
async def stats_app(database: str, settings: Settings | None = None) -> AsyncIterator[Starlette]:
    """The application, with a pool of its own."""
    pool = AsyncConnectionPool(database, min_size=1, max_size=4, open=False, kwargs={"autocommit": True})
    await pool.open()
    try:
        access = Access(Secret(ADMIN), StoredDirectory(pool))
        settings = settings or Settings()
        context = Context(settings, pool, access, log_is_well)
        look = log_look(settings)
        yield Starlette(routes=routes(context, look), exception_handlers={ApiError: answer_error})
        look.close()
    finally:
        await pool.close()


@contextlib.asynccontextmanager
async def stats_client(database: str, settings: Settings | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application; send AUTHORIZED to be the administrator."""
    async with stats_app(database, settings) as app:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client
