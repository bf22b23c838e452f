"""`GET /api/stats`: all events ever counted, by type."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from portfolio_analytics.shared.access import Access
from portfolio_analytics.shared.http import ApiError, answer
from portfolio_analytics.stats.period import local_date
from portfolio_analytics.stats.query import Bound, bound, site_name
from portfolio_analytics.stats.reader import Reader, fetch
from portfolio_analytics.stats.site_access import for_readers
from portfolio_analytics.storage.sql import statement


class Totals(msgspec.Struct):
    """Numbers of events."""

    total_events: int
    events_by_type: dict[str, int]


class TotalsFace:
    """`public`: without a token, as the original service answered."""

    def __init__(self, reader: Reader, access: Access, *, public: bool) -> None:
        self._reader = reader
        self._access = access
        self._public = public

    async def answer(self, request: Request) -> Response:
        """The totals of `site` (else all sites) from the day `from` to the day `to`, both included.

        A time stands for the site's local day on which it falls, in UTC without a site. A site that nothing
        is known of has no events.
        """
        if self._public:
            name, first, last = _asked(request.query_params)
        else:
            async with for_readers(request, self._access):
                name, first, last = _asked(request.query_params)
        async with self._reader.reading() as cursor:
            site = await fetch(cursor, statement("stats_site"), {"name": name}) if name else []
        if not self._public:
            await self._access.require(request, "read", site[0][1] if site else name)
        if name and not site:
            return answer(Totals(0, {}))
        zone = site[0][2] if site else "UTC"
        from_day, to_day = _day(first, zone), _day(last, zone)
        if from_day and to_day and from_day > to_day:
            raise ApiError(400, "invalid_query", "'to' must not be before 'from'.", "to")
        params = {"site_id": site[0][0] if site else None, "from": from_day, "to": to_day}
        async with self._reader.reading() as cursor:
            rows = await fetch(cursor, statement("stats_totals"), params)
        return answer(Totals(sum(n for _, n in rows), dict(rows)))


def _asked(wanted: Mapping[str, str]) -> tuple[str | None, Bound | None, Bound | None]:
    """Site, from and to. Raises ApiError 400."""
    name = site_name(wanted["site"], "site") if wanted.get("site") else None
    first, last = (bound(wanted[key], key) if wanted.get(key) else None for key in ("from", "to"))
    return name, first, last


def _day(moment: datetime.date | None, zone: str) -> datetime.date | None:
    return local_date(zone, moment) if isinstance(moment, datetime.datetime) else moment
