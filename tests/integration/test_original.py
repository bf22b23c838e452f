"""Moving over from the original Go service: its table up to a cut-off, its topic from there on."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from portfolio_analytics.consumer.batch import make_batch
from portfolio_analytics.consumer.positions import claim
from portfolio_analytics.consumer.transaction import Outcome, Store
from portfolio_analytics.importers.access_log import ImportProblem
from portfolio_analytics.importers.original import import_original
from portfolio_analytics.importers.restore import Restored
from portfolio_analytics.shared.log.protocol import LogRecord
from portfolio_analytics.storage.database import connect
from tests.oracle import assert_exactly_once
from tests.records import CHROME, NOON

MINUTE = 60_000
TOPIC = "topic"
LAG = 3
"""Milliseconds from a record to its row."""

CREATE = """
CREATE TABLE public.analytics_events (
    id bigserial PRIMARY KEY, event_type varchar(50) NOT NULL, page text, session_id text,
    "timestamp" timestamptz NOT NULL, user_agent text, screen_width int, screen_height int,
    created_at timestamptz NOT NULL DEFAULT now()
)
"""
INSERT = """
INSERT INTO public.analytics_events
    (event_type, page, session_id, "timestamp", user_agent, screen_width, screen_height, created_at)
VALUES (%(event_type)s, %(page)s, %(session_id)s, %(timestamp)s, %(user_agent)s, %(screen_width)s,
    %(screen_height)s, %(created)s)
"""


def instant(ms: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC)


def body(minute: int, **fields: Any) -> dict[str, Any]:
    """What the website sent `minute` minutes after NOON."""
    return {
        "event_type": "page_view", "page": f"/{minute}?utm_source=mail", "session_id": f"s{minute % 3}",
        "timestamp": instant(NOON + minute * MINUTE).isoformat(), "user_agent": CHROME,
        "screen_width": 1920, "screen_height": 1080, **fields,
    }  # fmt: skip


def in_topic(bodies: dict[int, dict[str, Any]], partition: int = 0) -> list[LogRecord]:
    return [
        LogRecord(partition, place, NOON + minute * MINUTE, None, json.dumps(found).encode())
        for place, (minute, found) in enumerate(bodies.items())
    ]


class Old:
    """The original service: what it took is in the topic, what it read there in the table."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(CREATE.encode())
        self.connection = connection
        self.records: list[LogRecord] = []

    def took(self, bodies: dict[int, dict[str, Any]]) -> None:
        self.records = in_topic(bodies)
        for minute, found in bodies.items():
            created = instant(NOON + minute * MINUTE + LAG)
            self.connection.execute(INSERT.encode(), {**found, "created": created})


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(database) as connection:
        yield connection


@pytest.fixture
def old(connection: psycopg.Connection[Any]) -> Old:
    return Old(connection)


def move(database: str, before: int | None) -> Restored:
    with connect(database) as reader, connect(database) as writer:
        cut_off = None if before is None else instant(before)
        outcome, _ = import_original(
            reader,
            writer,
            "analytics_events",
            cut_off,
            horizon_days=None,
            on_progress=lambda done, total: None,
        )
    return outcome


def consume(connection: psycopg.Connection[Any], records: list[LogRecord]) -> Outcome:
    held = claim(connection, TOPIC, [0], "test")
    return Store(connection, TOPIC).commit(make_batch(records, TOPIC), held, NOON)


def pages(connection: psycopg.Connection[Any]) -> list[str]:
    rows = connection.execute("SELECT path FROM events JOIN pages USING (site_id, page_id) ORDER BY time")
    return [path for (path,) in rows]


def test_table_and_topic_count_an_event_once(
    connection: psycopg.Connection[Any], old: Old, database: str
) -> None:
    old.took({minute: body(minute) for minute in range(10)})
    # The original stood still from minute 6 on: what came later is in the topic alone.
    connection.execute("DELETE FROM public.analytics_events WHERE page >= '/6'")
    cut_off = NOON + 4 * MINUTE
    assert move(database, cut_off) == Restored(4, 4)
    outcome = consume(connection, old.records)
    assert len(outcome.counted) == 6
    assert outcome.rejected == {"site_reset": 4}
    assert pages(connection) == [f"/{minute}" for minute in range(10)]
    assert connection.execute("SELECT count(*) FROM bad_rows").fetchone() == (0,)
    # Again, in any order, and by a replay: nothing changes.
    assert move(database, cut_off) == Restored(4, 0)
    assert Store(connection, TOPIC).replay(make_batch(old.records, TOPIC), NOON) == 0
    assert move(database, None) == Restored(4, 0)
    assert len(pages(connection)) == 10
    assert_exactly_once(database, [])


def test_a_consumer_that_was_first(connection: psycopg.Connection[Any], old: Old, database: str) -> None:
    """The topic holds the last minutes; the cut-off is where they begin."""
    old.took({minute: body(minute) for minute in range(10)})
    assert len(consume(connection, old.records[5:]).counted) == 5
    with pytest.raises(ImportProblem, match=r"2024-10-04 12:05:00.*count twice"):
        move(database, NOON + 6 * MINUTE)
    assert pages(connection) == [f"/{minute}" for minute in range(5, 10)]
    assert move(database, None) == Restored(5, 5)
    assert pages(connection) == [f"/{minute}" for minute in range(10)]
    assert_exactly_once(database, [])


def test_a_row_is_what_its_record_would_have_been(
    connection: psycopg.Connection[Any], old: Old, database: str
) -> None:
    found = {
        1: body(1),
        2: body(2, event_type="click", session_id=None, user_agent=None),
        3: body(3, timestamp="2019-01-01T00:00:00+00:00", page=None, screen_width=None),
    }
    old.took(found)
    move(database, NOON + 60 * MINUTE)
    columns = b"""SELECT type, actor, visitor, time, path, client_id, origin_id, flags & ~4, host, title
        FROM events JOIN pages USING (site_id, page_id) ORDER BY event_id"""
    from_table = connection.execute(columns).fetchall()
    connection.execute("DELETE FROM events; UPDATE sites SET counts_from = NULL")
    found[3]["page"] = "/"
    consume(connection, in_topic(found))
    from_topic = connection.execute(columns).fetchall()
    late = {row[3] for row in from_table} - {row[3] for row in from_topic}
    assert late == {instant(NOON + 3 * MINUTE + LAG)}  # that one is of the time at which it was taken
    plain = [
        sorted(repr(row) for row in rows if row[3] < instant(NOON + 3 * MINUTE))
        for rows in (from_table, from_topic)
    ]
    assert len(plain[0]) == 2
    assert plain[0] == plain[1]


def test_columns_are_looked_up(connection: psycopg.Connection[Any], database: str) -> None:
    connection.execute(
        """CREATE TABLE public.analytics_events (id uuid PRIMARY KEY, event_type text, "timestamp" timestamp);
        INSERT INTO public.analytics_events VALUES
            (gen_random_uuid(), 'page_view', '2024-10-04 12:00:00'), (gen_random_uuid(), '', '2024-10-04'),
            (gen_random_uuid(), 'click', NULL)"""
    )
    assert move(database, NOON + MINUTE) == Restored(1, 1)
    assert connection.execute("SELECT time FROM events").fetchall() == [(instant(NOON),)]
    assert move(database, NOON + MINUTE) == Restored(1, 0)


@pytest.mark.parametrize("table", ["nothing", "", "a.b.c.d", "sites", 'x"; DROP TABLE sites; --'])
def test_another_table_is_refused(database: str, table: str) -> None:
    with connect(database) as reader, connect(database) as writer:
        with pytest.raises(ImportProblem):
            import_original(
                reader, writer, table, None, horizon_days=None, on_progress=lambda done, total: None
            )
        assert writer.execute("SELECT count(*) FROM sites").fetchone() == (0,)
