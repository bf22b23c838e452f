"""Bad rows: records that cannot be stored, with the reason, so that someone can look and try again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import psycopg

from portfolio_analytics.consumer.decode import MAX_TIME_MS, Rejected

# What is turned away by policy is counted and not kept.
POLICY_REASONS = frozenset({"erased", "expired", "site_deleted", "site_reset", "spam"})

_ADD = """
INSERT INTO bad_rows
    (topic_id, partition, log_offset, reason, detail, event_id, site, accepted_at, key, value)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (topic_id, partition, log_offset) DO NOTHING
"""


def add_bad_rows(cursor: psycopg.Cursor[Any], rejected: Iterable[Rejected], topic_id: str) -> None:
    """Keep the records that were rejected for what they are, not by policy."""
    rows = [_row(reject, topic_id) for reject in rejected if reject.reason not in POLICY_REASONS]
    if rows:
        cursor.executemany(_ADD, rows)


def _row(reject: Rejected, topic_id: str) -> tuple[object, ...]:
    record, event = reject.record, reject.event
    at = event.at if event and 0 <= event.at <= MAX_TIME_MS else record.timestamp_ms
    return (
        topic_id,
        record.partition,
        record.offset,
        reject.reason,
        reject.detail.replace("\x00", ""),
        event.id if event else None,
        event.site[:255].replace("\x00", "") if event else None,
        datetime.fromtimestamp(at / 1000, UTC),
        record.key,
        record.value,
    )
