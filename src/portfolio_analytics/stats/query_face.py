"""`POST /api/v2/query`: the query language over HTTP."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from portfolio_analytics.shared.access import Access
from portfolio_analytics.shared.http import ApiError, answer
from portfolio_analytics.stats.engine import Answer, Engine
from portfolio_analytics.stats.period import local_range
from portfolio_analytics.stats.query import Query, parse
from portfolio_analytics.stats.site_access import for_readers, readable_site

MAX_BODY: Final = 64 << 10


class QueryFace:
    """Answers queries in the Plausible Stats API v2 language."""

    def __init__(self, access: Access, engine: Engine) -> None:
        self._access = access
        self._engine = engine

    async def answer(self, request: Request) -> Response:
        """The answer. Raises ApiError: 400 names the part that is wrong."""
        async with for_readers(request, self._access):
            body = await read_json(request)
            query = parse(body)
        site = await readable_site(request, self._access, self._engine, query.site, "site_id")
        found = await self._engine.answer(query, site)
        return answer(
            {"results": found.results, "meta": meta(query, found), "query": resolved(body, query, found)}
        )


async def read_json(request: Request) -> Any:
    """The body's JSON. Raises ApiError: 413 too large, 400 not JSON."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise ApiError(413, "too_large", f"A query has at most {MAX_BODY} bytes.")
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "invalid_json", "The body is not JSON.") from error


def meta(query: Query, found: Answer) -> dict[str, Any]:
    """What goes with the results."""
    about: dict[str, Any] = {"source": "rows" if found.from_rows else "rollups", "imports_included": True}
    if found.warnings:
        about["metric_warnings"] = found.warnings
    if query.total_rows:
        about["total_rows"] = found.total
    if query.time_labels and found.buckets is not None:
        about["time_labels"] = found.buckets.labels
        if found.compared_buckets is not None:
            about["comparison_time_labels"] = found.compared_buckets.labels
    return about


def resolved(body: dict[str, Any], query: Query, found: Answer) -> dict[str, Any]:
    """The query as it was understood."""
    asked = {
        "site_id": found.site.name,
        "metrics": query.metrics,
        "date_range": local_range(found.period),
        "dimensions": query.dimensions,
        "filters": body.get("filters") or [],
        "order_by": [[order.key, "desc" if order.descending else "asc"] for order in query.order_by],
        "include": body.get("include") or {},
        "pagination": {"limit": query.limit, "offset": query.offset},
    }
    if found.compared is not None:
        asked["comparison_date_range"] = local_range(found.compared)
    return asked
