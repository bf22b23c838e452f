"""The Plausible Stats API v1 over HTTP: thin faces of the query engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from portfolio_analytics.shared.access import Access
from portfolio_analytics.shared.http import answer
from portfolio_analytics.stats import v1
from portfolio_analytics.stats.engine import COUNTS, Answer, Clock, Engine
from portfolio_analytics.stats.query import Query, site_name
from portfolio_analytics.stats.reader import Reader
from portfolio_analytics.stats.site_access import for_readers, readable_site
from portfolio_analytics.stats.visitors_now import visitors_now


class V1Face:
    """Answers the four calls of v1."""

    def __init__(self, reader: Reader, access: Access, engine: Engine, clock: Clock) -> None:
        self._reader = reader
        self._access = access
        self._engine = engine
        self._clock = clock

    async def visitors_now(self, request: Request) -> Response:
        """Visitors of the last 5 minutes: a bare number."""
        async with for_readers(request, self._access):
            name = site_name(request.query_params.get("site_id"), "site_id")
        site = await readable_site(request, self._access, self._engine, name, "site_id")
        async with self._reader.reading() as cursor:
            found = await visitors_now(cursor, [site.site_id], self._clock())
        return answer(found[site.site_id])

    async def aggregate(self, request: Request) -> Response:
        """`{"results":{"visitors":{"value":1,"change":-50}}}`."""
        query, found = await self._ask(request, v1.aggregate)
        result = found.results[0]
        values: dict[str, dict[str, Any]] = {
            name: {"value": value} for name, value in zip(query.metrics, result.metrics, strict=True)
        }
        if result.comparison is not None:
            for name, change in zip(query.metrics, result.comparison.change, strict=True):
                values[name]["change"] = change
        return answer({"results": values, **_warnings(found)})

    async def timeseries(self, request: Request) -> Response:
        """`{"results":[{"date":"2026-01-01","visitors":1}]}`, with every date of the period."""
        query, found = await self._ask(request, v1.timeseries)
        known = {result.dimensions[0]: result.metrics for result in found.results}
        nothing = [0 if name in COUNTS else None for name in query.metrics]
        labels = found.buckets.labels if found.buckets else ()
        rows = [
            {"date": label, **dict(zip(query.metrics, known.get(label, nothing), strict=True))}
            for label in labels
        ]
        return answer({"results": rows, **_warnings(found)})

    async def breakdown(self, request: Request) -> Response:
        """`{"results":[{"source":"Google","visitors":1}]}`."""
        query, found = await self._ask(request, v1.breakdown)
        key = query.dimensions[0].rpartition(":")[2]
        rows = [
            {key: result.dimensions[0], **dict(zip(query.metrics, result.metrics, strict=True))}
            for result in found.results
        ]
        return answer({"results": rows, **_warnings(found)})

    async def _ask(
        self, request: Request, read: Callable[[Mapping[str, str]], Query]
    ) -> tuple[Query, Answer]:
        async with for_readers(request, self._access):
            query = read(request.query_params)
        site = await readable_site(request, self._access, self._engine, query.site, "site_id")
        return query, await self._engine.answer(query, site)


def _warnings(found: Answer) -> dict[str, Any]:
    return {"meta": {"metric_warnings": found.warnings}} if found.warnings else {}
