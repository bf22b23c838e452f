"""Ack-to-visible latencies: quantiles from the stored buckets. Pure.

Bucket b holds latencies over 2 ** ((b - 1) / 4) and up to 2 ** (b / 4) milliseconds. Its upper end is what is
told: never too short, at most 19 % too long.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Final

import msgspec

QUANTILES: Final = (0.5, 0.95, 0.99)


class Latency(msgspec.Struct):
    """Milliseconds that half, 95 % and 99 % of the events did not exceed; null where there were none."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


def latency(counts: Mapping[int, int]) -> Latency:
    """The quantiles of numbers of events by bucket."""
    total = sum(counts.values())
    if total == 0:
        return Latency()
    return Latency(*(_quantile(counts, ceil(share * total)) for share in QUANTILES))


def _quantile(counts: Mapping[int, int], rank: int) -> float:
    """The upper end of the bucket that holds the event of this rank, counted from 1."""
    seen = 0
    for bucket, n in sorted(counts.items()):
        seen += n
        if seen >= rank:
            return round(2 ** (bucket / 4), 1)
    raise AssertionError("a rank is not more than the number of events")
