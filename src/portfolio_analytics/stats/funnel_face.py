"""`POST /api/v2/funnel`: how many went from step to step, over HTTP."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from portfolio_analytics.shared.access import Access
from portfolio_analytics.shared.http import answer
from portfolio_analytics.stats.engine import Engine, StepReached
from portfolio_analytics.stats.funnel import parse
from portfolio_analytics.stats.period import local_range
from portfolio_analytics.stats.query_face import read_json
from portfolio_analytics.stats.site_access import for_readers, readable_site


class FunnelReached(msgspec.Struct):
    """How far visitors or visits came, step by step, what to know about it, and the question as understood.

    `total` counts all of them, whether they entered or not; `entry_rate` is the percentage that did.
    """

    results: list[StepReached]
    total: int
    entry_rate: float | None
    meta: dict[str, Any]
    query: dict[str, Any]


class FunnelFace:
    """Answers questions about funnels, kept ones and others."""

    def __init__(self, access: Access, engine: Engine) -> None:
        self._access = access
        self._engine = engine

    async def answer(self, request: Request) -> Response:
        """The answer. Raises ApiError: 400 names the part that is wrong."""
        async with for_readers(request, self._access):
            body = await read_json(request)
            question = parse(body)
        site = await readable_site(request, self._access, self._engine, question.query.site, "site_id")
        found = await self._engine.funnel(question, site)
        meta: dict[str, Any] = {"source": "rows", "imports_included": True}
        if found.warnings:
            meta["metric_warnings"] = found.warnings
        understood = {
            "site_id": found.site.name,
            "date_range": local_range(found.period),
            "funnel": question.name,
            "steps": [result.step for result in found.results],
            "filters": body.get("filters") or [],
            "by": body.get("by", "visitor"),
        }
        return answer(FunnelReached(found.results, found.total, found.entry_rate, meta, understood))
