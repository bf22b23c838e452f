"""`GET /api/receipts/{event_id}`: what became of one event."""

from __future__ import annotations

import asyncio
import datetime
import sqlite3
import uuid
from pathlib import Path
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from portfolio_analytics.shared.access import Access
from portfolio_analytics.shared.http import ApiError, answer
from portfolio_analytics.stats.reader import Cursor, Reader, fetch
from portfolio_analytics.stats.spooled import find_spooled
from portfolio_analytics.storage.sql import statement

EPOCH = datetime.date(1970, 1, 1)
DAY_MS = 86_400_000


class Receipt(msgspec.Struct):
    """Where an event is. Times are null where they are not known."""

    event_id: uuid.UUID
    state: Literal["spooled", "logged", "counted", "duplicate", "rejected"]
    partition: int | None
    offset: int | None
    accepted_at: datetime.datetime | None = None
    counted_at: datetime.datetime | None = None


Place = tuple[int, int] | None
"""Partition and offset, as the answer to the event gave them."""


class ReceiptFace:
    """Looks events up by their ids."""

    def __init__(self, reader: Reader, access: Access, spool: Path | None) -> None:
        self._reader = reader
        self._access = access
        self._spool = spool

    async def answer(self, request: Request) -> Response:
        """The receipt; 404 when nothing is known of the event. A token of one site sees that site's events.

        With `partition` and `offset`, the receipt of that very record: `logged` while the consumer has not
        come to it, `duplicate` when the event was counted from another one.
        """
        asking = await self._access.identify(request)
        site = request.query_params.get("site") or (asking.site if asking else None)
        await self._access.require(request, "read", site)
        event_id = _event_id(request.path_params["event_id"])
        place = _place(request)
        async with self._reader.reading() as cursor:
            receipt = await _receipt(cursor, event_id, place, site)
        if receipt is None and place is None and self._spool is not None:
            receipt = await asyncio.to_thread(_spooled, self._spool, event_id, site)
        if receipt is None:
            raise ApiError(404, "unknown_event", "Nothing is known of this event.")
        return answer(receipt)


async def _receipt(cursor: Cursor, event_id: uuid.UUID, place: Place, site: str | None) -> Receipt | None:
    partition, offset = place or (None, None)
    params = {
        "event_id": event_id,
        "day": identity_day(event_id),
        "site": site,
        "partition": partition,
        "offset": offset,
    }
    stored = await fetch(cursor, statement("stats_receipt_event"), params)
    if stored and place in (None, stored[0][:2]):
        return Receipt(event_id, "counted", *stored[0])
    rejected = await fetch(cursor, statement("stats_receipt_rejected"), params)
    if rejected:
        return Receipt(event_id, "rejected", *rejected[0])
    if place is None:
        return None
    consumed = await fetch(cursor, statement("stats_receipt_position"), params)
    if not consumed or consumed[0][0] is None or place[1] >= consumed[0][0]:
        return Receipt(event_id, "logged", partition, offset)
    return Receipt(event_id, "duplicate", partition, offset, *stored[0][2:]) if stored else None


def _spooled(spool: Path, event_id: uuid.UUID, site: str | None) -> Receipt | None:
    try:
        record = find_spooled(spool, event_id)
    except sqlite3.Error as error:
        message = "The spool cannot be read; try again."
        raise ApiError(503, "spool_unavailable", message, headers={"Retry-After": "5"}) from error
    if record is None or site not in (None, record.site):
        return None
    accepted = datetime.datetime.fromtimestamp(record.at / 1000, datetime.UTC)
    return Receipt(event_id, "spooled", None, None, accepted)


def identity_day(event_id: uuid.UUID) -> datetime.date | None:
    """The day that a UUIDv7 holds; None for other ids, and for days that no event can have."""
    if event_id.version != 7:
        return None
    days = (event_id.int >> 80) // DAY_MS
    return EPOCH + datetime.timedelta(days=days) if days < 2_900_000 else None


def _event_id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise ApiError(400, "invalid_query", "An event_id is a UUID.", "event_id") from None


def _place(request: Request) -> Place:
    given = {key: request.query_params.get(key) for key in ("partition", "offset")}
    found = {key: int(text) for key, text in given.items() if text and text.isascii() and text.isdigit()}
    if found.get("partition", 0) >= 1 << 15 or found.get("offset", 0) >= 1 << 63:
        found = {}
    for key, text in given.items():
        if (text is not None or any(given.values())) and key not in found:
            raise ApiError(400, "invalid_query", "partition and offset are numbers, and go together.", key)
    return (found["partition"], found["offset"]) if found else None
