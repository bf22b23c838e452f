"""Windows: the spans of time in which stored visits could matter to new ones. Pure; Unix milliseconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from portfolio_analytics.consumer.visits.visit import PAUSE_MS, Visit

DAY_MS = 86_400_000
# A local day of any zone lies within 15 hours before and 13 hours after the UTC day of its number.
ZONE_BEFORE_MS = 15 * 3_600_000
ZONE_AFTER_MS = 13 * 3_600_000

Key = tuple[int, int]  # site and actor or visitor


class Window(NamedTuple):
    """Unix milliseconds, both ends included."""

    low: int
    high: int


def windows_of(visits: list[Visit]) -> dict[Key, Window]:
    """For each visitor and actor the span in which other visits could matter: those close enough to be one
    with a visit, and for visitors all of the days on which they are counted once.
    """
    windows: dict[Key, Window] = {}
    for visit in visits:
        low, high = _day_span(min(visit.days), max(visit.days))
        span = Window(min(low, visit.start - PAUSE_MS), max(high, visit.end + PAUSE_MS))
        for key in {(visit.site_id, visit.visitor), (visit.site_id, visit.actor)}:
            found = windows.get(key)
            windows[key] = span if found is None else hull(found, span)
    return windows


def wider_windows(windows: Mapping[Key, Window], visits: Iterable[Visit]) -> dict[Key, Window]:
    """The windows that must grow so that every day of `visits` is looked at whole."""
    wider: dict[Key, Window] = {}
    for visit in visits:
        key = (visit.site_id, visit.visitor)
        window = wider.get(key) or windows.get(key)
        low, high = _day_span(min(visit.days), max(visit.days))
        if window is None:
            wider[key] = Window(low, high)
        elif low < window.low or high > window.high:
            wider[key] = hull(window, Window(low, high))
    return wider


def hull(a: Window, b: Window) -> Window:
    """The smallest window that holds both."""
    return Window(min(a.low, b.low), max(a.high, b.high))


def _day_span(first: int, last: int) -> tuple[int, int]:
    return first * DAY_MS - ZONE_BEFORE_MS, (last + 1) * DAY_MS + ZONE_AFTER_MS
