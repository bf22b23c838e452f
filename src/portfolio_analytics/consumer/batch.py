"""A batch: records of the log, sorted out and enriched, ready for one transaction. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from portfolio_analytics.consumer.decode import Attested, Decoded, Rejected, decode
from portfolio_analytics.consumer.dictionary import Client, content_id
from portfolio_analytics.consumer.enrich.agent import parse_agent
from portfolio_analytics.consumer.enrich.origin import Origin, classify
from portfolio_analytics.consumer.enrich.screen import screen_class
from portfolio_analytics.consumer.enrich.spam import is_spam
from portfolio_analytics.shared.identity import actor_id
from portfolio_analytics.shared.log.protocol import LogRecord
from portfolio_analytics.shared.record import EventRecord

MAX_PATH_BYTES = 2_000  # it stands in keys, of which an index holds 2,700


class Item(msgspec.Struct, gc=False):
    """One event of a batch. `actor` and `visitor` may be taken over from the day before (continuation.py)."""

    event: EventRecord
    partition: int
    offset: int
    actor: int
    visitor: int
    page_id: int
    client_id: int
    origin_id: int | None
    path: str
    client: Client
    origin: Origin | None
    site_id: int = 0


class Batch(NamedTuple):
    """What one transaction stores. `ends` has, for every partition read, the offset to go on from."""

    items: list[Item]
    attested: list[Attested]
    rejected: list[Rejected]
    ends: Mapping[int, int]


def make_batch(records: Sequence[LogRecord], topic_id: str) -> Batch:
    """Sort `records` out. Nothing in them can make this raise."""
    items: list[Item] = []
    attested: list[Attested] = []
    rejected: list[Rejected] = []
    ends: dict[int, int] = {}
    for record in records:
        ends[record.partition] = record.offset + 1
        found = decode(record, topic_id)
        if isinstance(found, Decoded):
            if is_spam(found.event.referrer):
                rejected.append(Rejected(record, "spam", "The referrer is a known spammer.", found.event))
            else:
                items.append(enrich(found))
        elif isinstance(found, Attested):
            attested.append(found)
        else:
            rejected.append(found)
    return Batch(items, attested, rejected, ends)


def enrich(decoded: Decoded) -> Item:
    """An event with what its words say: page, client, origin."""
    event = decoded.event
    origin, path = classify(event.referrer, event.page, event.site, event.host)
    if len(path) > MAX_PATH_BYTES // 4:
        path = path.encode()[:MAX_PATH_BYTES].decode(errors="ignore")
    client = Client(
        *parse_agent(event.user_agent),
        screen_class(event.screen_width),
        event.country or "",
        event.region or "",
        event.city or "",
    )
    return Item(
        event,
        decoded.partition,
        decoded.offset,
        event.visitor if event.session is None else actor_id(event.site, event.session),
        event.visitor,
        content_id(path),
        content_id(*client),
        None if origin is None else content_id(*origin),
        path,
        client,
        origin,
    )
