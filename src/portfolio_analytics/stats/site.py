"""What the planner must know of a site before it plans."""

from __future__ import annotations

import datetime
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """Events of a type, or page views of pages that match a pattern (* is any run of characters)."""

    name: str
    event_type: str | None
    page_pattern: str | None


@dataclass(frozen=True, slots=True)
class Site:
    """One site. `first_day` is the first local day that has data."""

    site_id: int
    name: str
    zone: str
    goals: tuple[Goal, ...] = ()
    first_day: datetime.date | None = None


@dataclass(frozen=True, slots=True)
class Edges:
    """What the stored data say about a period.

    `early` is the start of the first visit that is active in it, `late` the end of the last one, and
    `oldest_day` a UTC day before which none of them began. `known`: some of its visitors have a persistent
    id. `months`: the first days of the months in it that are kept as sums. `many`: adding all groups of the
    query up would take a while.
    """

    early: datetime.datetime
    late: datetime.datetime
    oldest_day: datetime.date
    known: bool = False
    months: tuple[datetime.date, ...] = ()
    many: bool = False
