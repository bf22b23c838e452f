"""Visits in PostgreSQL: lock whom they belong to, load, write what changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from struct import Struct
from typing import Any, NamedTuple

import psycopg

from portfolio_analytics.consumer.local_day import local_day
from portfolio_analytics.consumer.visit import Visit, VisitEvent, decode_days, encode_days
from portfolio_analytics.shared.record import VISITOR_KNOWN
from portfolio_analytics.storage.binary_copy import EPOCH_DAY, INT4, INT8, NULL, blob, copy_rows, instant

DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1)

Key = tuple[int, int]  # site and actor or visitor

TEMPORARY = """
CREATE TEMPORARY TABLE IF NOT EXISTS changed_visits (LIKE visits) ON COMMIT DELETE ROWS;
"""

_COLUMNS = (
    "actor", "visitor", "start_time", "end_time", "entry_time", "exit_time", "entry_page", "exit_page",
    "client_id", "origin_id", "site_id", "day", "pageviews", "events", "interactions", "engaged_ms", "known",
    "detail",
)  # fmt: skip

_LOCK = """
INSERT INTO visitors (site_id, key, seen)
SELECT site_id, key, current_date FROM unnest(%s::int[], %s::bigint[]) AS k (site_id, key) ORDER BY 1, 2
ON CONFLICT (site_id, key) DO UPDATE SET seen = excluded.seen
RETURNING site_id, key, continues, long_since
"""

_MS = "(extract(epoch FROM v.{0}) * 1000)::bigint"
_SELECT = f"""
SELECT v.site_id, v.actor, v.visitor, {_MS.format("start_time")}, {_MS.format("end_time")}, v.client_id,
    v.origin_id, v.known, {_MS.format("entry_time")}, v.entry_page, {_MS.format("exit_time")},
    v.exit_page, v.pageviews, v.events, v.interactions, v.engaged_ms, v.detail
FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %s::bigint[]) AS k (site_id, key, low, high)
JOIN visits v ON v.site_id = k.site_id AND v.{{0}} = k.key
    AND v.start_time <= to_timestamp(k.high / 1000.0) AND v.end_time >= to_timestamp(k.low / 1000.0)
WHERE v.day BETWEEN %s AND %s
"""
_BY_VISITOR = _SELECT.format("visitor")
_BY_ACTOR = _SELECT.format("actor")

_SET = ", ".join(
    f"{column} = c.{column}" for column in _COLUMNS if column not in ("site_id", "day", "actor", "start_time")
)
_UPDATE = f"""
UPDATE visits v SET {_SET} FROM changed_visits c
WHERE v.site_id = c.site_id AND v.day = c.day AND v.actor = c.actor AND v.start_time = c.start_time
    AND v.day BETWEEN %s AND %s
"""
_DELETE = """
DELETE FROM visits v
USING unnest(%s::int[], %s::date[], %s::bigint[], %s::bigint[]) AS k (site_id, day, actor, start)
WHERE v.site_id = k.site_id AND v.day = k.day AND v.actor = k.actor
    AND v.start_time = to_timestamp(k.start / 1000.0) AND v.day BETWEEN %s AND %s
"""

ROWS = """
SELECT e.site_id, e.actor, e.visitor, (e.flags & %s) <> 0, (extract(epoch FROM e.time) * 1000)::bigint,
    e.type, e.page_id, e.client_id, e.origin_id, coalesce(e.duration_ms, 0), coalesce(e.scroll_depth, -1)::int
FROM events e WHERE e.site_id = %s
    AND e.time BETWEEN to_timestamp(%s / 1000.0) AND to_timestamp(%s / 1000.0)
"""
"""The rows of a site in a window; the parameters are VISITOR_KNOWN, the site, and both ends in ms."""

_FIRST = Struct("!hiqiqiqiq")


class Lock(NamedTuple):
    """What a locked row of `visitors` says."""

    continues: int | None
    long_since: int | None  # UTC day (since 1970) of the oldest start among visits longer than a day


class Row(NamedTuple):
    """What a visit needs of a stored event; its local day follows from the site's time zone."""

    site_id: int
    actor: int
    visitor: int
    known: bool
    time: int
    type: str
    page_id: int
    client_id: int
    origin_id: int | None
    duration_ms: int
    scroll: int


class Window(NamedTuple):
    """Unix milliseconds, both ends included."""

    low: int
    high: int


def lock_keys(cursor: psycopg.Cursor[Any], keys: Iterable[Key]) -> dict[Key, Lock]:
    """Lock actors and visitors, in one order for every consumer, until the transaction ends."""
    ordered = sorted(keys)
    rows = cursor.execute(_LOCK, [[k[0] for k in ordered], [k[1] for k in ordered]]).fetchall()
    return {
        (site_id, key): Lock(continues, (long_since - _EPOCH).days if long_since else None)
        for site_id, key, continues, long_since in rows
    }


def load_visits(
    cursor: psycopg.Cursor[Any], windows: dict[Key, Window], since_day: int | None, *, by_actor: bool
) -> list[Visit]:
    """The visits of each visitor (or actor) that touch its window.

    A visit is found by the UTC day it started on: that is at most one day before the window, except for the
    longer ones, of which `since_day` is the first.
    """
    if not windows:
        return []
    low = min(window.low for window in windows.values()) // DAY_MS - 1
    if since_day is not None:
        low = min(low, since_day)
    high = max(window.high for window in windows.values()) // DAY_MS
    items = list(windows.items())
    rows = cursor.execute(
        _BY_ACTOR if by_actor else _BY_VISITOR,
        [
            [key[0] for key, _ in items],
            [key[1] for key, _ in items],
            [window.low for _, window in items],
            [window.high for _, window in items],
            to_date(low),
            to_date(high),
        ],
        prepare=False,  # planned with the days at hand, so that other days' partitions are left out
        binary=True,
    ).fetchall()
    return [visit_of(row) for row in rows]


def load_rows(cursor: psycopg.Cursor[Any], actors: Iterable[Key], window: Window) -> list[Row]:
    """The rows of `actors` whose time is in `window`."""
    found = []
    by_site: dict[int, list[int]] = {}
    for site_id, actor in actors:
        by_site.setdefault(site_id, []).append(actor)
    for site_id, keys in by_site.items():
        rows = cursor.execute(
            ROWS + " AND e.actor = ANY(%s)",
            [VISITOR_KNOWN, site_id, window.low, window.high, keys],
            prepare=False,
            binary=True,
        ).fetchall()
        found += [Row(*row) for row in rows]
    return found


def row_event(row: Row, time_zone: str) -> VisitEvent:
    """What a visit needs to know of a stored event."""
    return VisitEvent(
        row.site_id,
        row.actor,
        row.visitor,
        row.known,
        row.time,
        local_day(row.time, time_zone),
        row.type,
        row.page_id,
        row.client_id,
        row.origin_id,
        row.duration_ms,
        row.scroll,
    )


def write_visits(cursor: psycopg.Cursor[Any], before: Sequence[Visit], after: Sequence[Visit]) -> None:
    """Replace the visits `before` by the visits `after`."""
    old = {visit.key for visit in before}
    new = {visit.key for visit in after}
    gone = [visit for visit in before if visit.key not in new]
    if gone:
        days = [visit.start // DAY_MS for visit in gone]
        cursor.execute(
            _DELETE,
            [
                [visit.site_id for visit in gone],
                [to_date(day) for day in days],
                [visit.actor for visit in gone],
                [visit.start for visit in gone],
                to_date(min(days)),
                to_date(max(days)),
            ],
            prepare=False,
        )
    changed = [visit for visit in after if visit.key in old]
    if changed:
        copy_rows(cursor, "changed_visits", _COLUMNS, map(_pack, changed))
        days = [visit.start // DAY_MS for visit in changed]
        cursor.execute(_UPDATE, [to_date(min(days)), to_date(max(days))], prepare=False)
    added = [visit for visit in after if visit.key not in old]
    if added:
        copy_rows(cursor, "visits", _COLUMNS, map(_pack, added))
    _mark_long(cursor, after)


def write_continuations(cursor: psycopg.Cursor[Any], continues: dict[Key, int]) -> None:
    """Remember that a visit went on past midnight under a new hash."""
    for (site_id, key), before in sorted(continues.items()):
        cursor.execute(
            "UPDATE visitors SET continues = %s WHERE site_id = %s AND key = %s", [before, site_id, key]
        )


def to_date(day: int) -> date:
    """A day since 1970-01-01 as a date."""
    return _EPOCH + timedelta(days=day)


def _mark_long(cursor: psycopg.Cursor[Any], visits: Sequence[Visit]) -> None:
    for visit in visits:
        day = visit.start // DAY_MS
        if visit.end // DAY_MS - day >= 2:
            cursor.execute(
                "UPDATE visitors SET long_since = least(long_since, %s) WHERE site_id = %s AND key = ANY(%s)",
                [to_date(day), visit.site_id, [visit.actor, visit.visitor]],
            )


def visit_of(row: Sequence[Any]) -> Visit:
    """A visit from a row that holds its fields in their order, the detail last."""
    *columns, detail = row
    columns.append(decode_days(detail))
    return Visit(*columns)


def _pack(visit: Visit) -> bytes:
    detail = encode_days(visit.days)
    return b"".join(
        (
            _FIRST.pack(
                len(_COLUMNS),
                8,
                visit.actor,
                8,
                visit.visitor,
                8,
                instant(visit.start),
                8,
                instant(visit.end),
            ),
            NULL if visit.entry_time is None else INT8.pack(8, instant(visit.entry_time)),
            NULL if visit.exit_time is None else INT8.pack(8, instant(visit.exit_time)),
            NULL if visit.entry_page is None else INT8.pack(8, visit.entry_page),
            NULL if visit.exit_page is None else INT8.pack(8, visit.exit_page),
            INT8.pack(8, visit.client_id),
            NULL if visit.origin_id is None else INT8.pack(8, visit.origin_id),
            INT4.pack(4, visit.site_id),
            INT4.pack(4, visit.start // DAY_MS - EPOCH_DAY),
            INT4.pack(4, visit.pageviews),
            INT4.pack(4, visit.events),
            INT4.pack(4, visit.interactions),
            INT8.pack(8, visit.engaged_ms),
            b"\x00\x00\x00\x01\x01" if visit.known else b"\x00\x00\x00\x01\x00",
            blob(detail),
        )
    )
