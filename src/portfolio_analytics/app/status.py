"""What the service says about itself: its name, its health, its metrics."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from importlib import metadata

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from portfolio_analytics.app.progress import Progress
from portfolio_analytics.app.watch import Watch
from portfolio_analytics.producer.health import Health
from portfolio_analytics.producer.outlet import Outlet
from portfolio_analytics.shared.context import Context
from portfolio_analytics.shared.http import answer
from portfolio_analytics.shared.log.spool import SpoolFigures
from portfolio_analytics.shared.metrics import Gauges

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Status:
    """GET / , /api/health, /api/health/live, /api/health/ready and /metrics.

    `may_store`: whether intake knows all that it needs. `metrics` makes their text, given the figures of the
    spool and further gauges.
    """

    def __init__(
        self,
        context: Context,
        health: Health,
        outlet: Outlet,
        watch: Watch,
        may_store: Callable[[], bool],
        metrics: Callable[[SpoolFigures | None, Gauges], bytes],
    ) -> None:
        self._context = context
        self._health = health
        self._outlet = outlet
        self._watch = watch
        self._may_store = may_store
        self._metrics = metrics
        self._version = metadata.version("portfolio-analytics")

    def routes(self) -> list[BaseRoute]:
        """The routes of all of them."""
        return [
            Route("/", self.root, methods=["GET"]),
            Route("/api/health", self.health, methods=["GET"]),
            Route("/api/health/live", self.live, methods=["GET"]),
            Route("/api/health/ready", self.ready, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def root(self, request: Request) -> Response:
        """Who this is; a browser is sent to the dashboard."""
        headers = {"Vary": "Accept"}
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/dashboard", 302, headers=headers)
        content = {"message": "Portfolio Analytics API", "version": self._version, "status": "running"}
        return answer(content, headers=headers)

    async def health(self, _request: Request) -> Response:
        """Whether the database and the log are there, and how far the consumers are."""
        found = await self._health.check()
        problems = [problem for problem in found if problem is not None]
        content: dict[str, object] = {
            "status": "unhealthy" if problems else "healthy",
            "database": "connected" if found.database is None else "disconnected",
            "log": "connected" if found.log is None else "disconnected",
        }
        if problems:
            content["error"] = "; ".join(problems)
        watched = None if problems else await self._watch.found()
        if watched is not None:
            content |= _consumers(watched[0])
        spooled = await self._outlet.figures()
        if spooled is not None:
            content["spool"] = dataclasses.asdict(spooled)
        return _uncached(content, 503 if problems else 200)

    async def live(self, _request: Request) -> Response:
        """That this process answers."""
        return _uncached({"status": "live"}, 200)

    async def ready(self, _request: Request) -> Response:
        """Whether intake can store an event now, in the log or in the spool."""
        if self._may_store() and await self._outlet.healthy() is None:
            return _uncached({"status": "ready"}, 200)
        return _uncached({"status": "not ready", "error": "intake cannot store events now"}, 503)

    async def metrics(self, request: Request) -> Response:
        """What a Prometheus server reads.

        With a token also on loopback: a proxy in front makes everybody's requests local ones.
        """
        await self._context.access.require(request, "read")
        watched = await self._watch.found()
        gauges = {} if watched is None else watched[1]
        return Response(self._metrics(await self._outlet.figures(), gauges), media_type=METRICS_TYPE)


def _consumers(progress: Progress) -> dict[str, object]:
    """What health says of the consumers; warnings where somebody should look."""
    age = None if progress.age is None else round(progress.age, 1)
    content: dict[str, object] = {
        "consumer": {"state": progress.state, "lag": sum(progress.lag.values()), "age_seconds": age}
    }
    if progress.warnings:
        content["warnings"] = progress.warnings
    return content


def _uncached(content: Mapping[str, object], status: int) -> Response:
    headers = {"Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = "1"
    return answer(content, status, headers)
