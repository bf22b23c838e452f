"""Partitions of a day, made by whoever needs them first."""

from __future__ import annotations

import datetime
import threading

import pytest
from psycopg import sql

from portfolio_analytics.exporters.events import EVENTS
from portfolio_analytics.stats.predicate import ACTIVE, in_minutes
from portfolio_analytics.storage.database import connect
from portfolio_analytics.storage.migrate import migrate, migrations
from portfolio_analytics.storage.partitions import ensure_days, partition_days
from portfolio_analytics.storage.sql import statement
from tests.databases import new_database
from tests.faults.process import eventually

DAY = datetime.date(2031, 5, 17)
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def test_two_that_need_a_new_day_at_once(database: str) -> None:
    """The second has looked before the first was done, and looks again when it is its turn."""
    failures: list[BaseException] = []

    def second() -> None:
        try:
            with connect(database) as connection:
                ensure_days(connection, [DAY])
        except BaseException as error:  # noqa: BLE001 - handed over to the test
            failures.append(error)

    with connect(database) as watcher, connect(database) as first:
        other = threading.Thread(target=second)
        with first.transaction():
            ensure_days(first, [DAY])
            other.start()
            eventually(lambda: watcher.execute(WAITING).fetchone() == (1,), 30, "the second to wait")
        other.join(30)
        assert not failures
        assert DAY in partition_days(watcher, "events")
        assert DAY in partition_days(watcher, "visits")


NOON = datetime.datetime(2031, 5, 17, 12, tzinfo=datetime.UTC)
SPAN = {
    "site_id": 1, "site_ids": [1], "since": NOON, "now": NOON, "start": NOON, "end": NOON,
    "first_day": DAY, "last_day": DAY, "oldest_day": DAY, "low": None, "high": None,
    "keys": [0], "starts": [f"{{{NOON.isoformat()}}}"], "untils": [NOON], "known_only": False,
}  # fmt: skip
MINUTE = "date_bin('00:01:00'::interval"
HOUR = "date_bin('01:00:00'::interval"
ONLY_INDEXES = (
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
)


def plan_of(database: str, question: sql.Composable) -> list[str]:
    """The lines of the plan by which a large table would be asked."""
    with connect(database) as connection, connection.transaction():
        connection.execute(ONLY_INDEXES)
        plan = connection.execute(sql.SQL("EXPLAIN {}").format(question), SPAN).fetchall()
        return [line for (line,) in plan]


INDEXES = """
SELECT i.indrelid::regclass::text,
    array_agg(substring(pg_get_indexdef(i.indexrelid) FROM 'USING.*') ORDER BY 1), bool_and(i.indisvalid)
FROM pg_index i WHERE i.indrelid::regclass::text ~ '^events(_|$)' GROUP BY 1
"""


@pytest.mark.parametrize(
    ("question", "key"),
    [
        pytest.param(sql.SQL(statement("stats_visitors_now")), MINUTE, id="visitors now"),
        pytest.param(
            sql.SQL("SELECT FROM events e WHERE e.site_id = %(site_id)s AND {}").format(
                in_minutes("%(start)s", "%(end)s")
            ),
            MINUTE,
            id="events of a period",
        ),
        pytest.param(sql.SQL("SELECT FROM visits v WHERE {}").format(ACTIVE), HOUR, id="visits of a period"),
        pytest.param(sql.SQL(statement("stats_ends")), HOUR, id="the ends of a period"),
        pytest.param(sql.SQL(statement("stats_span_visitors")), HOUR, id="visitors of many sites"),
    ],
)
def test_a_time_is_found_in_its_days_index(database: str, question: sql.Composable, key: str) -> None:
    """What the index is made of and what is asked for are the same expression."""
    with connect(database) as connection:
        ensure_days(connection, [DAY])
    conditions = [line for line in plan_of(database, question) if "Index Cond" in line]
    assert any(key in line for line in conditions), conditions


def test_an_export_is_read_in_the_order_of_an_index(database: str) -> None:
    """So that the first rows leave at once, and the database does not sort a history on its disk."""
    with connect(database) as connection:
        ensure_days(connection, [DAY, DAY + datetime.timedelta(1)])
    plan = plan_of(database, sql.SQL("DECLARE taken CURSOR FOR {}").format(sql.SQL(EVENTS)))
    assert any("Presorted Key: (date_bin" in line for line in plan), plan


def test_days_from_before_a_migration_get_its_indexes(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day from before the first half, one from between the halves, one from after the second."""
    before = tuple(one for one in migrations() if one.number < 7)
    with new_database(postgres_url) as address, connect(address) as connection:
        with monkeypatch.context() as earlier:
            earlier.setattr("portfolio_analytics.storage.migrate.migrations", lambda: before)
            migrate(connection)
        ensure_days(connection, [DAY])
        migrate(connection)
        ensure_days(connection, [DAY + datetime.timedelta(1)])
        migrate(connection, post=True)
        ensure_days(connection, [DAY + datetime.timedelta(2)])
        found = connection.execute(INDEXES).fetchall()
    assert len(found) == 4
    assert all(valid for *_, valid in found)
    (indexes,) = {tuple(sorted(columns)) for _, columns, _ in found}
    assert any("date_bin" in columns for columns in indexes)
    assert len(indexes) == 2
