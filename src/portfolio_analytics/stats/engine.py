"""The query engine: answers a typed query about one site.

What the numbers mean
---------------------
A visit is active from its first to its last event; an event belongs to the visit of its actor in whose time
it lies. Days are the site's local days.

* visits, bounce_rate, visit_duration: visits that start in the period (or bucket). A filter on event:*
  dimensions selects the visits that hold a matching event, at whatever time. By an event:* dimension,
  bounce_rate and visit_duration are of the visits that hold an event of the group, but by event:page of those
  that entered by the page (filters on event:page are then read as filters on visit:entry_page); `visits` are
  those with a matching event of the group in the period, each counted once a local day.
* pageviews, events, time_on_page: events in the period that match, and whose visit matches.
* views_per_visit: pageviews by visits.
* time_on_page: engaged time by page views, in seconds.
* scroll_depth: the mean, over all (visit, local day, page), of the deepest scroll, in percent.
* visitors: distinct visitors with a matching event in the period. A cookieless visitor is another one each
  local day: over several days this is a sum of daily uniques. One with a persistent id is counted once. The
  visitor of an event is that of its visit.
* percentage: visitors of the group by all visitors that pass the filters. conversion_rate: by all that pass
  the filters other than those on event:goal and event:props:*, in the same bucket of time.
  group_conversion_rate: by those in the same group.
* has_done: the visit holds an event that matches, at whatever time.
* By event:props, an event is in the group of each property that it has.
* Funnels: see funnel.py.
* A group appears when any sum behind its metrics is not 0. A value '' is absent and makes no group.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import psycopg

from portfolio_analytics.stats import funnel_plan, leaders, planner
from portfolio_analytics.stats.funnel import Question
from portfolio_analytics.stats.metric import SHARES, change
from portfolio_analytics.stats.period import DAY, Buckets, Period, compared, resolve
from portfolio_analytics.stats.planner import Group, Plan
from portfolio_analytics.stats.query import Query, invalid, is_time, leaves
from portfolio_analytics.stats.reader import Cursor, Reader, Row, fetch
from portfolio_analytics.stats.site import Edges, Goal, Site
from portfolio_analytics.storage.funnels import Step, steps_of
from portfolio_analytics.storage.sql import statement

Number = int | float | None

COUNTS = frozenset({"visitors", "visits", "pageviews", "events"})
"""Metrics that are 0, not null, where nothing happened."""

Clock = Callable[[], datetime.datetime]

# How many events a visit's span of time joins is estimated far too low: without this, hundreds of thousands
# of rows are looked up one by one, and sorted by their texts to be grouped.
_FOR_ROWS = "SELECT set_config('enable_nestloop', 'off', true), set_config('enable_sort', 'off', true)"

SUM_OF_DAYS = {
    "code": "sum_of_daily_uniques",
    "warning": "Visitors without a persistent id cannot be told from day to day: each day counts them anew.",
}
FUNNEL_OF_DAYS = {
    **SUM_OF_DAYS,
    "warning": f"{SUM_OF_DAYS['warning']} Their way through a funnel ends with the day.",
}
ROWS_DROPPED = {
    "code": "rows_dropped",
    "warning": "This needs single events, and those at the beginning of the period are no longer kept.",
}


class Compared(msgspec.Struct):
    """The same group in the period compared with. `change`: metric.change."""

    dimensions: list[str]
    metrics: list[Number]
    change: list[Number]


class Result(msgspec.Struct, omit_defaults=True):
    """One group's values in the order of the query."""

    dimensions: list[str]
    metrics: list[Number]
    comparison: Compared | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query found. `total` is the number of groups before limit and offset."""

    site: Site
    period: Period
    results: list[Result]
    total: int
    buckets: Buckets | None
    compared: Period | None
    compared_buckets: Buckets | None
    from_rows: bool
    warnings: dict[str, dict[str, str]]


class StepReached(msgspec.Struct):
    """How many reached a step: visitors, or visits.

    `share` is their percentage of the first step's, `drop_off` what percentage of the step before was lost,
    `median_seconds` the time from there. Null where there is nothing to compare with.
    """

    step: Step
    reached: int
    share: Number
    drop_off: Number
    median_seconds: Number


@dataclass(frozen=True, slots=True)
class FunnelAnswer:
    """What a question about a funnel found. `total`: all visitors or visits; `entry_rate`: percent."""

    site: Site
    period: Period
    results: list[StepReached]
    total: int
    entry_rate: Number
    warnings: dict[str, dict[str, str]]


class Engine:
    """Answers queries over a Reader. `retention_days`: after how many days rows are dropped."""

    def __init__(self, reader: Reader, clock: Clock, retention_days: int | None = None) -> None:
        self._reader = reader
        self._clock = clock
        self._retention_days = retention_days

    async def site(self, name: str) -> Site | None:
        """A site by its name or a former one."""
        async with self._reader.reading() as cursor:
            rows = await fetch(cursor, statement("stats_site"), {"name": name})
        if not rows:
            return None
        site_id, current, zone, first_day, goals = rows[0]
        return Site(site_id, current, zone, tuple(Goal(*goal) for goal in goals), first_day)

    async def answer(self, query: Query, site: Site) -> Answer:
        """The answer, from one consistent view of the database. Raises ApiError."""
        now = self._clock()
        period = resolve(query.date_range, site.zone, now, site.first_day)
        other = compared(period, query.comparison, now) if query.comparison else None
        async with self._reader.reading() as cursor:
            await _check_patterns(cursor, query)
            plan, rows = await _run(cursor, query, site, period)
            total = await self._total(cursor, query, site, period, rows)
            before: list[Row] = []
            former: Plan | None = None
            if other is not None:
                only = [_groups(query, row) for row in rows]
                former, before = await _run(cursor, _unordered(query), site, other, only)
        results = _results(query, rows, plan.buckets)
        if former is not None:
            _compare(query, results, rows, plan.buckets, before, former.buckets)
        return Answer(
            site,
            period,
            results,
            total,
            plan.buckets,
            other,
            former.buckets if former else None,
            planner.needs_rows(query, site, period),
            self._warnings(query, site, period, now),
        )

    async def funnel(self, question: Question, site: Site) -> FunnelAnswer:
        """How many went from step to step, from one consistent view of the database. Raises ApiError."""
        now = self._clock()
        query = question.query
        period = resolve(query.date_range, site.zone, now, site.first_day)
        async with self._reader.reading() as cursor:
            await _check_patterns(cursor, query)
            steps = question.steps or await _kept_steps(cursor, question.name, site)
            edges = await _edges(cursor, query, site, period, of_rows=True, whole_visits=question.by_visit)
            await cursor.execute(_FOR_ROWS)
            rows = await fetch(cursor, *funnel_plan.plan(question, steps, site, period, edges))
        reached = [StepReached(step, *row[:4]) for step, row in zip(steps, rows, strict=True)]
        _, _, _, _, total, entry_rate = rows[0]
        warnings = {}
        if self._lacks_rows(site, period, now):
            warnings = {"reached": ROWS_DROPPED}
        elif period.days > 1 and not question.by_visit:
            warnings = {"reached": FUNNEL_OF_DAYS}
        return FunnelAnswer(site, period, reached, total, entry_rate, warnings)

    async def _total(self, cursor: Cursor, query: Query, site: Site, period: Period, rows: list[Row]) -> int:
        if rows or not query.offset:
            return int(rows[0][-1]) if rows else 0
        _, first = await _run(cursor, replace(query, limit=1, offset=0), site, period)
        return int(first[0][-1]) if first else 0

    def _warnings(
        self, query: Query, site: Site, period: Period, now: datetime.datetime
    ) -> dict[str, dict[str, str]]:
        warnings = {}
        if any(cut.adds_days for cut in planner.cuts(query, site, period)):
            warnings = {name: SUM_OF_DAYS for name in query.metrics if name == "visitors" or name in SHARES}
        if planner.needs_rows(query, site, period) and self._lacks_rows(site, period, now):
            warnings = dict.fromkeys(query.metrics, ROWS_DROPPED)
        return warnings

    def _lacks_rows(self, site: Site, period: Period, now: datetime.datetime) -> bool:
        """Whether rows of the period have been dropped."""
        if self._retention_days is None:
            return False
        oldest = now - datetime.timedelta(days=self._retention_days)
        return period.start < oldest and (site.first_day is None or site.first_day < oldest.date())


async def _check_patterns(cursor: Cursor, query: Query) -> None:
    """Raises ApiError 400 for what PostgreSQL does not take as a regular expression."""
    for leaf in leaves(query.filters):
        if leaf.operator == "matches":
            for index, pattern in enumerate(leaf.values):
                try:
                    await cursor.execute("SELECT '' ~ %s", [pattern])
                except psycopg.errors.InvalidRegularExpression as error:
                    message = "This is not a regular expression."
                    raise invalid(message, f"{leaf.path}[2][{index}]") from error


async def _kept_steps(cursor: Cursor, name: str | None, site: Site) -> tuple[Step, ...]:
    """The steps of the site's funnel called `name`. Raises ApiError 400."""
    rows = await fetch(cursor, statement("stats_funnel"), {"site_id": site.site_id, "name": name})
    if not rows:
        raise invalid(f"There is no funnel {name!r}.", "funnel")
    return tuple(steps_of(rows[0][0]))


async def _run(
    cursor: Cursor, query: Query, site: Site, period: Period, only: Sequence[Group] | None = None
) -> tuple[Plan, list[Row]]:
    edges = await _edges(cursor, query, site, period)
    if edges.many and only is None:
        plan = planner.plan(query, site, period, edges, leading=True)
        if plan.leads:
            rows = await fetch(cursor, plan.statement, plan.params)
            if leaders.are_proven(query, rows):
                return plan, [row[:-1] for row in rows]
    plan = planner.plan(query, site, period, edges, only)
    if edges.known or planner.needs_rows(query, site, period):
        await cursor.execute(_FOR_ROWS)
    return plan, await fetch(cursor, plan.statement, plan.params)


async def _edges(
    cursor: Cursor,
    query: Query,
    site: Site,
    period: Period,
    *,
    of_rows: bool = False,
    whole_visits: bool = False,
) -> Edges:
    """What the plan must know beforehand; asked for only where it matters.

    `of_rows`, `whole_visits`: rows, or events before and after the period, are read in any case.
    """
    first_day, last_day = period.start.date(), period.end.date()
    params: dict[str, Any] = {"site_id": site.site_id, "start": period.start, "end": period.end}
    params |= {"first": period.first, "last": period.last, "first_day": first_day, "last_day": last_day}
    known, months, many = False, [], False
    if planner.needs_days(query, site, period):
        params["dimension"] = planner.leads_in(query, site, period)
        known, months, many = (await fetch(cursor, statement("stats_days"), params))[0]
    # A visit of less than a day that is active in the period began on the day before it or later.
    params["oldest_day"] = first_day - DAY
    if known or of_rows or planner.needs_rows(query, site, period):
        (longest,) = (await fetch(cursor, statement("stats_oldest"), {"site_ids": [site.site_id]}))[0]
        params["oldest_day"] = min(longest or first_day, first_day - DAY)
    early, late = None, None
    if whole_visits or planner.needs_ends(query, site, period):
        early, late = (await fetch(cursor, statement("stats_ends"), params))[0]
    return Edges(early or period.start, late or period.end, params["oldest_day"], known, tuple(months), many)


def _unordered(query: Query) -> Query:
    return replace(query, order_by=(), offset=0)


def _groups(query: Query, row: Row) -> Group:
    """A row's groups in the order of query.groups."""
    return tuple(row[index] for index, name in enumerate(query.dimensions) if not is_time(name))


def _results(query: Query, rows: list[Row], buckets: Buckets | None) -> list[Result]:
    width = len(query.dimensions)
    return [Result(_labels(row[:width], query, buckets), list(row[width:-1])) for row in rows]


def _labels(values: Row, query: Query, buckets: Buckets | None) -> list[str]:
    return [
        buckets.labels[value] if buckets is not None and is_time(name) else value
        for name, value in zip(query.dimensions, values, strict=True)
    ]


def _compare(
    query: Query,
    results: list[Result],
    rows: list[Row],
    buckets: Buckets | None,
    before: list[Row],
    former: Buckets | None,
) -> None:
    """Put beside each result the same group of the former period; buckets of time go by their number."""
    width = len(query.dimensions)
    found = {row[:width]: list(row[width:-1]) for row in before}
    nothing: list[Number] = [0 if name in COUNTS else None for name in query.metrics]
    for result, row in zip(results, rows, strict=True):
        key = row[:width]
        values = found.get(key, nothing)
        inside = former is None or all(
            value < len(former.labels)
            for name, value in zip(query.dimensions, key, strict=True)
            if is_time(name)
        )
        if not inside:
            continue
        result.comparison = Compared(
            _labels(key, query, former),
            values,
            [
                change(name, new, old)
                for name, new, old in zip(query.metrics, result.metrics, values, strict=True)
            ],
        )
