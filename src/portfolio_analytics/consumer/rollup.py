"""Rollups: exact sums a site's local day, as a pure function of visits.

`cells` says what the visits of one visitor add to the rollups. A batch adds `cells(after) - cells(before)`
for every visitor whose visits it changed; `rebuild` and `verify` add up `cells` over all visitors. Adding a
rollup is adding a dimension here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum

from portfolio_analytics.consumer.dictionary import Client
from portfolio_analytics.consumer.enrich.origin import Origin
from portfolio_analytics.consumer.visit import Visit, is_bounce


class Dimension(IntEnum):
    """The numbers under which rollups are stored."""

    TOTAL = 0
    PAGE = 1
    ENTRY_PAGE = 2
    EXIT_PAGE = 3
    SOURCE = 4
    CHANNEL = 5
    REFERRER = 6
    UTM_SOURCE = 7
    UTM_MEDIUM = 8
    UTM_CAMPAIGN = 9
    UTM_TERM = 10
    UTM_CONTENT = 11
    COUNTRY = 12
    REGION = 13
    CITY = 14
    DEVICE = 15
    BROWSER = 16
    BROWSER_VERSION = 17
    OS = 18
    OS_VERSION = 19
    SCREEN = 20
    EVENT = 21


# The sums of one cell, in the order of a cell's list.
MEASURES = (
    "visitors",
    "known_visitors",
    "visits",
    "bounces",
    "pageviews",
    "events",
    "duration_ms",
    "engaged_ms",
    "scroll_sum",
    "scroll_visits",
)
VISITORS, KNOWN, VISITS, BOUNCES, PAGEVIEWS, EVENTS, DURATION, ENGAGED, SCROLL_SUM, SCROLL_VISITS = range(10)

DIRECT_SOURCE = "Direct / None"
DIRECT_CHANNEL = "Direct"

CellKey = tuple[int, int, int | str]  # local day, dimension, value (a page's id for the page dimensions)
Cells = dict[CellKey, list[int]]
PAGE_DIMENSIONS = frozenset({Dimension.PAGE, Dimension.ENTRY_PAGE, Dimension.EXIT_PAGE})

DirectOrigin = Origin("", DIRECT_SOURCE, DIRECT_CHANNEL, "", "", "", "", "")


def cells(visits: Iterable[Visit], client: Callable[[int], Client], origin: Callable[[int], Origin]) -> Cells:
    """What the visits of ONE visitor on one site add: a list of MEASURES for each cell.

    `client` and `origin` look dictionary ids up.
    """
    sums: Cells = {}
    for visit in visits:
        values = _visit_values(visit, client, origin)
        known = int(visit.known)
        bounce = int(is_bounce(visit))
        duration = visit.end - visit.start
        start_day = min(visit.days)
        for number, day in visit.days.items():
            starts = number == start_day
            pageviews, events, engaged = day.pageviews, day.events, day.engaged_ms
            for dimension, value in values:
                cell = sums.get((number, dimension, value))
                if cell is None:
                    cell = sums[number, dimension, value] = [1, known, 0, 0, 0, 0, 0, 0, 0, 0]
                cell[KNOWN] |= known
                if starts:
                    cell[VISITS] += 1
                    cell[BOUNCES] += bounce
                    cell[DURATION] += duration
                cell[PAGEVIEWS] += pageviews
                cell[EVENTS] += events
                cell[ENGAGED] += engaged
            for page_id, use in day.pages.items():
                cell = sums.get((number, Dimension.PAGE, page_id))
                if cell is None:
                    cell = sums[number, Dimension.PAGE, page_id] = [1, known, 0, 0, 0, 0, 0, 0, 0, 0]
                cell[KNOWN] |= known
                cell[VISITS] += 1
                cell[PAGEVIEWS] += use.views
                cell[EVENTS] += use.events
                cell[ENGAGED] += use.engaged_ms
                if use.scroll >= 0:
                    cell[SCROLL_SUM] += use.scroll
                    cell[SCROLL_VISITS] += 1
            for kind, n in day.types.items():
                cell = sums.get((number, Dimension.EVENT, kind))
                if cell is None:
                    cell = sums[number, Dimension.EVENT, kind] = [1, known, 0, 0, 0, 0, 0, 0, 0, 0]
                cell[KNOWN] |= known
                cell[VISITS] += 1
                cell[EVENTS] += n
    return sums


def add(total: Cells, cells: Cells, sign: int = 1) -> None:
    """Add (or with sign -1 take away) `cells` to `total`, in place."""
    for key, cell in cells.items():
        sums = total.get(key)
        if sums is None:
            total[key] = cell[:] if sign == 1 else [-n for n in cell]
        else:
            for i, n in enumerate(cell):
                sums[i] += sign * n


def _visit_values(
    visit: Visit, client: Callable[[int], Client], origin: Callable[[int], Origin]
) -> list[tuple[int, int | str]]:
    """The dimensions that are constant in a visit, with their values; empty ones are left out."""
    c = client(visit.client_id)
    o = origin(visit.origin_id) if visit.origin_id is not None else DirectOrigin
    values: list[tuple[int, int | str]] = [
        (Dimension.TOTAL, ""),
        (Dimension.SOURCE, o.source),
        (Dimension.CHANNEL, o.channel),
    ]
    if visit.entry_page is not None and visit.exit_page is not None:
        values.append((Dimension.ENTRY_PAGE, visit.entry_page))
        values.append((Dimension.EXIT_PAGE, visit.exit_page))
    optional = (
        (Dimension.REFERRER, o.referrer),
        (Dimension.UTM_SOURCE, o.utm_source),
        (Dimension.UTM_MEDIUM, o.utm_medium),
        (Dimension.UTM_CAMPAIGN, o.utm_campaign),
        (Dimension.UTM_TERM, o.utm_term),
        (Dimension.UTM_CONTENT, o.utm_content),
        (Dimension.COUNTRY, c.country),
        (Dimension.REGION, c.region),
        (Dimension.CITY, c.city),
        (Dimension.DEVICE, c.device),
        (Dimension.BROWSER, c.browser),
        (Dimension.BROWSER_VERSION, f"{c.browser} {c.browser_version}" if c.browser_version else ""),
        (Dimension.OS, c.os),
        (Dimension.OS_VERSION, f"{c.os} {c.os_version}" if c.os_version else ""),
        (Dimension.SCREEN, c.screen),
    )
    values.extend(pair for pair in optional if pair[1])
    return values
