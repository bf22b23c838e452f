"""The consumer's side of the ledger: what became of every record, by minute of its acceptance."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from math import floor
from typing import Any

import psycopg

from portfolio_analytics.consumer.batch import Item
from portfolio_analytics.consumer.decode import Rejected
from portfolio_analytics.shared.record import AttestRecord
from portfolio_analytics.storage.arrays import numbers, texts

MINUTE_MS = 60_000

LedgerKey = tuple[int, str, str, str]  # minute since 1970, worker, kind, reason

_ADD = """
INSERT INTO ledger (minute, worker, kind, reason, slot, n)
SELECT to_timestamp(minute * 60), worker, kind, reason, %s, n
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[])
    AS k (minute, worker, kind, reason, n)
ORDER BY 1, 2, 3, 4
ON CONFLICT (minute, worker, kind, reason, slot) DO UPDATE SET n = ledger.n + excluded.n
"""
_ADD_LATENCIES = """
INSERT INTO latencies (minute, bucket, slot, n)
SELECT to_timestamp(minute * 60), bucket, %s, n
FROM unnest(%s::bigint[], %s::smallint[], %s::bigint[]) AS k (minute, bucket, n) ORDER BY 1, 2
ON CONFLICT (minute, bucket, slot) DO UPDATE SET n = latencies.n + excluded.n
"""
_TAKE = "INSERT INTO attestations (worker, sequence) VALUES (%s, %s) ON CONFLICT DO NOTHING"

MAX_BUCKET = 120  # 2 ** 30 ms, 12 days
_BOUNDS = [floor(2 ** (bucket / 4)) for bucket in range(MAX_BUCKET)]


def latency_bucket(ms: int) -> int:
    """The bucket b of a latency: the smallest with ms <= 2 ** (b / 4)."""
    return bisect_left(_BOUNDS, ms)


def take_attestations(cursor: psycopg.Cursor[Any], attests: Iterable[AttestRecord]) -> Counter[LedgerKey]:
    """Ledger entries of the attestations that were not taken before."""
    entries: Counter[LedgerKey] = Counter()
    for attest in attests:
        if cursor.execute(_TAKE, [attest.worker, attest.sequence]).rowcount != 1:
            continue
        for minute, n in attest.accepted.items():
            entries[int(minute), attest.worker, "accepted", ""] += n
        for kind, reasons in (("refused", attest.refused), ("ignored", attest.ignored)):
            for minute, counts in reasons.items():
                for reason, n in counts.items():
                    entries[int(minute), attest.worker, kind, reason] += n
    return entries


def entries_of(items: Iterable[Item], kind: str) -> Counter[LedgerKey]:
    """The ledger entries of `items`, all of them of one `kind`."""
    found = Counter([(item.event.at // MINUTE_MS, item.event.worker) for item in items])
    return Counter({(minute, worker, kind, ""): n for (minute, worker), n in found.items()})


def entry_of_rejected(found: Rejected) -> LedgerKey:
    """Where a rejected record counts."""
    at = found.event.at if found.event else found.record.timestamp_ms
    worker = found.event.worker if found.event else ""
    return (max(at, 0) // MINUTE_MS, worker, "rejected", found.reason)


def add_entries(cursor: psycopg.Cursor[Any], entries: Counter[LedgerKey], slot: int) -> None:
    """Add `entries` under `slot`, in one order for every consumer."""
    if entries:
        keys = list(entries)
        cursor.execute(
            _ADD,
            [
                slot,
                numbers(key[0] for key in keys),
                texts(key[1] for key in keys),
                texts(key[2] for key in keys),
                texts(key[3] for key in keys),
                numbers(entries.values()),
            ],
        )


def add_latencies(cursor: psycopg.Cursor[Any], latencies: Counter[tuple[int, int]], slot: int) -> None:
    """Add numbers of events by (minute, bucket) under `slot`."""
    if latencies:
        keys = list(latencies)
        cursor.execute(
            _ADD_LATENCIES,
            [slot, *(numbers(column) for column in zip(*keys, strict=True)), numbers(latencies.values())],
        )
