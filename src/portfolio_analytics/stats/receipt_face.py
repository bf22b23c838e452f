"""`GET /api/receipts/{event_id}`: what became of one event."""

from __future__ import annotations

import asyncio
import datetime
import sqlite3
import uuid
from pathlib import Path
from typing import Literal, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from portfolio_analytics.shared.access import Access
from portfolio_analytics.shared.errors import LogError
from portfolio_analytics.shared.http import ApiError, answer
from portfolio_analytics.shared.log.protocol import LogRecord
from portfolio_analytics.stats.query import site_name
from portfolio_analytics.stats.reader import Cursor, Reader, fetch
from portfolio_analytics.stats.spooled import event_in, find_spooled
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


class LogRecords(Protocol):
    """The log, as far as a receipt asks it."""

    async def at(self, partition: int, offset: int) -> LogRecord | None:
        """The record there; None where the log holds none, not yet or not any more. Raises LogError."""


class ReceiptFace:
    """Looks events up by their ids. `spool` is the file of this host's spool, where there is one."""

    def __init__(self, reader: Reader, access: Access, log: LogRecords, spool: Path | None) -> None:
        self._reader = reader
        self._access = access
        self._log = log
        self._spool = spool

    async def answer(self, request: Request) -> Response:
        """The receipt; 404 when nothing is known of the event. A token of one site sees that site's events.

        With `partition` and `offset`, the receipt of that very record: `logged` while the consumer has not
        come to it, `duplicate` when the event was counted from another one. Where the log can still tell, it
        has to have this event there.
        """
        asking = await self._access.identify(request)
        site = request.query_params.get("site") or (asking.site if asking else None)
        await self._access.require(request, "read", site)
        if site is not None:
            site = site_name(site, "site")
        event_id = _event_id(request.path_params["event_id"])
        place = _place(request)
        async with self._reader.reading() as cursor:
            # Asked first: what is consumed by now is found below, what is consumed afterwards in the log.
            consumed = place is not None and await _is_consumed(cursor, *place)
            receipt = await _receipt(cursor, event_id, place, site)
        if place is None:
            if receipt is None and self._spool is not None:
                receipt = await asyncio.to_thread(_spooled, self._spool, event_id, site)
        elif receipt is None or receipt.state == "duplicate":
            # The database is let go of by now: the log may take its time.
            receipt = await self._looked_up(event_id, place, site, consumed, receipt)
        if receipt is None:
            raise ApiError(404, "unknown_event", "Nothing is known of this event.")
        return answer(receipt)

    async def _looked_up(
        self,
        event_id: uuid.UUID,
        place: tuple[int, int],
        site: str | None,
        consumed: bool,
        copy: Receipt | None,
    ) -> Receipt | None:
        """What the log says of a place of which the database knows nothing, or that it may be a `copy`."""
        if consumed and copy is None:
            return None  # taken out of the database since: whatever the log holds is in no number
        try:
            held = await self._log.at(*place)
        except LogError as error:
            message = "The event log cannot be read; try again."
            raise ApiError(503, "log_unavailable", message, headers={"Retry-After": "5"}) from error
        if held is None:
            # What is consumed may have been trimmed; what is not was never there.
            return copy if consumed else None
        event = event_in(held.value)
        if event is None or event.id != event_id or site not in (None, event.site):
            return None
        return copy if consumed else Receipt(event_id, "logged", *place, _moment(event.at))


async def _receipt(cursor: Cursor, event_id: uuid.UUID, place: Place, site: str | None) -> Receipt | None:
    """What the database says; `duplicate` of a place that may not be consumed, or be another event's."""
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
    return Receipt(event_id, "duplicate", partition, offset, *stored[0][2:]) if stored else None


async def _is_consumed(cursor: Cursor, partition: int, offset: int) -> bool:
    found = await fetch(cursor, statement("stats_receipt_position"), {"partition": partition})
    return bool(found) and found[0][0] is not None and offset < found[0][0]


def _spooled(spool: Path, event_id: uuid.UUID, site: str | None) -> Receipt | None:
    try:
        record = find_spooled(spool, event_id)
    except sqlite3.Error as error:
        message = "The spool cannot be read; try again."
        raise ApiError(503, "spool_unavailable", message, headers={"Retry-After": "5"}) from error
    if record is None or site not in (None, record.site):
        return None
    return Receipt(event_id, "spooled", None, None, _moment(record.at))


def _moment(at: int) -> datetime.datetime | None:
    """The time of Unix milliseconds; None where there is no such time, which a foreign record can say."""
    try:
        return datetime.datetime.fromtimestamp(at / 1000, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return None


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
