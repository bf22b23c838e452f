"""RETENTION_DAYS: rows go, totals stay, and nothing brings the rows back."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from portfolio_analytics.consumer.batch import make_batch
from portfolio_analytics.consumer.erase import erase
from portfolio_analytics.consumer.maintenance import Maintenance
from portfolio_analytics.consumer.positions import claim
from portfolio_analytics.consumer.rollups.months import close_months
from portfolio_analytics.consumer.transaction import Store
from portfolio_analytics.consumer.visits.store import to_date
from portfolio_analytics.exporters.export import export_to_file
from portfolio_analytics.importers.restore import Restored, restore_export
from portfolio_analytics.shared.log.journal import JournalReader
from portfolio_analytics.shared.record import EventRecord
from portfolio_analytics.storage.database import connect
from tests.integration.export_history import contents
from tests.integration.stats_client import stats_client
from tests.oracle import assert_exactly_once
from tests.records import DAY_MS, event, in_log

NOW = 1_760_000_000_000  # 2025-10-09 08:53:20 UTC
TODAY = NOW // DAY_MS
DAYS = 40
KEPT = 20
FIRST = (TODAY - KEPT) * DAY_MS
MINUTE = 60_000
TOPIC = "topic"


def history() -> list[EventRecord]:
    """A visit a day, one over the horizon, and events whose identity day is not the day of their time."""
    return [
        *(event(time=NOW - day * DAY_MS, visitor=day + 1) for day in range(DAYS)),
        event(time=FIRST - 10 * MINUTE, visitor=100),
        event(time=FIRST + 10 * MINUTE, visitor=100),
        event(time=FIRST - 2 * DAY_MS, day=TODAY - KEPT + 1, visitor=101),
        event(time=FIRST + 2 * DAY_MS, day=TODAY - KEPT - 1, visitor=102),
    ]


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(database) as connection:
        yield connection


@pytest.fixture
def events(connection: psycopg.Connection[Any]) -> list[EventRecord]:
    found = history()
    held = claim(connection, TOPIC, [0], "test")
    Store(connection, TOPIC).commit(make_batch(in_log(found), TOPIC), held, NOW)
    close_months(connection, to_date(TODAY))
    return found


def keep_house(database: str, folder: Path, now: int = NOW) -> None:
    maintenance = Maintenance(retention_days=KEPT, log_retention_days=7)
    reader = JournalReader(folder / "journal.sqlite")
    maintenance.run(lambda: connect(database), reader, {}, now / 1000)


def summed(connection: psycopg.Connection[Any]) -> list[list[str]]:
    found = contents(connection)
    return [found["rollups"], found["rollup_months"], found["event_totals"]]


def rows(connection: psycopg.Connection[Any], table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


async def test_rows_go_and_totals_stay(
    connection: psycopg.Connection[Any], events: list[EventRecord], database: str, tmp_path: Path
) -> None:
    before = summed(connection)
    keep_house(database, tmp_path)
    assert rows(connection, "events") == KEPT + 1 + 2
    assert summed(connection) == before
    assert_exactly_once(database, [])
    async with stats_client(database) as client:
        answer = await client.get("/api/stats")
    assert answer.json()["total_events"] == len(events)
    keep_house(database, tmp_path)
    assert summed(connection) == before


@pytest.mark.parametrize("horizon_days", [KEPT, None, 10 * KEPT])
def test_nothing_brings_them_back(
    connection: psycopg.Connection[Any],
    events: list[EventRecord],
    database: str,
    tmp_path: Path,
    horizon_days: int | None,
) -> None:
    """Whatever the setting is where the command runs: what was dropped would count again."""
    path = tmp_path / "export"
    export_to_file(connection, "example.com", None, None, "ndjson", path, lambda done, total: None)
    keep_house(database, tmp_path)
    before, left = summed(connection), rows(connection, "events")
    records = in_log(events)
    store = Store(connection, TOPIC, horizon_days=horizon_days)
    assert store.replay(make_batch(records, TOPIC), NOW) == 0
    restored = restore_export(
        path, connection, site=None, horizon_days=horizon_days, on_progress=lambda done, total: None
    )
    assert restored == Restored(len(events), 0)
    held = claim(connection, TOPIC, [0], "test")
    again = [event(time=NOW - 30 * DAY_MS), event(time=FIRST - DAY_MS, day=TODAY)]
    outcome = store.commit(make_batch(in_log(again, first=len(events)), TOPIC), held, NOW)
    assert outcome.rejected == {"expired": 2}
    assert (summed(connection), rows(connection, "events")) == (before, left)
    assert_exactly_once(database, [])


def test_what_is_kept_can_be_lost_and_replayed(
    connection: psycopg.Connection[Any], events: list[EventRecord], database: str, tmp_path: Path
) -> None:
    keep_house(database, tmp_path)
    before = contents(connection)
    site = connection.execute("SELECT site_id FROM sites").fetchone()
    assert site is not None
    assert erase(Store(connection, ""), site[0], [5]) == 1
    connection.execute("DELETE FROM suppressions")
    store = Store(connection, TOPIC, horizon_days=KEPT)
    assert store.replay(make_batch(in_log(events), TOPIC), NOW) == 1
    assert contents(connection) == before
    assert_exactly_once(database, [])


def test_a_reader_is_not_waited_for(
    connection: psycopg.Connection[Any], events: list[EventRecord], database: str, tmp_path: Path
) -> None:
    """An export under way puts dropping off; it does not stop everyone who comes after."""
    with connect(database) as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM events")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            keep_house(database, tmp_path)
        assert rows(connection, "events") == len(events)
    keep_house(database, tmp_path)
    assert rows(connection, "events") == KEPT + 3
    assert_exactly_once(database, [])


def test_bad_rows_and_keys_do_not_stay_for_ever(
    connection: psycopg.Connection[Any], events: list[EventRecord], database: str, tmp_path: Path
) -> None:
    old = datetime.datetime.fromtimestamp(NOW / 1000, datetime.UTC) - datetime.timedelta(days=KEPT + 1)
    connection.execute(
        "INSERT INTO bad_rows (topic_id, partition, log_offset, reason, detail, created_at) "
        "SELECT 't', 0, n, 'empty', '', %s + n * interval '2 days' FROM generate_series(0, 1) n",
        [old],
    )
    connection.execute("UPDATE visitors SET seen = %s, long_since = %s WHERE key = 1", [old, old])
    keep_house(database, tmp_path)
    assert connection.execute("SELECT log_offset FROM bad_rows").fetchall() == [(1,)]
    assert connection.execute("SELECT count(*) FROM visitors WHERE key = 1").fetchone() == (0,)
