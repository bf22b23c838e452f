"""Daily partitions of the tables that are partitioned by day.

They are made ahead, and by need for days that came in late or from an import; what decides about a day has
already refused forged dates.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from contextlib import suppress

import psycopg
from psycopg import sql

TABLES = ("events", "visits")
_LOCK = 0x70617274


def ensure_days(connection: psycopg.Connection, days: Iterable[datetime.date]) -> None:
    """Make the partitions of `days` where they are missing. The connection must be in autocommit mode.

    A table is filled in by LIKE and then attached, which lets readers and writers of the parent go on.
    """
    for day in sorted(set(days)):
        for table in TABLES:
            name = partition_name(table, day)
            row = connection.execute("SELECT to_regclass(%s)", [name]).fetchone()
            if row and row[0]:
                continue
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
                # Not to_regclass: it may remember from before the lock that there was none.
                if day in partition_days(connection, table):
                    continue
                _attach(connection, table, name, day)


def learn_days(connection: psycopg.Connection, days: Iterable[datetime.date]) -> None:
    """Give the planner statistics of those partitions of `days` that have none yet, once they have rows.

    Autovacuum would do so within a minute. Until then the planner takes a condition on the day for one that
    few rows meet, and may read all of the day's visits for a handful of keys.
    """
    names = [partition_name(table, day) for day in days for table in TABLES]
    rows = connection.execute(
        "SELECT c.relname FROM unnest(%s::text[]) AS n (name) JOIN pg_class c ON c.oid = to_regclass(n.name) "
        "WHERE c.reltuples < 0",
        [names],
    ).fetchall()
    if not rows:
        return
    tables = sql.SQL(", ").join(sql.Identifier(name) for (name,) in rows)
    # Another consumer may be at it, which is enough; or the retention may have dropped a day just now.
    with suppress(psycopg.errors.UndefinedTable):
        connection.execute(sql.SQL("ANALYZE (SKIP_LOCKED) {}").format(tables))


def partition_name(table: str, day: datetime.date) -> str:
    """The name of the partition of `table` that holds `day`."""
    return f"{table}_{day:%Y%m%d}"


def partition_days(connection: psycopg.Connection, table: str) -> list[datetime.date]:
    """The days for which `table` has a partition, in order."""
    rows = connection.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = to_regclass(%s) ORDER BY 1",
        [table],
    ).fetchall()
    return [datetime.date.fromisoformat(name.rsplit("_", 1)[1]) for (name,) in rows]


def drop_days(connection: psycopg.Connection, before: datetime.date) -> list[datetime.date]:
    """Drop the partitions of days before `before`; returns the days of events that went."""
    dropped = [day for day in partition_days(connection, "events") if day < before]
    for table in TABLES:
        for day in partition_days(connection, table):
            if day < before:
                name = partition_name(table, day)
                with connection.transaction():
                    connection.execute(
                        sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(
                            sql.Identifier(table), sql.Identifier(name)
                        )
                    )
                    connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
    return dropped


def _attach(connection: psycopg.Connection, table: str, name: str, day: datetime.date) -> None:
    connection.execute(
        sql.SQL(
            "CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED)"
        ).format(sql.Identifier(name), sql.Identifier(table))
    )
    connection.execute(
        sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
            sql.Identifier(table),
            sql.Identifier(name),
            sql.Literal(day.isoformat()),
            sql.Literal((day + datetime.timedelta(days=1)).isoformat()),
        )
    )
