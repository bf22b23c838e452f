"""The route of exports."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from portfolio_analytics.exporters.face import ExportFace
from portfolio_analytics.shared.context import Context


def routes(context: Context) -> list[BaseRoute]:
    """The one there is."""
    return [Route("/api/export", ExportFace(context.pool, context.access).answer)]
