"""All sites side by side: the question, what is to be counted for it, and the answer. Pure.

The numbers are those of the query engine (engine.py), and so are the places where they are read: rollups, but
for what rollups cannot tell. That is the visitors by hour, which are read for the sites that are shown alone,
and over several days the visitors with a persistent id, for the sites that have any.
"""

from __future__ import annotations

import bisect
import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import msgspec

from portfolio_analytics.stats import rollups
from portfolio_analytics.stats.cut import Cut
from portfolio_analytics.stats.metric import change
from portfolio_analytics.stats.period import (
    DAY,
    Period,
    compared,
    cut,
    local_range,
    resolve,
    time_unit,
)
from portfolio_analytics.stats.query import (
    MAX_OFFSET,
    MAX_TEXT,
    All,
    Comparison,
    DateRange,
    Order,
    date_range,
    invalid,
    is_clean,
    whole_number,
)
from portfolio_analytics.stats.reader import Row
from portfolio_analytics.stats.site import Site
from portfolio_analytics.stats.sums import VISITORS, VISITS

DEFAULT_RANGE: Final = "30d"
DEFAULT_ORDER: Final = "-visitors"
DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1_000

METRICS: Final = ("visitors", "visits", "pageviews")
NAME: Final = "name"
OrderName = Literal[
    "visitors", "-visitors", "visits", "-visits", "pageviews", "-pageviews", "name", "-name"
]  # fmt: skip

PREVIOUS: Final = Comparison("previous_period")
SUMS: Final = frozenset({VISITORS, VISITS, "pageviews"})


class Counts(msgspec.Struct, frozen=True):
    """One number a metric."""

    visitors: int
    visits: int
    pageviews: int


class ComparedCounts(msgspec.Struct, frozen=True):
    """The period just before, as long as the one that was asked for. `change` is percent."""

    metrics: Counts
    change: Counts


class SiteResult(msgspec.Struct, frozen=True):
    """One site. `date_range` is in its own time.

    `series` holds its visitors by hour, day, week or month, as `time_unit` says; it is empty where that needs
    rows which are no longer kept.
    """

    site: str
    time_zone: str
    date_range: list[str]
    metrics: Counts
    comparison: ComparedCounts
    time_unit: str
    series: list[int]
    visitors_now: int


class PortfolioMeta(msgspec.Struct, frozen=True, omit_defaults=True):
    """`total_rows` is how many sites there are, before limit and offset. Warnings as those of a query."""

    total_rows: int
    metric_warnings: dict[str, dict[str, str]] = {}


class Portfolio(msgspec.Struct, frozen=True):
    """The sites that the caller may read, with their figures."""

    results: list[SiteResult]
    meta: PortfolioMeta


@dataclass(frozen=True, slots=True)
class Question:
    """Which sites, when, and in which order: by a metric or by name."""

    date_range: DateRange
    search: str
    order: Order
    limit: int
    offset: int


def question(given: Mapping[str, str]) -> Question:
    """The question in a request's parameters. Raises ApiError 400."""
    text = given.get("date_range", DEFAULT_RANGE)
    wanted = date_range(text.split(",") if "," in text else text, "date_range")
    if isinstance(wanted.first, datetime.datetime):
        raise invalid("This takes whole days: a word such as 30d, or two dates.", "date_range")
    order = given.get("order", DEFAULT_ORDER)
    if order not in get_args(OrderName):
        raise invalid(f"An order is one of {', '.join(get_args(OrderName))}.", "order")
    key = order.removeprefix("-")
    search = given.get("search", "").strip().lower()
    if not is_clean(search):
        raise invalid(f"This must be text of at most {MAX_TEXT} characters.", "search")
    return Question(
        wanted,
        search,
        Order(key, descending=order != key),
        whole_number(given.get("limit", str(DEFAULT_LIMIT)), "limit", 1, MAX_LIMIT),
        whole_number(given.get("offset", "0"), "offset", 0, MAX_OFFSET),
    )


@dataclass(frozen=True, slots=True)
class Part:
    """What is to be counted of one site; `cut` has neither groups nor filters."""

    site: Site
    cut: Cut

    @property
    def rolled_up(self) -> bool:
        """Whether rollups tell it (but for visitors with a persistent id)."""
        return rollups.source(self.cut, self.site) is not None

    def is_kept(self, oldest: datetime.datetime | None) -> bool:
        """Whether what tells it is still there, where rows from before `oldest` are dropped."""
        return oldest is None or self.rolled_up or self.cut.period.start >= oldest


class Periods:
    """The period of each site: the same days on different calendars."""

    def __init__(self, wanted: DateRange, now: datetime.datetime) -> None:
        self._wanted = wanted
        self._now = now
        # A thousand sites are in a handful of zones.
        self._known: dict[tuple[str, datetime.date | None], Period] = {}

    def of(self, site: Site) -> Period:
        """The period that was asked for."""
        key = (site.zone, site.first_day)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = resolve(self._wanted, site.zone, self._now, site.first_day)
        return found

    def before(self, site: Site) -> Period:
        """The one that it is compared with."""
        return compared(self.of(site), PREVIOUS, self._now)


def whole(site: Site, period: Period) -> Part:
    """The figures of a site over a period."""
    return Part(site, Cut(SUMS, (), All(()), period))


def series(site: Site, period: Period) -> Part:
    """The visitors of a site over a period, by the unit that suits it."""
    buckets = cut(period, time_unit(period), "date_range")
    return Part(site, Cut(frozenset({VISITORS}), (), All(()), period, buckets))


# Counting


@dataclass(slots=True)
class Sums:
    """What was counted. `known` are those of the visitors with a persistent id, added up over days."""

    visitors: int = 0
    known: int = 0
    visits: int = 0
    pageviews: int = 0


Found = dict[int, Sums]
"""The sums of a part by the number of the bucket; 0 without buckets."""


def span_params(
    parts: Sequence[tuple[int, Part]], months: Mapping[int, Sequence[datetime.date]]
) -> dict[str, Any]:
    """For stats_spans.sql: the spans of parts, by their keys. `months`: the closed ones by site."""
    found = [
        (key, part.site.site_id, span)
        for key, part in parts
        for span in rollups.spans(part.cut, months.get(part.site.site_id, ()))
    ]
    return {
        "keys": [key for key, _, _ in found],
        "site_ids": [site_id for _, site_id, _ in found],
        "monthly": [span.time == "month" for _, _, span in found],
        "lows": [span.low for _, _, span in found],
        "highs": [span.high for _, _, span in found],
        "by_day": any(part.cut.buckets is not None for _, part in parts),
    }


def add_spans(found: Sequence[Found], parts: Sequence[Part], rows: Iterable[Row]) -> None:
    """Add the rows of stats_spans.sql."""
    for key, day, visitors, known, visits, pageviews in rows:
        buckets = parts[key].cut.buckets
        number = 0 if buckets is None else bisect.bisect_right(buckets.days, day) - 1
        sums = found[key].setdefault(number, Sums())
        sums.visitors += visitors
        sums.known += known
        sums.visits += visits
        sums.pageviews += pageviews


def known_apart(found: Sequence[Found], parts: Sequence[tuple[int, Part]]) -> list[tuple[int, Part]]:
    """The parts in which a sum of days counts some visitors with a persistent id more than once."""
    return [
        (key, part)
        for key, part in parts
        if part.cut.adds_days and any(sums.known for sums in found[key].values())
    ]


def visitor_params(
    parts: Sequence[tuple[int, Part]], oldest: datetime.date | None, *, known_only: bool
) -> dict[str, Any]:
    """For stats_span_visitors.sql. `oldest`: the day on which the oldest visit of more than a day began."""
    periods = [part.cut.period for _, part in parts]
    start = min(period.start for period in periods)
    first_day = start.date()
    return {
        "keys": [key for key, _ in parts],
        "site_ids": [part.site.site_id for _, part in parts],
        "starts": [_literal(_starts(part.cut)) for _, part in parts],
        "untils": [period.end for period in periods],
        "start": start,
        "oldest_day": min(oldest or first_day, first_day - DAY),
        "last_day": max(period.end for period in periods).date(),
        "known_only": known_only,
    }


def add_visitors(found: Sequence[Found], parts: Sequence[tuple[int, Part]], rows: Iterable[Row]) -> None:
    """Put the rows of stats_span_visitors.sql, read for `parts`, in the place of known visitors by day."""
    for key, _ in parts:
        for sums in found[key].values():
            sums.visitors -= sums.known
    for key, bucket, visitors in rows:
        found[key].setdefault(bucket - 1, Sums()).visitors += visitors


def _starts(cut: Cut) -> Sequence[datetime.datetime]:
    return (cut.period.start,) if cut.buckets is None else cut.buckets.starts


def _literal(instants: Iterable[datetime.datetime]) -> str:
    """An array as PostgreSQL writes it: a list of lists of different lengths is no array of arrays."""
    return f"{{{','.join(instant.isoformat() for instant in instants)}}}"


# The answer


def total(found: Found) -> Sums:
    """The sums of a part without buckets."""
    return found.get(0, Sums())


def page(asked: Question, figures: Sequence[Sums], names: Sequence[str]) -> list[int]:
    """The numbers of the sites to show, in order; ties go by name."""
    numbers = sorted(range(len(names)), key=names.__getitem__)
    if asked.order.key == NAME:
        numbers = numbers[::-1] if asked.order.descending else numbers
    else:
        numbers.sort(key=lambda n: getattr(figures[n], asked.order.key), reverse=asked.order.descending)
    return numbers[asked.offset : asked.offset + asked.limit]


def result(part: Part, found: Found | None, now: Sums, before: Sums, visitors_now: int) -> SiteResult:
    """One site; `part` is its series, and `found` what was counted for it, if that is still known."""
    buckets = part.cut.buckets
    assert buckets is not None
    changes = (round(change(name, getattr(now, name), getattr(before, name)) or 0) for name in METRICS)
    return SiteResult(
        site=part.site.name,
        time_zone=part.site.zone,
        date_range=local_range(part.cut.period),
        metrics=_counts(now),
        comparison=ComparedCounts(_counts(before), Counts(*changes)),
        time_unit=buckets.unit,
        series=[]
        if found is None
        else [found.get(number, Sums()).visitors for number in range(len(buckets.labels))],
        visitors_now=visitors_now,
    )


def _counts(sums: Sums) -> Counts:
    return Counts(sums.visitors, sums.visits, sums.pageviews)
