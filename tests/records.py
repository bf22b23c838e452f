"""Made-up records of the log, for tests that begin at the consumer."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from portfolio_analytics.shared.log.protocol import LogRecord
from portfolio_analytics.shared.record import EventRecord, encode_record

DAY_MS = 86_400_000
NOON = 20_000 * DAY_MS + DAY_MS // 2  # 2024-10-04 12:00 UTC
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Safari/537.36"
)


def event(**fields: Any) -> EventRecord:
    """A page view of / by visitor 1 at NOON, with what `fields` say instead."""
    time = fields.setdefault("time", NOON)
    fields.setdefault("id", uuid.uuid4())
    fields.setdefault("site", "example.com")
    fields.setdefault("type", "page_view")
    fields.setdefault("page", "/")
    fields.setdefault("at", time)
    fields.setdefault("day", time // DAY_MS)
    fields.setdefault("visitor", 1)
    fields.setdefault("user_agent", CHROME)
    return EventRecord(**fields)


def in_log(events: Sequence[EventRecord], partition: int = 0, first: int = 0) -> list[LogRecord]:
    """`events` as the log gives them, one after the other."""
    return [
        LogRecord(partition, first + place, found.at, b"key", encode_record(found))
        for place, found in enumerate(events)
    ]
