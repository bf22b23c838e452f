"""Visits in PostgreSQL: lock whom they belong to, load, write what changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from struct import Struct
from typing import Any, NamedTuple

import psycopg

from portfolio_analytics.consumer.visits.local_day import local_day
from portfolio_analytics.consumer.visits.visit import Visit, VisitEvent, decode_days, encode_days
from portfolio_analytics.consumer.visits.window import Key, Window
from portfolio_analytics.shared.record import VISITOR_KNOWN
from portfolio_analytics.storage.arrays import numbers
from portfolio_analytics.storage.binary_copy import (
    EPOCH_DAY,
    INT4,
    INT8,
    NULL,
    blob,
    copy_rows,
    instant,
)

DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1)

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

# Planned at each call, for the partitions of the days at hand alone and by what these hold by now: a plan
# that is kept from when a day was empty may read all of its visits once it is full.
_MS = "(extract(epoch FROM v.{0}) * 1000)::bigint"
_SELECT = f"""
SELECT v.site_id, v.actor, v.visitor, {_MS.format("start_time")}, {_MS.format("end_time")}, v.client_id,
    v.origin_id, v.known, {_MS.format("entry_time")}, v.entry_page, {_MS.format("exit_time")},
    v.exit_page, v.pageviews, v.events, v.interactions, v.engaged_ms, v.detail
FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %s::bigint[]) AS k (site_id, key, low, high)
JOIN visits v ON v.site_id = k.site_id AND v.{{0}} = k.key
    AND v.start_time <= to_timestamp(k.high / 1000.0) AND v.end_time >= to_timestamp(k.low / 1000.0)
WHERE v.day BETWEEN '{{{{}}}}' AND '{{{{}}}}'
"""
_BY_VISITOR = _SELECT.format("visitor")
_BY_ACTOR = _SELECT.format("actor")

_DELETE = """
DELETE FROM visits v
USING unnest(%s::int[], %s::int[], %s::bigint[], %s::bigint[]) AS k (site_id, day, actor, start)
WHERE v.site_id = k.site_id AND v.day = '1970-01-01'::date + k.day AND v.actor = k.actor
    AND v.start_time = to_timestamp(k.start / 1000.0) AND v.day BETWEEN '{}' AND '{}'
"""

# The time in ms, and the minute that the index holds (migration 0007).
_ROWS = """
SELECT e.site_id, e.actor, e.visitor, (e.flags & %(known)s) <> 0, (extract(epoch FROM e.time) * 1000)::bigint,
    e.type, e.page_id, e.client_id, e.origin_id, coalesce(e.duration_ms, 0), coalesce(e.scroll_depth, -1)::int
FROM events e
WHERE e.site_id = %(site_id)s AND e.actor = ANY(%(actors)s)
    AND e.time BETWEEN to_timestamp(%(low)s / 1000.0) AND to_timestamp(%(high)s / 1000.0)
    AND date_bin('1 minute', e.time, 'epoch')
        BETWEEN date_bin('1 minute', to_timestamp(%(low)s / 1000.0), 'epoch')
        AND date_bin('1 minute', to_timestamp(%(high)s / 1000.0), 'epoch')
"""

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


def lock_keys(cursor: psycopg.Cursor[Any], keys: Iterable[Key]) -> dict[Key, Lock]:
    """Lock actors and visitors, in one order for every consumer, until the transaction ends."""
    ordered = sorted(keys)
    rows = cursor.execute(_LOCK, [numbers(k[0] for k in ordered), numbers(k[1] for k in ordered)]).fetchall()
    return {
        (site_id, key): Lock(continues, (long_since - _EPOCH).days if long_since else None)
        for site_id, key, continues, long_since in rows
    }


def long_since(locks: Mapping[Key, Lock]) -> int | None:
    """The first day (UTC, since 1970) on which one of their visits longer than a day began."""
    return min((lock.long_since for lock in locks.values() if lock.long_since is not None), default=None)


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
        (_BY_ACTOR if by_actor else _BY_VISITOR).format(to_date(low), to_date(high)),
        [
            numbers(key[0] for key, _ in items),
            numbers(key[1] for key, _ in items),
            numbers(window.low for _, window in items),
            numbers(window.high for _, window in items),
        ],
        prepare=False,
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
            _ROWS,
            {
                "known": VISITOR_KNOWN,
                "site_id": site_id,
                "actors": keys,
                "low": window.low,
                "high": window.high,
            },
            prepare=False,
            binary=True,
        ).fetchall()
        found += [Row(*row) for row in rows]
    return found


def row_event(row: Row, time_zone: str) -> VisitEvent:
    """What a visit needs to know of a stored event."""
    return (
        row.site_id,
        row.actor,
        row.time,
        row.origin_id is None,
        row.origin_id or 0,
        row.client_id,
        row.visitor,
        row.known,
        row.page_id,
        local_day(row.time, time_zone),
        row.type,
        row.duration_ms,
        row.scroll,
    )


def write_visits(cursor: psycopg.Cursor[Any], before: Sequence[Visit], after: Sequence[Visit]) -> None:
    """Replace the visits `before` by the visits `after`.

    Also one that only grew: its end stands in an index, so that PostgreSQL writes it anew in any case.
    """
    if before:
        days = [visit.start // DAY_MS for visit in before]
        cursor.execute(
            _DELETE.format(to_date(min(days)), to_date(max(days))),
            [
                numbers(visit.site_id for visit in before),
                numbers(days),
                numbers(visit.actor for visit in before),
                numbers(visit.start for visit in before),
            ],
            prepare=False,
        )
    if after:
        copy_rows(cursor, "visits", _COLUMNS, map(_pack, after))
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
