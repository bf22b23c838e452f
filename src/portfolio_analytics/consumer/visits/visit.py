"""Visits: runs of one actor's events without a pause of more than 30 minutes.

Everything here is pure and independent of the order in which events arrive: a visit is a sum that can be
merged (`merge` is commutative and associative), and two visits are one as soon as the pause between them is
short enough. Times are Unix milliseconds, days are days since 1970-01-01 in the site's time zone.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

PAUSE_MS = 30 * 60 * 1000
PAGE_VIEW = "page_view"
TIME_SPENT = "time_spent"


class PageUse(msgspec.Struct, array_like=True, gc=False):
    """One page within one visit and day."""

    views: int = 0
    events: int = 0
    engaged_ms: int = 0
    scroll: int = -1  # deepest, percent; -1 unknown


class VisitDay(msgspec.Struct, array_like=True):
    """One local day of a visit."""

    pageviews: int = 0
    events: int = 0
    interactions: int = 0
    engaged_ms: int = 0
    pages: dict[int, PageUse] = {}
    types: dict[str, int] = {}


class Visit(msgspec.Struct):
    """One visit. `days` has an entry for every local day from its start to its end."""

    site_id: int
    actor: int
    visitor: int
    start: int
    end: int
    client_id: int
    origin_id: int | None
    known: bool
    entry_time: int | None
    entry_page: int | None
    exit_time: int | None
    exit_page: int | None
    pageviews: int
    events: int
    interactions: int
    engaged_ms: int
    days: dict[int, VisitDay]

    @property
    def key(self) -> tuple[int, int, int]:
        """What names a visit: site, actor, start."""
        return (self.site_id, self.actor, self.start)


VisitEvent = tuple[int, int, int, bool, int, int, int, bool, int, int, str, int, int]
"""What a visit needs to know of an event: site, actor, time, whether it has no origin, origin (or 0), client,
visitor, whether the visitor is known, page, local day, type, duration (ms), scroll depth (-1: unknown).

In this order they are sorted: ties between equal times are broken by what the visit takes from its first
event, never by arrival. A plain tuple, since a batch makes and sorts thousands.
"""


encode_days = msgspec.msgpack.Encoder().encode
decode_days = msgspec.msgpack.Decoder(dict[int, VisitDay]).decode


def visits_of(events: Iterable[VisitEvent]) -> list[Visit]:
    """The visits that these events make, whatever their order; sorted by (site, actor, start)."""
    visits: list[Visit] = []
    visit: Visit | None = None
    for event in sorted(events):
        site_id, actor, time, directly, origin_id, client_id, visitor, known = event[:8]
        if (
            visit is not None
            and time - visit.end <= PAUSE_MS
            and actor == visit.actor
            and site_id == visit.site_id
        ):
            visit.end = time
        else:
            visit = Visit(
                site_id,
                actor,
                visitor,
                time,
                time,
                client_id,
                None if directly else origin_id,
                known,
                None,
                None,
                None,
                None,
                0,
                0,
                0,
                0,
                {},
            )
            visits.append(visit)
        _count(visit, time, *event[8:])
    return visits


def merge_visits(visits: Iterable[Visit]) -> list[Visit]:
    """Visits, with those merged between which there is no pause of more than 30 minutes.

    The arguments are left as they are; a visit that merged with none is returned itself.
    """
    merged: list[Visit] = []
    for visit in sorted(visits, key=_visit_order):
        last = merged[-1] if merged else None
        if (
            last is not None
            and last.actor == visit.actor
            and last.site_id == visit.site_id
            and visit.start - last.end <= PAUSE_MS
        ):
            merged[-1] = merge(last, visit)
        else:
            merged.append(visit)
    return merged


def merge(a: Visit, b: Visit) -> Visit:
    """The visit that holds the events of both."""
    first = min(a, b, key=_first_order) if a.start == b.start else a if a.start < b.start else b
    # Both have page views, or one has none.
    entry, leave = (a, a) if b.entry_time is None else (b, b)
    if a.entry_time is not None and b.entry_time is not None:
        entry = min(a, b, key=_entry_order)
        leave = max(a, b, key=_exit_order)
    return Visit(
        a.site_id,
        a.actor,
        first.visitor,
        first.start,
        max(a.end, b.end),
        first.client_id,
        first.origin_id,
        first.known,
        entry.entry_time,
        entry.entry_page,
        leave.exit_time,
        leave.exit_page,
        a.pageviews + b.pageviews,
        a.events + b.events,
        a.interactions + b.interactions,
        a.engaged_ms + b.engaged_ms,
        _merge_days(a.days, b.days),
    )


def is_bounce(visit: Visit) -> bool:
    """At most one page view, and nothing done."""
    return visit.pageviews <= 1 and visit.interactions == 0


def _count(
    visit: Visit, time: int, page_id: int, local_day: int, kind: str, duration_ms: int, scroll: int
) -> None:
    day = visit.days.get(local_day)
    if day is None:
        day = visit.days[local_day] = VisitDay(0, 0, 0, 0, {}, {})
    page = day.pages.get(page_id)
    if page is None:
        page = day.pages[page_id] = PageUse()
    if kind == PAGE_VIEW:
        day.pageviews += 1
        visit.pageviews += 1
        page.views += 1
        if visit.entry_time is None or visit.entry_page is None or visit.exit_page is None:
            visit.entry_time = visit.exit_time = time
            visit.entry_page = visit.exit_page = page_id
        else:
            # Events come in the order of time; of equal times the smallest page enters, the largest leaves.
            if time == visit.entry_time and page_id < visit.entry_page:
                visit.entry_page = page_id
            if time != visit.exit_time or page_id > visit.exit_page:
                visit.exit_page = page_id
            visit.exit_time = time
    elif kind == TIME_SPENT:
        day.engaged_ms += duration_ms
        visit.engaged_ms += duration_ms
        page.engaged_ms += duration_ms
    else:
        day.interactions += 1
        visit.interactions += 1
    if scroll > page.scroll:
        page.scroll = scroll
    day.events += 1
    visit.events += 1
    page.events += 1
    day.types[kind] = day.types.get(kind, 0) + 1


def _merge_days(a: dict[int, VisitDay], b: dict[int, VisitDay]) -> dict[int, VisitDay]:
    days = dict(a)
    for number, day in b.items():
        other = days.get(number)
        days[number] = day if other is None else _merge_day(other, day)
    return days


def _merge_day(a: VisitDay, b: VisitDay) -> VisitDay:
    pages = dict(a.pages)
    for page_id, use in b.pages.items():
        other = pages.get(page_id)
        pages[page_id] = (
            use
            if other is None
            else PageUse(
                other.views + use.views,
                other.events + use.events,
                other.engaged_ms + use.engaged_ms,
                max(other.scroll, use.scroll),
            )
        )
    types = dict(a.types)
    for kind, n in b.types.items():
        types[kind] = types.get(kind, 0) + n
    return VisitDay(
        a.pageviews + b.pageviews,
        a.events + b.events,
        a.interactions + b.interactions,
        a.engaged_ms + b.engaged_ms,
        pages,
        types,
    )


def _visit_order(visit: Visit) -> tuple[int, int, int]:
    return (visit.site_id, visit.actor, visit.start)


def _entry_order(visit: Visit) -> tuple[int | None, int | None]:
    return visit.entry_time, visit.entry_page


def _exit_order(visit: Visit) -> tuple[int | None, int | None]:
    return visit.exit_time, visit.exit_page


def _first_order(visit: Visit) -> tuple[int, bool, int, int, int, bool]:
    return (
        visit.start,
        visit.origin_id is None,
        visit.origin_id or 0,
        visit.client_id,
        visit.visitor,
        visit.known,
    )
