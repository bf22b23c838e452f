"""Intake and its database: salts shared and destroyed, sites, and outages."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from portfolio_analytics.producer.salts import Salts, refresh_salts
from portfolio_analytics.producer.visitor import DAY_MS
from portfolio_analytics.storage import sites
from portfolio_analytics.storage.steps import run
from tests.integration.intake_server import IntakeServer

TODAY = time.time_ns() // 1_000_000
EPOCH = date(1970, 1, 1)


class Switch:
    """A database that can be made to go away: its socket is found through a link."""

    def __init__(self, url: str, folder: Path) -> None:
        given = conninfo_to_dict(url)
        self._url = url
        self._real = Path(str(given["host"])) / f".s.PGSQL.{given['port']}"
        self._link = folder / self._real.name
        self.url = make_conninfo(url, host=str(folder))

    def on(self) -> None:
        self._link.symlink_to(self._real)

    def off(self) -> None:
        self._link.unlink()
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'"
            )


@pytest.fixture
def switch(database: str) -> Iterator[Switch]:
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # a socket's path must be short
    try:
        if not str(conninfo_to_dict(database)["host"]).startswith("/"):
            pytest.skip("the database of these tests is not reached by a socket file")
        yield Switch(database, folder)
    finally:
        shutil.rmtree(folder)


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def days(database: str, table: str) -> set[int]:
    with psycopg.connect(database) as connection:
        query = psycopg.sql.SQL("SELECT day FROM {}").format(psycopg.sql.Identifier(table))
        return {(row[0] - EPOCH).days for row in connection.execute(query)}


def test_without_a_database_at_start_nothing_is_taken(switch: Switch, tmp_path: Path, free_port: int) -> None:
    server = IntakeServer(switch.url, tmp_path, free_port)
    try:
        server.start(wait_for="/api/health/live")
        answer = server.post()
        assert (answer.status, answer.json["error"]) == (503, "not_ready")
        assert int(answer.headers["retry-after"]) >= 1
        answer = server.batch(b'[{"event_type":"x","page":"/"}]')
        assert (answer.status, answer.json["error"]) == (503, "not_ready")
        assert server.request("GET", "/api/health/ready").status == 503
        health = server.request("GET", "/api/health")
        assert (health.status, health.json["status"]) == (503, "unhealthy")
        assert (health.json["database"], health.json["log"]) == ("disconnected", "connected")
        assert health.json["error"]
        # A visitor who names himself with consent needs no salt.
        assert server.post(visitor_id="me", consent="granted").status == 201
        switch.on()
        eventually(lambda: server.request("GET", "/api/health/ready").status == 200)
        assert server.post().status == 201
        eventually(lambda: server.request("GET", "/api/health").status == 200)
        assert len(server.records()) == 2
    finally:
        assert server.stop() == 0


def test_an_outage_later_stops_nothing(switch: Switch, tmp_path: Path, free_port: int) -> None:
    switch.on()
    with IntakeServer(switch.url, tmp_path, free_port) as server:
        assert server.post().status == 201
        switch.off()
        eventually(lambda: server.request("GET", "/api/health").status == 503)
        begun = time.monotonic()
        assert [server.post().status for _ in range(20)] == [201] * 20
        assert time.monotonic() - begun < 5
        assert server.request("GET", "/api/health/ready").status == 200
        switch.on()
        eventually(lambda: server.request("GET", "/api/health").status == 200)
        assert len({record.visitor for record in server.records()}) == 1
        assert switch.url not in server.output()
        assert "Traceback" not in server.output()


def test_producers_share_salts(database: str, tmp_path: Path, free_port: int) -> None:
    visitors = set()
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        with IntakeServer(database, folder, free_port, WORKERS="2") as server:
            for _ in range(10):
                assert server.post(headers={"User-Agent": "Mozilla/5.0"}).status == 201
            visitors |= {record.visitor for record in server.records()}
    assert len(visitors) == 1


async def test_salts_are_made_ahead_kept_two_days_and_destroyed(database: str) -> None:
    today = TODAY // DAY_MS
    old = {today - age: bytes([age]) * 16 for age in (1, 2, 3, 40)}
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        for day, salt in old.items():
            await connection.execute(
                "INSERT INTO salts (day, salt) VALUES (%s, %s)", [EPOCH + timedelta(days=day), salt]
            )
        first, second = Salts(), Salts()
        await refresh_salts(connection, first, TODAY)
        assert days(database, "salts") == {today - 1, today, today + 1}
        assert days(database, "salt_destructions") == {today - 2, today - 3, today - 40}
        await refresh_salts(connection, second, TODAY)
        await refresh_salts(connection, first, TODAY)
        person = ("agent", "192.0.2.1", "site", "site")
        for day in (today - 1, today, today + 1):
            one, other = first.of(day), second.of(day)
            assert one is not None
            assert other is not None
            assert one.of(*person) == other.of(*person)
        assert first.of(today - 2) is None
        # The next day: yesterday's is still there for visits that go on, the one before is forgotten.
        await refresh_salts(connection, first, TODAY + DAY_MS)
        assert first.of(today) is not None
        assert first.of(today - 1) is None
        assert first.of(today + 2) is not None


async def test_a_clock_that_is_ahead_destroys_nothing(database: str) -> None:
    today = TODAY // DAY_MS
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await refresh_salts(connection, Salts(), TODAY)
        await refresh_salts(connection, Salts(), TODAY + 30 * DAY_MS)
        assert {today, today + 1} <= days(database, "salts")
        assert days(database, "salt_destructions") == set()


def test_what_a_site_excludes_is_learnt(database: str, tmp_path: Path, free_port: int) -> None:
    with IntakeServer(database, tmp_path, free_port, TRUSTED_PROXIES="127.0.0.1") as server:
        with psycopg.connect(database) as connection:
            run(connection, sites.add("a.example", "UTC", "test"))
            run(connection, sites.add("gone.example", "UTC", "test"))
            run(connection, sites.rename("a.example", "b.example", "test"))
            change = sites.SiteChange(
                host_names=["b.example"], excluded_addresses=["8.8.8.0/24"], excluded_paths=["/admin/*"]
            )
            run(connection, sites.change("b.example", change, "test"))
            run(connection, sites.delete("gone.example", "test"))
        origin = {"Origin": "https://b.example"}
        eventually(lambda: server.post({"site": "gone.example"}).status == 422)
        assert server.post({"site": "b.example"}, {**origin, "X-Forwarded-For": "9.9.9.9"}).status == 201
        ignored = {"status": "ignored", "reason": "excluded"}
        assert server.post({"site": "b.example"}, {**origin, "X-Forwarded-For": "8.8.8.8"}).json == ignored
        assert server.post({"site": "b.example", "page": "/admin/x"}, origin).json == ignored
        assert server.post({"site": "b.example"}, {"Origin": "https://copy.example"}).json == ignored
        assert server.post({"site": "a.example"}, origin).status == 201  # its former name
        assert {record.site for record in server.records()} <= {"b.example", "gone.example"}
