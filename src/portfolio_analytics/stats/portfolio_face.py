"""`GET /api/stats/sites`: the sites that the caller may read, side by side.

However many sites there are, an answer is a handful of statements.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from portfolio_analytics.shared.access import Access, Principal
from portfolio_analytics.shared.http import answer
from portfolio_analytics.stats import portfolio
from portfolio_analytics.stats.engine import SUM_OF_DAYS, Clock
from portfolio_analytics.stats.portfolio import Found, Part, Periods, Portfolio, PortfolioMeta, Question
from portfolio_analytics.stats.reader import Cursor, Reader, fetch
from portfolio_analytics.stats.site import Site
from portfolio_analytics.stats.visitors_now import visitors_now
from portfolio_analytics.storage.sql import statement


class PortfolioFace:
    """Answers with the figures of many sites. `retention_days`: after how many days rows are dropped."""

    def __init__(
        self, reader: Reader, access: Access, clock: Clock, retention_days: int | None = None
    ) -> None:
        self._reader = reader
        self._access = access
        self._clock = clock
        self._retention_days = retention_days

    async def answer(self, request: Request) -> Response:
        """A page of sites. Raises ApiError: 400 names the parameter that is wrong."""
        principal = await self._access.known(request)
        asked = portfolio.question(request.query_params)
        async with self._reader.reading() as cursor:
            return answer(await self._look(cursor, asked, principal))

    async def _look(self, cursor: Cursor, asked: Question, principal: Principal) -> Portfolio:
        now = self._clock()
        oldest = None if self._retention_days is None else now - datetime.timedelta(self._retention_days)
        sites = await _sites(cursor, asked, principal)
        periods = Periods(asked.date_range, now)
        wholes = [portfolio.whole(site, periods.of(site)) for site in sites]
        figures = [portfolio.total(found) for found in await _count(cursor, wholes)]
        shown = portfolio.page(asked, figures, [site.name for site in sites])
        # All else is read of the sites that are shown alone.
        before = await _count(cursor, [portfolio.whole(sites[n], periods.before(sites[n])) for n in shown])
        series = [portfolio.series(sites[n], periods.of(sites[n])) for n in shown]
        points = await _count(cursor, series)
        present = await visitors_now(cursor, [sites[n].site_id for n in shown], now)
        results = [
            portfolio.result(
                part,
                found if part.is_kept(oldest) else None,
                figures[n],
                portfolio.total(former),
                present[part.site.site_id],
            )
            for n, part, found, former in zip(shown, series, points, before, strict=True)
        ]
        warnings = {"visitors": SUM_OF_DAYS} if any(part.cut.adds_days for part in wholes) else {}
        return Portfolio(results, PortfolioMeta(len(sites), warnings))


async def _sites(cursor: Cursor, asked: Question, principal: Principal) -> list[Site]:
    """The sites asked for that `principal` may read."""
    if not principal.may("read", principal.site):
        return []
    params = {
        "name": principal.site,
        "search": asked.search,
        "first_days": asked.date_range.keyword == "all",
    }
    rows = await fetch(cursor, statement("stats_sites"), params)
    return [Site(site_id, name, zone, (), first_day) for site_id, name, zone, first_day in rows]


async def _count(cursor: Cursor, parts: Sequence[Part]) -> list[Found]:
    """The sums of each part."""
    found: list[Found] = [{} for _ in parts]
    rolled = [(key, part) for key, part in enumerate(parts) if part.rolled_up]
    rest = [(key, part) for key, part in enumerate(parts) if not part.rolled_up]
    if rolled:
        spans = portfolio.span_params(rolled, await _closed_months(cursor, rolled))
        portfolio.add_spans(found, parts, await fetch(cursor, statement("stats_spans"), spans))
        await _count_visitors(cursor, found, portfolio.known_apart(found, rolled), known_only=True)
    await _count_visitors(cursor, found, rest, known_only=False)
    return found


async def _closed_months(
    cursor: Cursor, parts: Sequence[tuple[int, Part]]
) -> dict[int, Sequence[datetime.date]]:
    """The months of the parts that are kept as sums, by site."""
    params = {
        "site_ids": sorted({part.site.site_id for _, part in parts}),
        "first": min(part.cut.period.first for _, part in parts),
        "last": max(part.cut.period.last for _, part in parts),
    }
    return dict(await fetch(cursor, statement("stats_closed_months"), params))


async def _count_visitors(
    cursor: Cursor, found: Sequence[Found], parts: Sequence[tuple[int, Part]], *, known_only: bool
) -> None:
    """Add the visitors that rows alone tell."""
    if not parts:
        return
    site_ids = sorted({part.site.site_id for _, part in parts})
    ((oldest,),) = await fetch(cursor, statement("stats_oldest"), {"site_ids": site_ids})
    params = portfolio.visitor_params(parts, oldest, known_only=known_only)
    rows = await fetch(cursor, statement("stats_span_visitors"), params)
    portfolio.add_visitors(found, parts, rows)
