"""`GET /api/ledger`: what was accepted, and what became of it, minute by minute."""

from __future__ import annotations

import datetime
from collections import defaultdict
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from portfolio_analytics.shared.access import Access
from portfolio_analytics.shared.http import ApiError, answer
from portfolio_analytics.stats.engine import Clock
from portfolio_analytics.stats.latency import Latency, latency
from portfolio_analytics.stats.reader import Reader, fetch
from portfolio_analytics.storage.sql import statement

DEFAULT_MINUTES: Final = 60
MAX_MINUTES: Final = 7 * 24 * 60


class Minute(msgspec.Struct):
    """One minute of acceptance, in log records.

    accepted = counted + duplicate + the sum of rejected + in_flight; `unattested` is the part of accepted of
    which no worker's attestation arrived. `refused` and `ignored` are requests, and stand beside it.
    """

    minute: datetime.datetime
    accepted: int
    counted: int
    duplicate: int
    rejected: dict[str, int]
    in_flight: int
    refused: dict[str, int]
    ignored: dict[str, int]
    unattested: int
    latency_ms: Latency


class Ledger(msgspec.Struct):
    """Minutes in which anything happened, in order."""

    minutes: list[Minute]


class LedgerFace:
    """Reads the ledger."""

    def __init__(self, reader: Reader, access: Access, clock: Clock) -> None:
        self._reader = reader
        self._access = access
        self._clock = clock

    async def answer(self, request: Request) -> Response:
        """The last `minutes`, the one under way included. Raises ApiError 400."""
        await self._access.require(request, "read")
        until = self._clock()
        span = {"after": until - datetime.timedelta(minutes=_minutes(request)), "until": until}
        async with self._reader.reading() as cursor:
            rows = await fetch(cursor, statement("stats_ledger"), span)
            times = await fetch(cursor, statement("stats_latencies"), span)
        buckets: dict[datetime.datetime, dict[int, int]] = defaultdict(dict)
        for minute, bucket, n in times:
            buckets[minute][bucket] = n
        return answer(Ledger([Minute(*(*row, latency(buckets[row[0]]))) for row in rows]))


def _minutes(request: Request) -> int:
    text = request.query_params.get("minutes", str(DEFAULT_MINUTES))
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= MAX_MINUTES):
        raise ApiError(400, "invalid_query", f"This is a number from 1 to {MAX_MINUTES}.", "minutes")
    return int(text)
