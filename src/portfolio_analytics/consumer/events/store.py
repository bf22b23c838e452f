"""Events in PostgreSQL: insert those that are not there yet, and tell the others."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import date
from typing import Any, NamedTuple

import psycopg

from portfolio_analytics.consumer.batch import Item
from portfolio_analytics.consumer.events.row import COLUMNS, pack_event
from portfolio_analytics.consumer.visits.store import to_date
from portfolio_analytics.shared.record import is_copy
from portfolio_analytics.storage.arrays import numbers
from portfolio_analytics.storage.binary_copy import copy_rows

_THERE = """
SELECT e.site_id, e.day, e.event_id, (extract(epoch FROM e.accepted_at) * 1000)::bigint, e.flags
FROM unnest(%s::int[], %s::date[], %s::uuid[]) AS k (site_id, day, event_id)
JOIN events e ON e.site_id = k.site_id AND e.day = k.day AND e.event_id = k.event_id
WHERE e.day BETWEEN '{}' AND '{}'
"""

_Identity = tuple[int, date, uuid.UUID]


class Inserted(NamedTuple):
    """What an insertion made of events: new rows, and those that were there; `copies` are the duplicates that
    are a second record of one acknowledgement, not a client's second try.
    """

    fresh: list[Item]
    duplicates: list[Item]
    copies: list[Item]


def insert_events(cursor: psycopg.Cursor[Any], items: Iterable[Item], *, looking: bool) -> Inserted:
    """Insert what is not there yet, within the caller's transaction.

    `looking`: duplicates are likely, so that it is cheaper to look for them first.
    """
    found = _apart(items)
    while True:
        if looking:
            _take_out(found, _there(cursor, found.fresh))
        try:
            _copy(cursor, found.fresh)
        except psycopg.errors.UniqueViolation:
            # What is in the way is committed by now, since the insertion waited for it.
            looking = True
        else:
            return found


def _apart(items: Iterable[Item]) -> Inserted:
    """Each event once, in the order in which every consumer inserts, and its repetitions."""
    unique: dict[tuple[int, int, int], Item] = {}
    found = Inserted([], [], [])
    for item in items:
        first = unique.setdefault((item.site_id, item.event.day, item.event.id.int), item)
        if first is not item:
            _note_duplicate(found, item, first.event.at, first.event.flags)
    found.fresh.extend(unique[key] for key in sorted(unique))
    return found


def _take_out(found: Inserted, there: dict[_Identity, tuple[int, int]]) -> None:
    """Those of the fresh ones that are `there` are duplicates."""
    left = found.fresh[:]
    found.fresh.clear()
    for item in left:
        stored = there.get((item.site_id, to_date(item.event.day), item.event.id))
        if stored is None:
            found.fresh.append(item)
        else:
            _note_duplicate(found, item, *stored)


def _note_duplicate(found: Inserted, item: Item, at: int, flags: int) -> None:
    found.duplicates.append(item)
    if is_copy(item.event.at, item.event.flags, at, flags):
        found.copies.append(item)


def _there(cursor: psycopg.Cursor[Any], items: list[Item]) -> dict[_Identity, tuple[int, int]]:
    """When those of `items` that are stored were accepted, and their flags.

    Not by their place in the log: what is imported may come from several logs.
    """
    if not items:
        return {}
    days = [item.event.day for item in items]
    rows = cursor.execute(
        _THERE.format(to_date(min(days)), to_date(max(days))),
        [
            numbers(item.site_id for item in items),
            [to_date(day) for day in days],
            [item.event.id for item in items],
        ],
        prepare=False,
    )
    return {row[:3]: row[3:] for row in rows}


def _copy(cursor: psycopg.Cursor[Any], items: list[Item]) -> None:
    """Insert `items`, all of them or none. Raises UniqueViolation, after which the transaction goes on."""
    if not items:
        return
    with cursor.connection.transaction():
        copy_rows(
            cursor,
            "events",
            COLUMNS,
            map(pack_event, items),
        )
