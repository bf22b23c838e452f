"""A batch: records of the log, sorted out and enriched, ready for one transaction. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from portfolio_analytics.consumer.decode import Rejected, decode
from portfolio_analytics.consumer.dictionaries.dictionary import Client, Page, Word, word
from portfolio_analytics.consumer.enrich.agent import parse_agent
from portfolio_analytics.consumer.enrich.origin import Origin, classify
from portfolio_analytics.consumer.enrich.screen import screen_class
from portfolio_analytics.consumer.enrich.spam import is_spam
from portfolio_analytics.shared.identity import actor_id
from portfolio_analytics.shared.log.protocol import LogRecord
from portfolio_analytics.shared.record import AttestRecord, EventRecord

MAX_PATH_BYTES = 2_000  # it stands in keys, of which an index holds 2,700
CACHED = 8_192  # each of at most some 10 kB, of some 300 bytes as a rule


class Item(msgspec.Struct, gc=False):
    """One event of a batch. `actor` and `visitor` may be of the day before (visits/continuation.py)."""

    event: EventRecord
    partition: int
    offset: int
    actor: int
    visitor: int
    page: Word[Page]
    client: Word[Client]
    origin: Word[Origin] | None
    site_id: int = 0


class Batch(NamedTuple):
    """What one transaction stores. `ends` has, for every partition read, the offset to go on from."""

    items: list[Item]
    attested: list[AttestRecord]
    rejected: list[Rejected]
    ends: Mapping[int, int]


def make_batch(records: Sequence[LogRecord], topic_id: str) -> Batch:
    """Sort `records` out. Nothing in them can make this raise."""
    items: list[Item] = []
    attested: list[AttestRecord] = []
    rejected: list[Rejected] = []
    ends: dict[int, int] = {}
    for record in records:
        ends[record.partition] = record.offset + 1
        found = decode(record, topic_id)
        if isinstance(found, EventRecord):
            if is_spam(found.referrer):
                rejected.append(Rejected(record, "spam", "The referrer is a known spammer.", found))
            else:
                items.append(enrich(found, record.partition, record.offset))
        elif isinstance(found, AttestRecord):
            attested.append(found)
        else:
            rejected.append(found)
    return Batch(items, attested, rejected, ends)


def enrich(event: EventRecord, partition: int, offset: int) -> Item:
    """An event with what its words say: page, client, origin; and where it stands in the log."""
    page, origin = _landing(event.referrer, event.page, event.site, event.host)
    return Item(
        event,
        partition,
        offset,
        event.visitor if event.session is None else actor_id(event.site, event.session),
        event.visitor,
        page,
        _client(event.user_agent, event.screen_width, event.country, event.region, event.city),
        origin,
    )


@lru_cache(maxsize=CACHED)
def _landing(
    referrer: str | None, page: str, site: str, host: str | None
) -> tuple[Word[Page], Word[Origin] | None]:
    """The page, and where its visitor came from."""
    origin, path = classify(referrer, page, site, host)
    if len(path) > MAX_PATH_BYTES // 4:
        path = path.encode()[:MAX_PATH_BYTES].decode(errors="ignore")
    return word(Page(path)), None if origin is None else word(origin)


@lru_cache(maxsize=CACHED)
def _client(
    user_agent: str | None,
    screen_width: int | None,
    country: str | None,
    region: str | None,
    city: str | None,
) -> Word[Client]:
    return word(
        Client(*parse_agent(user_agent), screen_class(screen_width), country or "", region or "", city or "")
    )
