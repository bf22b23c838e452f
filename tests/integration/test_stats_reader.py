"""Reading for an HTTP face: bounded in time and number, read-only, consistent, clear when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from portfolio_analytics.shared.context import Pool
from portfolio_analytics.shared.http import ApiError
from portfolio_analytics.stats import reader as r
from portfolio_analytics.stats.reader import Reader, fetch


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool: Pool
    async with AsyncConnectionPool(database, min_size=1, max_size=4, kwargs={"autocommit": True}) as pool:
        yield pool


async def test_what_takes_too_long_is_given_up(pool: Pool) -> None:
    with pytest.raises(ApiError) as caught:
        async with Reader(pool, at_once=1, timeout_ms=50).reading() as cursor:
            await fetch(cursor, "SELECT pg_sleep(60)", {})
    assert (caught.value.status, caught.value.code) == (503, "query_timeout")
    assert "Retry-After" in caught.value.headers
    async with pool.connection() as connection:
        (left,) = await (await connection.execute("SHOW statement_timeout")).fetchone() or ("",)
    assert left == "0", "the limit is not left behind on the connection"


async def test_nothing_can_be_written(pool: Pool) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        async with Reader(pool, at_once=1).reading() as cursor:
            await fetch(cursor, "DELETE FROM sites RETURNING 1", {})


async def test_all_statements_see_one_moment(pool: Pool) -> None:
    async with Reader(pool, at_once=1).reading() as cursor:
        before = await fetch(cursor, "SELECT count(*) FROM sites", {})
        async with pool.connection() as other:
            await other.execute("INSERT INTO sites (name) VALUES ('new.example')")
        assert await fetch(cursor, "SELECT count(*) FROM sites", {}) == before


async def test_others_wait_their_turn_but_not_for_ever(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(r, "PATIENCE", 0.05)
    reader = Reader(pool, at_once=1)
    async with reader.reading():
        with pytest.raises(ApiError) as caught:
            async with reader.reading():
                raise AssertionError("not its turn")
    assert (caught.value.status, caught.value.code) == (503, "query_timeout")
    async with reader.reading() as cursor:
        assert await fetch(cursor, "SELECT 1", {}) == [(1,)]


async def test_a_failure_gives_its_turn_back(pool: Pool) -> None:
    reader = Reader(pool, at_once=1)
    for _ in range(2):
        with pytest.raises(psycopg.errors.UndefinedTable):
            async with reader.reading() as cursor:
                await fetch(cursor, "SELECT * FROM nothing", {})


async def test_a_database_that_is_away(free_port: int) -> None:
    address = f"host=127.0.0.1 port={free_port} dbname=nothing connect_timeout=1"
    pool = AsyncConnectionPool(address, min_size=1, max_size=1, timeout=0.2, open=False)
    await pool.open(wait=False)
    try:
        with pytest.raises(ApiError) as caught:
            async with Reader(pool, at_once=1).reading():
                raise AssertionError("there is no database")
        assert (caught.value.status, caught.value.code) == (503, "storage_unavailable")
    finally:
        await asyncio.wait_for(pool.close(), 10)
