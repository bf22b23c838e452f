"""The consumer's side of the ledger: what became of every record, by minute of its acceptance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import ceil, log2
from typing import Any

import psycopg

from portfolio_analytics.shared.record import AttestRecord

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


def latency_bucket(ms: int) -> int:
    """The bucket b of a latency: the smallest with ms <= 2 ** (b / 4)."""
    return min(max(ceil(4 * log2(ms)), 0), MAX_BUCKET) if ms > 1 else 0


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


def add_entries(cursor: psycopg.Cursor[Any], entries: Counter[LedgerKey], slot: int) -> None:
    """Add `entries` under `slot`, in one order for every consumer."""
    if entries:
        keys = list(entries)
        cursor.execute(
            _ADD,
            [
                slot,
                [key[0] for key in keys],
                [key[1] for key in keys],
                [key[2] for key in keys],
                [key[3] for key in keys],
                list(entries.values()),
            ],
        )


def add_latencies(cursor: psycopg.Cursor[Any], latencies: Counter[tuple[int, int]], slot: int) -> None:
    """Add numbers of events by (minute, bucket) under `slot`."""
    if latencies:
        keys = list(latencies)
        cursor.execute(
            _ADD_LATENCIES,
            [slot, [key[0] for key in keys], [key[1] for key in keys], list(latencies.values())],
        )
