"""Histories for tests of the statistics: events made small and odd, stored by the real consumer."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import psycopg

from portfolio_analytics.consumer.batch import Item, make_batch
from portfolio_analytics.consumer.positions import claim
from portfolio_analytics.consumer.rollups.months import close_months
from portfolio_analytics.consumer.transaction import Store
from portfolio_analytics.shared.log.protocol import LogRecord
from portfolio_analytics.shared.record import VISITOR_KNOWN, EventRecord, encode_record
from portfolio_analytics.storage.database import connect
from tests.integration.reference_model import Event, Goal

TOPIC = "topic"
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Site:
    name: str
    zone: str
    goals: tuple[Goal, ...] = ()


class Feeder:
    """Stores records in a migrated database as a consumer would."""

    def __init__(self, database: str) -> None:
        self.connection = connect(database)
        self._store = Store(self.connection, TOPIC)
        self._held = claim(self.connection, TOPIC, [0, 1], "test")
        self._next = {0: 0, 1: 0}

    def close(self) -> None:
        self.connection.close()

    def add_site(self, site: Site) -> None:
        self.connection.execute("INSERT INTO sites (name, time_zone) VALUES (%s, %s)", [site.name, site.zone])
        for goal in site.goals:
            self.connection.execute(
                "INSERT INTO goals (site_id, name, event_type, page_pattern)"
                " SELECT site_id, %s, %s, %s FROM sites WHERE name = %s",
                [goal.name, goal.event_type, goal.page_pattern, site.name],
            )

    def close_months(self) -> None:
        """Keep every month as a sum; those that are sums already change with what is fed."""
        close_months(self.connection, date(2027, 1, 31))

    def feed(self, records: Sequence[EventRecord], partition: int = 0) -> list[Event]:
        """Store one batch; returns its events as the model sees them."""
        log = []
        for record in records:
            log.append(LogRecord(partition, self._next[partition], record.at, None, encode_record(record)))
            self._next[partition] += 1
        batch = make_batch(log, TOPIC)
        assert not batch.rejected
        if log:
            self._store.commit(batch, self._held, records[0].at)
            held = self._held[partition]
            self._held[partition] = held._replace(next=batch.ends[partition])
        return [seen(item) for item in batch.items]


def seen(item: Item) -> Event:
    """An event as it is stored, with its words."""
    event = item.event
    origin = (
        item.origin.content._asdict()
        if item.origin
        else dict.fromkeys(
            ("referrer", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"), ""
        )
    )
    if not origin.get("source"):
        origin["source"] = "Direct / None"
    if item.origin is None:
        origin["channel"] = "Direct"
    return Event(
        id=str(event.id),
        time=event.time,
        actor=item.actor,
        visitor=item.visitor,
        known=bool(event.flags & VISITOR_KNOWN),
        type=event.type,
        page=item.page.content.path,
        page_id=item.page.id,
        host=event.host or event.site,
        client_id=item.client.id,
        client=item.client.content._asdict(),
        origin_id=item.origin.id if item.origin else None,
        origin=origin,
        duration_ms=event.duration_ms or 0,
        scroll=event.scroll_depth,
        props={name: _text(value) for name, value in (event.props or {}).items()},
    )


def _text(value: object) -> str:
    """What PostgreSQL's ->> says of a JSON value."""
    return str(value).lower() if isinstance(value, bool) else str(value)


_ids = itertools.count(1)


def record(site: str, time: int, **fields: object) -> EventRecord:
    """An event at `time` (Unix milliseconds), accepted then."""
    values = {
        "id": uuid.UUID(int=next(_ids), version=4),
        "site": site,
        "type": "page_view",
        "page": "/",
        "time": time,
        "at": time,
        "day": time // DAY_MS,
        "visitor": 1,
        **fields,
    }
    return EventRecord(**values)  # type: ignore[arg-type]


def at(text: str) -> int:
    """Unix milliseconds of an ISO time; UTC when it names no zone."""
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def admin_connection(dsn: str) -> psycopg.Connection:
    return psycopg.connect(dsn, autocommit=True)


def flatten(pieces: Iterable[Iterable[Event]]) -> list[Event]:
    return list(itertools.chain.from_iterable(pieces))
