"""The routes of statistics, receipts and the ledger."""

from __future__ import annotations

import datetime

from starlette.routing import BaseRoute, Route

from portfolio_analytics.settings import spool_path
from portfolio_analytics.shared.context import Context
from portfolio_analytics.stats.engine import Engine
from portfolio_analytics.stats.funnel_face import FunnelFace
from portfolio_analytics.stats.ledger_face import LedgerFace
from portfolio_analytics.stats.portfolio_face import PortfolioFace
from portfolio_analytics.stats.query_face import QueryFace
from portfolio_analytics.stats.reader import Reader
from portfolio_analytics.stats.realtime_face import RealtimeFace
from portfolio_analytics.stats.receipt_face import LogRecords, ReceiptFace
from portfolio_analytics.stats.totals_face import TotalsFace
from portfolio_analytics.stats.v1_face import V1Face


def routes(context: Context, log: LogRecords) -> list[BaseRoute]:
    """All of them; `log` is where receipts look."""
    access = context.access
    # A long query must not keep the quick answers waiting.
    quick = Reader(context.pool, at_once=2)
    patient = Reader(context.pool, at_once=3)
    engine = Engine(patient, now, context.settings.retention_days)
    totals = TotalsFace(quick, access, public=context.settings.public_stats)
    receipts = ReceiptFace(quick, access, log, spool_path(context.settings))
    sites = PortfolioFace(patient, access, now, context.settings.retention_days)
    v1 = V1Face(quick, access, engine, now)
    return [
        Route("/api/stats", totals.answer),
        Route("/api/stats/sites", sites.answer),
        Route("/api/receipts/{event_id}", receipts.answer),
        Route("/api/ledger", LedgerFace(quick, access, now).answer),
        Route("/api/realtime", RealtimeFace(quick, access, engine, now).answer),
        Route("/api/v2/query", QueryFace(access, engine).answer, methods=["POST"]),
        Route("/api/v2/funnel", FunnelFace(access, engine).answer, methods=["POST"]),
        Route("/api/v1/stats/realtime/visitors", v1.visitors_now),
        Route("/api/v1/stats/aggregate", v1.aggregate),
        Route("/api/v1/stats/timeseries", v1.timeseries),
        Route("/api/v1/stats/breakdown", v1.breakdown),
    ]


def now() -> datetime.datetime:
    """The time."""
    return datetime.datetime.now(datetime.UTC)
