"""Rollups: exact sums a site's local day, as a pure function of visits.

`cells` says what the visits of one visitor add to the rollups. A batch adds `cells(after) - cells(before)`
for every visitor whose visits it changed; `rebuild` and `verify` add up `cells` over all visitors. Adding a
rollup is adding a dimension here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from functools import lru_cache
from operator import add as plus
from operator import sub as minus
from typing import Any

from portfolio_analytics.consumer.dictionary import Client
from portfolio_analytics.consumer.enrich.origin import Origin
from portfolio_analytics.consumer.visit import PageUse, Visit, VisitDay, is_bounce


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
            sums[:] = map(plus if sign == 1 else minus, sums, cell)


class CellChanges:
    """What a batch changes on one site, gathered visit by visit.

    Most changes are of visitors with one visit, which is new or goes on under the same client and origin.
    Such a change is the same numbers for each value of the client and of the origin, so it is added up under
    their ids and spread over the dimensions once, at the end.
    """

    def __init__(self, client: Callable[[int], Client], origin: Callable[[int], Origin]) -> None:
        self._client = client
        self._origin = origin
        self._cells: Cells = {}
        self._by_client: dict[tuple[int, int], list[int]] = {}
        self._by_origin: dict[tuple[int, int | None], list[int]] = {}

    def change(self, before: list[Visit], after: list[Visit], others: list[Visit]) -> None:
        """The visits `before` of ONE visitor became `after`; `others` of theirs stay as they are."""
        if len(after) == 1 and not others:
            new = after[0]
            if len(new.days) == 1:
                if not before:
                    self._one_more(new)
                    return
                if len(before) == 1 and _goes_on(before[0], new):
                    self._more(before[0], new)
                    return
        add(self._cells, cells([*after, *others], self._client, self._origin))
        add(self._cells, cells([*before, *others], self._client, self._origin), -1)

    def cells(self) -> Cells:
        """What to add to each cell."""
        for (number, client_id), numbers in self._by_client.items():
            for dimension, value in _client_values(self._client(client_id)):
                self._add((number, dimension, value), numbers)
        for (number, origin_id), numbers in self._by_origin.items():
            found = DirectOrigin if origin_id is None else self._origin(origin_id)
            for dimension, value in _origin_values(found):
                self._add((number, dimension, value), numbers)
        self._by_client.clear()
        self._by_origin.clear()
        return self._cells

    def _one_more(self, visit: Visit) -> None:
        ((number, day),) = visit.days.items()
        known = int(visit.known)
        duration = visit.end - visit.start
        bounce = int(is_bounce(visit))
        numbers = [1, known, 1, bounce, day.pageviews, day.events, duration, day.engaged_ms, 0, 0]
        self._spread(number, visit, numbers)
        if visit.entry_page is not None and visit.exit_page is not None:
            self._add((number, Dimension.ENTRY_PAGE, visit.entry_page), numbers)
            self._add((number, Dimension.EXIT_PAGE, visit.exit_page), numbers)
        for page_id, use in day.pages.items():
            self._add((number, Dimension.PAGE, page_id), _page_numbers(use, known))
        for kind, n in day.types.items():
            self._add((number, Dimension.EVENT, kind), [1, known, 1, 0, 0, n, 0, 0, 0, 0])

    def _more(self, old: Visit, new: Visit) -> None:
        ((number, was),) = old.days.items()
        now = new.days[number]
        known = int(new.known)
        numbers = [
            0,
            0,
            0,
            int(is_bounce(new)) - int(is_bounce(old)),
            now.pageviews - was.pageviews,
            now.events - was.events,
            new.end - new.start - old.end + old.start,
            now.engaged_ms - was.engaged_ms,
            0,
            0,
        ]
        self._spread(number, new, numbers)
        for dimension, page_before, page_after in (
            (Dimension.ENTRY_PAGE, old.entry_page, new.entry_page),
            (Dimension.EXIT_PAGE, old.exit_page, new.exit_page),
        ):
            if page_before == page_after:
                if page_after is not None:
                    self._add((number, dimension, page_after), numbers)
                continue
            if page_before is not None:
                self._add((number, dimension, page_before), _whole(old, was, known), -1)
            if page_after is not None:
                self._add((number, dimension, page_after), _whole(new, now, known))
        for page_id, use in now.pages.items():
            used = was.pages.get(page_id)
            if used != use:
                key = (number, Dimension.PAGE, page_id)
                self._add(key, _page_numbers(use, known))
                if used is not None:
                    self._add(key, _page_numbers(used, known), -1)
        for kind, n in now.types.items():
            had = was.types.get(kind)
            if had is None:
                self._add((number, Dimension.EVENT, kind), [1, known, 1, 0, 0, n, 0, 0, 0, 0])
            elif had != n:
                self._add((number, Dimension.EVENT, kind), [0, 0, 0, 0, 0, n - had, 0, 0, 0, 0])

    def _spread(self, number: int, visit: Visit, numbers: list[int]) -> None:
        self._add((number, Dimension.TOTAL, ""), numbers)
        _bump(self._by_client, (number, visit.client_id), numbers)
        _bump(self._by_origin, (number, visit.origin_id), numbers)

    def _add(self, key: CellKey, numbers: list[int], sign: int = 1) -> None:
        _bump(self._cells, key, numbers, sign)


def _bump(sums: dict[Any, list[int]], key: object, numbers: list[int], sign: int = 1) -> None:
    found = sums.get(key)
    if found is None:
        sums[key] = numbers[:] if sign == 1 else [-n for n in numbers]
    elif sign == 1:
        sums[key] = list(map(plus, found, numbers))
    else:
        sums[key] = list(map(minus, found, numbers))


def _goes_on(old: Visit, new: Visit) -> bool:
    """Whether the visit only grew: same day, same client, same origin, same kind of visitor."""
    return (
        len(old.days) == 1
        and old.days.keys() == new.days.keys()
        and old.client_id == new.client_id
        and old.origin_id == new.origin_id
        and old.known == new.known
    )


def _whole(visit: Visit, day: VisitDay, known: int) -> list[int]:
    duration = visit.end - visit.start
    return [1, known, 1, int(is_bounce(visit)), day.pageviews, day.events, duration, day.engaged_ms, 0, 0]


def _page_numbers(use: PageUse, known: int) -> list[int]:
    scroll, scrolled = (use.scroll, 1) if use.scroll >= 0 else (0, 0)
    return [1, known, 1, 0, use.views, use.events, 0, use.engaged_ms, scroll, scrolled]


def _visit_values(
    visit: Visit, client: Callable[[int], Client], origin: Callable[[int], Origin]
) -> list[tuple[int, int | str]]:
    """The dimensions that are constant in a visit, with their values; empty ones are left out."""
    values: list[tuple[int, int | str]] = [(Dimension.TOTAL, "")]
    if visit.entry_page is not None and visit.exit_page is not None:
        values.append((Dimension.ENTRY_PAGE, visit.entry_page))
        values.append((Dimension.EXIT_PAGE, visit.exit_page))
    values.extend(_client_values(client(visit.client_id)))
    values.extend(_origin_values(DirectOrigin if visit.origin_id is None else origin(visit.origin_id)))
    return values


@lru_cache(maxsize=16_384)
def _client_values(c: Client) -> tuple[tuple[int, str], ...]:
    pairs = (
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
    return tuple((int(dimension), value) for dimension, value in pairs if value)


@lru_cache(maxsize=16_384)
def _origin_values(o: Origin) -> tuple[tuple[int, str], ...]:
    pairs = (
        (Dimension.SOURCE, o.source),
        (Dimension.CHANNEL, o.channel),
        (Dimension.REFERRER, o.referrer),
        (Dimension.UTM_SOURCE, o.utm_source),
        (Dimension.UTM_MEDIUM, o.utm_medium),
        (Dimension.UTM_CAMPAIGN, o.utm_campaign),
        (Dimension.UTM_TERM, o.utm_term),
        (Dimension.UTM_CONTENT, o.utm_content),
    )
    always = (Dimension.SOURCE, Dimension.CHANNEL)
    return tuple((int(dimension), value) for dimension, value in pairs if value or dimension in always)
