"""An export brought back: into a new database it is the same history, into its own it changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import io
import os
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Message

from portfolio_analytics.consumer.batch import make_batch
from portfolio_analytics.consumer.erase import erase
from portfolio_analytics.consumer.transaction import Store
from portfolio_analytics.exporters.export import export, export_to_file
from portfolio_analytics.exporters.face import ExportFace
from portfolio_analytics.exporters.formats import MEDIA_TYPES
from portfolio_analytics.importers.access_log import ImportProblem
from portfolio_analytics.importers.restore import Restored, restore_export
from portfolio_analytics.settings import Secret
from portfolio_analytics.shared.access import Access, digest
from portfolio_analytics.shared.errors import UnknownName
from portfolio_analytics.shared.http import ApiError, answer_error
from portfolio_analytics.storage import public_links, sites
from portfolio_analytics.storage.database import connect
from portfolio_analytics.storage.directory import StoredDirectory
from portfolio_analytics.storage.steps import run
from tests.databases import new_database
from tests.integration.export_history import (
    MIDNIGHT,
    MINUTE,
    OTHER,
    SITE,
    contents,
    history,
)
from tests.integration.stats_history import Feeder
from tests.oracle import assert_exactly_once
from tests.records import NOON, event, in_log

FORMATS = list(MEDIA_TYPES)


@pytest.fixture
def source(database: str) -> Iterator[psycopg.Connection[Any]]:
    feeder = Feeder(database)
    feeder.add_site(SITE)
    feeder.add_site(OTHER)
    feeder.feed(history()[:6])
    feeder.feed(history()[:1] + history()[6:], partition=1)  # ids are new each time
    yield feeder.connection
    feeder.close()


@pytest.fixture
def second_database(postgres_url: str, migrated_template: str) -> Iterator[str]:
    with new_database(postgres_url, migrated_template) as address:
        yield address


@pytest.fixture
def target(second_database: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(second_database) as connection:
        yield connection


def nothing(_done: int, _total: int) -> None:
    pass


def take_out(connection: psycopg.Connection[Any], path: Path, name: str, site: str = SITE.name) -> int:
    return export_to_file(connection, site, None, None, name, path, nothing)


def bring_back(
    connection: psycopg.Connection[Any], path: Path, site: str | None = None, horizon_days: int | None = None
) -> Restored:
    return restore_export(path, connection, site=site, horizon_days=horizon_days, on_progress=nothing)


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_restores_exactly(
    source: psycopg.Connection[Any],
    target: psycopg.Connection[Any],
    second_database: str,
    tmp_path: Path,
    name: str,
) -> None:
    files = [tmp_path / site.name for site in (SITE, OTHER)]
    done = [take_out(source, path, name, path.name) for path in files]
    assert done == [11, 1]
    assert sorted(tmp_path.iterdir()) == sorted(files)  # and no draft
    assert [bring_back(target, path).stored for path in files] == done
    assert contents(target) == contents(source)
    zones = target.execute("SELECT name, time_zone FROM sites ORDER BY 1").fetchall()
    assert zones == [(OTHER.name, OTHER.zone), (SITE.name, SITE.zone)]
    assert_exactly_once(second_database, [])

    before = contents(target)
    assert [bring_back(target, path) for path in files] == [Restored(n, 0) for n in done]
    assert contents(target) == before
    assert_exactly_once(second_database, [])


def test_what_is_missing_in_part_is_filled_in(
    source: psycopg.Connection[Any], database: str, tmp_path: Path
) -> None:
    """Also where places in the log repeat, as they do in a history that went through two logs."""
    source.execute("UPDATE events SET log_partition = 0, log_offset = 7")
    path = tmp_path / "export"
    take_out(source, path, "ndjson")
    before = contents(source)
    store = Store(source, "")
    site_id = source.execute("SELECT site_id FROM sites WHERE name = %s", [SITE.name]).fetchone()
    assert site_id is not None
    erase(store, site_id[0], [3, 77])
    source.execute("DELETE FROM suppressions")
    assert bring_back(source, path) == Restored(11, 4)
    assert contents(source) == before
    assert_exactly_once(database, [])


def test_what_was_erased_stays_erased(
    source: psycopg.Connection[Any], target: psycopg.Connection[Any], second_database: str, tmp_path: Path
) -> None:
    path = tmp_path / "export"
    take_out(source, path, "csv")
    bring_back(target, path)
    row = target.execute("SELECT site_id FROM sites").fetchone()
    assert row is not None
    assert erase(Store(target, ""), row[0], [77]) == 1
    assert bring_back(target, path) == Restored(11, 0)
    assert target.execute("SELECT count(*) FROM events WHERE visitor = 77").fetchone() == (0,)
    assert_exactly_once(second_database, [])


def test_a_history_can_become_another_sites(
    source: psycopg.Connection[Any], target: psycopg.Connection[Any], second_database: str, tmp_path: Path
) -> None:
    path = tmp_path / "export"
    take_out(source, path, "ndjson")
    bring_back(target, path, site="new.example")
    assert target.execute("SELECT name, time_zone FROM sites").fetchall() == [("new.example", SITE.zone)]
    assert_exactly_once(second_database, [])


def test_after_a_reset_an_export_is_taken_and_a_replay_is_not(
    source: psycopg.Connection[Any], database: str, tmp_path: Path
) -> None:
    path = tmp_path / "export"
    take_out(source, path, "parquet")
    before = contents(source)
    run(source, sites.reset(SITE.name, "test"))
    assert source.execute("SELECT count(*) FROM events").fetchone() == (1,)
    assert bring_back(source, path) == Restored(11, 11)
    assert contents(source) == before
    run(source, sites.delete(SITE.name, "test"))
    with pytest.raises(ImportProblem, match="deleted"):
        bring_back(source, path)
    assert_exactly_once(database, [])


def test_only_the_days_asked_for(source: psycopg.Connection[Any]) -> None:
    """2024-10-05 begins at 18:15 UTC the day before in Kathmandu."""

    def count(first: datetime.date | None, last: datetime.date | None) -> int:
        return export(source, SITE.name, first, last, "ndjson", io.BytesIO(), nothing)

    fourth, fifth = datetime.date(2024, 10, 4), datetime.date(2024, 10, 5)
    assert (count(None, None), count(fourth, fourth), count(fifth, None)) == (11, 7, 3)
    assert (count(None, fourth), count(datetime.date(2025, 1, 1), None)) == (8, 0)
    with pytest.raises(UnknownName):
        export(source, "nobody.example", None, None, "csv", io.BytesIO(), nothing)


def test_a_file_that_breaks_off_says_where(
    source: psycopg.Connection[Any], target: psycopg.Connection[Any], tmp_path: Path
) -> None:
    path = tmp_path / "export"
    take_out(source, path, "ndjson")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ImportProblem, match="export, event 11"):
        bring_back(target, path)


def test_a_large_export_is_held_in_parts(source: psycopg.Connection[Any], tmp_path: Path) -> None:
    """More than one fetch, and memory that does not grow with them."""
    source.execute(
        "INSERT INTO events (event_id, time, accepted_at, actor, visitor, page_id, client_id, log_offset, "
        "site_id, day, log_partition, flags, type, title) SELECT gen_random_uuid(), e.time, e.time, 1, 1, "
        "e.page_id, e.client_id, n, e.site_id, e.day, 0, 0, 'page_view', repeat('x', 400) "
        "FROM (SELECT * FROM events WHERE actor = 1 LIMIT 1) e, generate_series(1, 12000) n"
    )
    tracemalloc.start()
    try:
        assert take_out(source, tmp_path / "export", "csv") == 12_011
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    size = (tmp_path / "export").stat().st_size
    assert size > 7_000_000
    assert peak < 5_000_000


def test_the_commands(
    source: psycopg.Connection[Any], second_database: str, database: str, tmp_path: Path
) -> None:
    def call(address: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "portfolio_analytics", *arguments],
            env=os.environ | {"DATABASE_URL": address, "DATA_DIR": str(tmp_path)},
            capture_output=True,
            check=False,
        )

    path = tmp_path / "all.csv"
    assert b"11 events" in call(database, "export", "--site", SITE.name, "-o", str(path)).stdout
    piped = call(
        database, "export", "--site", SITE.name, "--from", "2024-10-05", "--format", "ndjson", "-o", "-"
    )
    assert piped.stdout.count(b"\n") == 3, piped.stderr
    assert b"11 events read, 11 were" in call(second_database, "import", "export", str(path)).stdout
    missing = call(second_database, "import", "export", str(tmp_path / "nothing.csv"))
    assert (missing.returncode, missing.stdout) == (1, b"")
    assert b"No such file" in missing.stderr
    unknown = call(database, "export", "--site", "nobody.example", "-o", str(tmp_path / "none"))
    assert (unknown.returncode, unknown.stderr.strip()) == (1, b"There is no site 'nobody.example'.")


ADMIN = "an-administrators-token"


@contextlib.asynccontextmanager
async def serving(database: str, patience: float = 60.0) -> AsyncIterator[Starlette]:
    pool = AsyncConnectionPool(database, min_size=1, max_size=4, open=False, kwargs={"autocommit": True})
    await pool.open()
    try:
        face = ExportFace(pool, Access(Secret(ADMIN), StoredDirectory(pool)), patience)
        yield Starlette(
            routes=[Route("/api/export", face.answer)], exception_handlers={ApiError: answer_error}
        )
    finally:
        await pool.close()


async def get(app: Starlette, params: dict[str, str], token: str = ADMIN) -> httpx.Response:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://localhost"
    ) as client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await client.get("/api/export", params=params, headers=headers)


async def ask(database: str, params: dict[str, str], token: str = ADMIN) -> httpx.Response:
    async with serving(database) as app:
        return await get(app, params, token)


@pytest.mark.parametrize("name", FORMATS)
async def test_over_http_it_is_the_same_file(
    source: psycopg.Connection[Any], database: str, tmp_path: Path, name: str
) -> None:
    found = await ask(database, {"site": SITE.name, "format": name})
    assert found.status_code == 200
    assert found.headers["content-type"] == MEDIA_TYPES[name]
    assert found.headers["content-disposition"] == f'attachment; filename="{SITE.name}.{name}"'
    assert found.headers["x-total-count"] == "11"
    take_out(source, tmp_path / "export", name)
    assert found.content == (tmp_path / "export").read_bytes()


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "site"),
        ({"site": "nobody.example"}, "site"),
        ({"site": "a\0b"}, "site"),
        ({"site": SITE.name, "format": "xlsx"}, "format"),
        ({"site": SITE.name, "from": "yesterday"}, "from"),
        ({"site": SITE.name, "to": "2024-13-01"}, "to"),
    ],
)
async def test_wrong_parameters(
    source: psycopg.Connection[Any], database: str, params: dict[str, str], field: str
) -> None:
    found = await ask(database, params)
    assert (found.status_code, found.json()["field"]) == (400, field)
    assert (await ask(database, params, "")).status_code == 401


async def test_who_may(source: psycopg.Connection[Any], database: str) -> None:
    source.execute(
        "INSERT INTO tokens (site_id, name, hash, scopes)"
        " SELECT site_id, 'reader', %s, '{read}' FROM sites WHERE name = 'other.example'",
        [digest("the-readers-token")],
    )
    _, link = run(source, public_links.create(OTHER.name, "link", "test"))
    assert (await ask(database, {"site": OTHER.name}, "the-readers-token")).status_code == 200
    assert (await ask(database, {"site": SITE.name}, "the-readers-token")).status_code == 403
    assert (await ask(database, {"site": "nobody.example"}, "the-readers-token")).status_code == 403
    assert (await ask(database, {"site": OTHER.name}, "")).status_code == 401
    assert (await ask(database, {"site": OTHER.name, "share": link.reveal()}, "")).status_code == 403


async def test_clients_that_take_nothing_are_let_go(source: psycopg.Connection[Any], database: str) -> None:
    """Two exports at a time are served by a process; who does not read them has no place for ever."""
    stuck = asyncio.Semaphore(0)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            stuck.release()
            await asyncio.Event().wait()

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": "GET", "scheme": "http", "path": "/api/export", "root_path": "", "client": ("127.0.0.1", 1),
        "query_string": f"site={SITE.name}".encode(), "server": None, "state": {},
        "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {ADMIN}".encode())],
    }  # fmt: skip
    async with serving(database, patience=5.0) as app:
        clients = [asyncio.create_task(app(dict(scope), receive, send)) for _ in range(2)]
        for _ in clients:
            await stuck.acquire()
        refused = await get(app, {"site": SITE.name})
        assert (refused.status_code, refused.json()["error"]) == (503, "busy")
        assert refused.headers["retry-after"] == "30"
        ended = await asyncio.gather(*clients, return_exceptions=True)
        assert [type(error) for error in ended] == [TimeoutError, TimeoutError]
        assert (await get(app, {"site": SITE.name})).status_code == 200


def test_a_replay_goes_on_where_an_import_ended(
    source: psycopg.Connection[Any], target: psycopg.Connection[Any], second_database: str, tmp_path: Path
) -> None:
    """A visit that went on past midnight goes on, though the export does not say under which hash."""
    path = tmp_path / "export"
    take_out(source, path, "csv")
    bring_back(target, path)
    records = in_log(
        [
            event(site=SITE.name, time=MIDNIGHT + 25 * MINUTE, visitor=4, visitor_before=3),
            event(site=SITE.name, time=MIDNIGHT + 40 * MINUTE, visitor=4),
        ]
    )
    assert Store(target, "").replay(make_batch(records, "topic"), NOON) == 2
    owners = target.execute(
        "SELECT DISTINCT visitor FROM events WHERE time > %s", [_instant(MIDNIGHT)]
    ).fetchall()
    assert owners == [(3,)]
    assert_exactly_once(second_database, [])


def _instant(ms: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC)
