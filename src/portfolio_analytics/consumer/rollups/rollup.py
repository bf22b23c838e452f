"""Rollups: exact sums a site's local day, as a pure function of visits.

`cells` says what the visits of one visitor add to the rollups. A batch adds `cells(after) - cells(before)`
for every visitor whose visits it changed; `rebuild` and `verify` add up `cells` over all visitors. Adding a
rollup is adding a dimension here.

A cell has ten sums, kept in one number: measure i counts in units of 2 ** (64 * i). So cells are added by
adding two numbers, a quarter of what adding ten costs; `measures` takes the number apart again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from enum import IntEnum
from functools import lru_cache
from struct import Struct

from portfolio_analytics.consumer.dictionaries.dictionary import Client
from portfolio_analytics.consumer.enrich.origin import Origin
from portfolio_analytics.consumer.visits.visit import PageUse, Visit, VisitDay, is_bounce


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


# The sums of one cell, in their order.
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
VISITORS, KNOWN, VISITS, BOUNCES, PAGEVIEWS, EVENTS, DURATION, ENGAGED, SCROLL_SUM, SCROLL_VISITS = (
    1 << (64 * place) for place in range(len(MEASURES))
)

DIRECT_SOURCE = "Direct / None"
DIRECT_CHANNEL = "Direct"

CellKey = tuple[int, int, int | str]  # local day, dimension, value (a page's id for the page dimensions)
Cells = dict[CellKey, int]
PAGE_DIMENSIONS = frozenset({Dimension.PAGE, Dimension.ENTRY_PAGE, Dimension.EXIT_PAGE})

DirectOrigin = Origin("", DIRECT_SOURCE, DIRECT_CHANNEL, "", "", "", "", "")

_PACKED = Struct(f"<{len(MEASURES)}q")
_SIGNS = sum(unit << 63 for unit in (1 << (64 * place) for place in range(len(MEASURES))))


def measures(cell: int) -> tuple[int, ...]:
    """The sums of a cell in the order of MEASURES, each of which may be negative."""
    # With 2 ** 63 added to each no sum borrows from its neighbour; without their top bits they are as a
    # processor writes signed numbers.
    return _PACKED.unpack(((cell + _SIGNS) ^ _SIGNS).to_bytes(_PACKED.size, "little"))


def cells(visits: Iterable[Visit], client: Callable[[int], Client], origin: Callable[[int], Origin]) -> Cells:
    """What the visits of ONE visitor on one site add to each cell.

    `client` and `origin` look dictionary ids up.
    """
    sums, known = _sums(visits, client, origin)
    return {key: cell + (VISITORS + KNOWN if key in known else VISITORS) for key, cell in sums.items()}


def _sums(
    visits: Iterable[Visit], client: Callable[[int], Client], origin: Callable[[int], Origin]
) -> tuple[Cells, set[CellKey]]:
    """What visits add to each cell beside their visitor; the cells in which the visitor is known."""
    sums: Cells = {}
    known: set[CellKey] = set()
    for visit in visits:
        values = _visit_values(visit, client, origin)
        start_day = min(visit.days)
        found: Cells = {}
        for number, day in visit.days.items():
            added = _use(day)
            if number == start_day:
                added += _start(visit)
            for dimension, value in values:
                found[number, dimension, value] = added
            for page_id, use in day.pages.items():
                found[number, Dimension.PAGE, page_id] = _page_use(use)
            for kind, n in day.types.items():
                found[number, Dimension.EVENT, kind] = VISITS + n * EVENTS
        add(sums, found)
        if visit.known:
            known |= found.keys()
    return sums, known


def add(total: Cells, cells: Cells) -> None:
    """Add `cells` to `total`, in place."""
    for key, cell in cells.items():
        total[key] = total.get(key, 0) + cell


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
        self._by_client: dict[tuple[int, int], int] = {}
        self._by_origin: dict[tuple[int, int | None], int] = {}

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
        sums_before, known_before = _sums(before, self._client, self._origin)
        sums_after, known_after = _sums(after, self._client, self._origin)
        wanted = sums_before.keys() | sums_after.keys()
        counted, known = self._counted(others, wanted)
        for key in wanted:
            cell = sums_after.get(key, 0) - sums_before.get(key, 0)
            if key not in counted:
                cell += ((key in sums_after) - (key in sums_before)) * VISITORS
            if key not in known:
                cell += ((key in known_after) - (key in known_before)) * KNOWN
            self._add(key, cell)

    def _counted(
        self, visits: list[Visit], wanted: AbstractSet[CellKey]
    ) -> tuple[set[CellKey], set[CellKey]]:
        """Which of the cells `wanted` count the visitor of `visits` in any case, and which as known.

        Of somebody with many visits a few say it of most cells.
        """
        counted: set[CellKey] = set()
        known: set[CellKey] = set()
        to_know = len(wanted) if any(visit.known for visit in visits) else 0
        for visit in visits:
            if len(counted) == len(wanted) and len(known) == to_know:
                break
            found = _sums([visit], self._client, self._origin)[0].keys() & wanted
            counted |= found
            if visit.known:
                known |= found
        return counted, known

    def cells(self) -> Cells:
        """What to add to each cell."""
        for (number, client_id), cell in self._by_client.items():
            for dimension, value in _client_values(self._client(client_id)):
                self._add((number, dimension, value), cell)
        for (number, origin_id), cell in self._by_origin.items():
            found = DirectOrigin if origin_id is None else self._origin(origin_id)
            for dimension, value in _origin_values(found):
                self._add((number, dimension, value), cell)
        self._by_client.clear()
        self._by_origin.clear()
        return self._cells

    def _one_more(self, visit: Visit) -> None:
        ((number, day),) = visit.days.items()
        visitor = VISITORS + KNOWN if visit.known else VISITORS
        whole = visitor + _start(visit) + _use(day)
        self._spread(number, visit, whole)
        if visit.entry_page is not None and visit.exit_page is not None:
            self._add((number, Dimension.ENTRY_PAGE, visit.entry_page), whole)
            self._add((number, Dimension.EXIT_PAGE, visit.exit_page), whole)
        for page_id, use in day.pages.items():
            self._add((number, Dimension.PAGE, page_id), visitor + _page_use(use))
        for kind, n in day.types.items():
            self._add((number, Dimension.EVENT, kind), visitor + VISITS + n * EVENTS)

    def _more(self, old: Visit, new: Visit) -> None:
        ((number, was),) = old.days.items()
        now = new.days[number]
        visitor = VISITORS + KNOWN if new.known else VISITORS
        whole_before = _start(old) + _use(was)
        whole_after = _start(new) + _use(now)
        growth = whole_after - whole_before
        self._spread(number, new, growth)
        for dimension, page_before, page_after in (
            (Dimension.ENTRY_PAGE, old.entry_page, new.entry_page),
            (Dimension.EXIT_PAGE, old.exit_page, new.exit_page),
        ):
            if page_before == page_after:
                if page_after is not None:
                    self._add((number, dimension, page_after), growth)
                continue
            if page_before is not None:
                self._add((number, dimension, page_before), -visitor - whole_before)
            if page_after is not None:
                self._add((number, dimension, page_after), visitor + whole_after)
        for page_id, use in now.pages.items():
            used = was.pages.get(page_id)
            if used is None:
                self._add((number, Dimension.PAGE, page_id), visitor + _page_use(use))
            elif used != use:
                self._add((number, Dimension.PAGE, page_id), _page_use(use) - _page_use(used))
        for kind, n in now.types.items():
            had = was.types.get(kind)
            if had is None:
                self._add((number, Dimension.EVENT, kind), visitor + VISITS + n * EVENTS)
            elif had != n:
                self._add((number, Dimension.EVENT, kind), (n - had) * EVENTS)

    def _spread(self, number: int, visit: Visit, cell: int) -> None:
        self._add((number, Dimension.TOTAL, ""), cell)
        client, origin = (number, visit.client_id), (number, visit.origin_id)
        self._by_client[client] = self._by_client.get(client, 0) + cell
        self._by_origin[origin] = self._by_origin.get(origin, 0) + cell

    def _add(self, key: CellKey, cell: int) -> None:
        self._cells[key] = self._cells.get(key, 0) + cell


def _start(visit: Visit) -> int:
    """What a visit adds to the cells of the day on which it starts, beside its visitor."""
    begun = VISITS + (visit.end - visit.start) * DURATION
    return begun + BOUNCES if is_bounce(visit) else begun


def _use(day: VisitDay) -> int:
    """What was done on one day of a visit."""
    return day.pageviews * PAGEVIEWS + day.events * EVENTS + day.engaged_ms * ENGAGED


def _page_use(use: PageUse) -> int:
    """What was done on one page on one day of a visit."""
    done = VISITS + use.views * PAGEVIEWS + use.events * EVENTS
    if use.engaged_ms:
        done += use.engaged_ms * ENGAGED
    if use.scroll >= 0:
        done += use.scroll * SCROLL_SUM + SCROLL_VISITS
    return done


def _goes_on(old: Visit, new: Visit) -> bool:
    """Whether the visit only grew: same day, same client, same origin, same kind of visitor."""
    return (
        len(old.days) == 1
        and old.days.keys() == new.days.keys()
        and old.client_id == new.client_id
        and old.origin_id == new.origin_id
        and old.known == new.known
    )


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


@lru_cache(maxsize=4_096)
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


@lru_cache(maxsize=4_096)
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
