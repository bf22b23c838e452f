"""The routes of statistics, receipts and the ledger."""

from __future__ import annotations

import datetime

from starlette.routing import BaseRoute, Route

from portfolio_analytics.shared.context import Context
from portfolio_analytics.stats.engine import Engine
from portfolio_analytics.stats.query_face import QueryFace
from portfolio_analytics.stats.reader import Reader


def routes(context: Context) -> list[BaseRoute]:
    """All of them."""
    reader = Reader(context.pool)
    engine = Engine(reader, now, context.settings.retention_days)
    return [Route("/api/v2/query", QueryFace(context.access, engine).answer, methods=["POST"])]


def now() -> datetime.datetime:
    """The time."""
    return datetime.datetime.now(datetime.UTC)
