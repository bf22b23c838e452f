"""A site's events in the order of their time, read through a cursor of the server's."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import psycopg

from portfolio_analytics.exporters.columns import COLUMNS, Row

FETCH = 1_000
"""Events that are held at a time."""

CURSOR = "export"

SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"

SITE = """
SELECT s.site_id, s.name,
    (extract(epoch FROM %(first)s::date::timestamp AT TIME ZONE s.time_zone) * 1000)::bigint,
    (extract(epoch FROM (%(last)s::date + 1)::timestamp AT TIME ZONE s.time_zone) * 1000)::bigint
FROM sites s
WHERE s.deleted_at IS NULL
    AND (s.name = %(name)s OR s.site_id = (SELECT a.site_id FROM site_aliases a WHERE a.name = %(name)s))
"""

_LOW, _HIGH = (f"to_timestamp(%({end})s::bigint / 1000.0)" for end in ("low", "high"))
_MINUTE = "date_bin('1 minute', {}, 'epoch')"
# The time, and the minute that the index holds (migration 0007).
_OF_SITE = f"""
e.site_id = %(site_id)s
    AND (%(low)s::bigint IS NULL
        OR e.time >= {_LOW} AND {_MINUTE.format("e.time")} >= {_MINUTE.format(_LOW)})
    AND (%(high)s::bigint IS NULL
        OR e.time < {_HIGH} AND {_MINUTE.format("e.time")} <= {_MINUTE.format(_HIGH)})
"""

COUNT = f"SELECT count(*) FROM events e WHERE {_OF_SITE}"

EVENTS = f"""
SELECT {", ".join(column.sql for column in COLUMNS)}
FROM events e
JOIN sites s USING (site_id)
LEFT JOIN pages p USING (site_id, page_id)
LEFT JOIN origins o USING (site_id, origin_id)
LEFT JOIN clients c USING (site_id, client_id)
WHERE {_OF_SITE} ORDER BY {_MINUTE.format("e.time")}, e.time, e.event_id
"""


class Span(NamedTuple):
    """A site and the part of its history that is wanted: Unix milliseconds, the end left out; None: open."""

    site_id: int
    name: str
    low: int | None
    high: int | None

    @property
    def params(self) -> dict[str, Any]:
        """What COUNT and EVENTS take."""
        return {"site_id": self.site_id, "low": self.low, "high": self.high}


def site_params(
    name: str, first: datetime.date | None, last: datetime.date | None
) -> Mapping[str, str | datetime.date | None]:
    """What SITE takes: the site's name or former name, and its first and last local day, both included."""
    return {"name": name.strip().lower(), "first": first, "last": last}


def find_span(
    connection: psycopg.Connection[Any], name: str, first: datetime.date | None, last: datetime.date | None
) -> Span | None:
    """The wanted part of a site; None when there is no such site."""
    row = connection.execute(SITE, site_params(name, first, last)).fetchone()
    return None if row is None else Span(*row)


def read_events(connection: psycopg.Connection[Any], span: Span) -> Iterator[tuple[int, list[Row]]]:
    """How many events there are, and the next FETCH of them at most, from one view of the database."""
    with connection.transaction():
        connection.execute(SNAPSHOT)
        connection.execute("SET LOCAL statement_timeout = 0")
        counted = connection.execute(COUNT, span.params).fetchone()
        total = counted[0] if counted else 0
        with connection.cursor(CURSOR) as cursor:
            cursor.execute(EVENTS, span.params)
            while rows := cursor.fetchmany(FETCH):
                yield total, rows
