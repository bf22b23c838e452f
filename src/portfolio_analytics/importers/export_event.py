"""One event of an export: as it is written there, and as the consumer stores it. Pure."""

from __future__ import annotations

import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from portfolio_analytics.consumer.batch import MAX_PATH_BYTES, Item
from portfolio_analytics.consumer.decode import out_of_range
from portfolio_analytics.consumer.dictionaries.dictionary import Client, Page, word
from portfolio_analytics.consumer.enrich.origin import Origin
from portfolio_analytics.shared.record import EventRecord, Scalar, Target

INT2 = 1 << 15
INT8 = 1 << 63

Word = Annotated[str, Meta(max_length=MAX_PATH_BYTES)]
Number = Annotated[int, Meta(ge=-INT8, le=INT8 - 1)]
Moment = Annotated[datetime.datetime, Meta(tz=True)]

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MILLISECOND = datetime.timedelta(milliseconds=1)


class ExportedEvent(msgspec.Struct, kw_only=True):
    """An event with the names of exporters/columns.py. An event without an origin has no channel."""

    site: Word
    time_zone: str
    event_id: UUID
    day: datetime.date
    time: Moment
    accepted_at: Moment
    type: Word
    page: Word
    host: str | None = None
    title: str | None = None
    visitor: Number
    actor: Number
    flags: int
    consent: str | None = None
    duration_ms: int | None = None
    scroll_depth: int | None = None
    target: Target | None = None
    props: dict[str, Scalar] | None = None
    referrer: Word | None = None
    source: Word | None = None
    channel: Word | None = None
    utm_source: Word | None = None
    utm_medium: Word | None = None
    utm_campaign: Word | None = None
    utm_term: Word | None = None
    utm_content: Word | None = None
    browser: Word
    browser_version: Word
    os: Word
    os_version: Word
    device: Word
    screen: Word
    country: Word
    region: Word
    city: Word
    log_partition: Annotated[int, Meta(ge=-INT2, lt=INT2)]
    log_offset: Number


def item_of(found: ExportedEvent, site: str) -> Item:
    """What the consumer stores of an exported event, as one of `site`. Raises ValueError: out of range."""
    event = EventRecord(
        id=found.event_id,
        site=site,
        type=found.type,
        page=found.page,
        host=found.host,
        time=_ms(found.time),
        at=_ms(found.accepted_at),
        day=(found.day - _EPOCH.date()).days,
        visitor=found.visitor,
        flags=found.flags,
        title=found.title,
        duration_ms=found.duration_ms,
        target=found.target,
        scroll_depth=found.scroll_depth,
        props=found.props,
        consent="granted" if found.consent == "granted" else None,
    )
    problem = out_of_range(event)
    if problem:
        raise ValueError(problem)
    client = Client(*(getattr(found, name) for name in Client._fields))
    origin = Origin(*(getattr(found, name) or "" for name in Origin._fields)) if found.channel else None
    return Item(
        event,
        found.log_partition,
        found.log_offset,
        found.actor,
        found.visitor,
        word(Page(found.page)),
        word(client),
        None if origin is None else word(origin),
    )


def _ms(moment: datetime.datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND
