"""A cut as SQL over rollups, where that is exact. Pure.

It is exact for whole local days, by day, week, month or in all, of one dimension at most, when the filters
are on the values of that dimension (or one `is` a single value), and every sum that is wanted is rolled up.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from portfolio_analytics.stats.cut import CALENDAR_UNITS, Cut
from portfolio_analytics.stats.dimension import DIMENSIONS, EVENT_ROLLUPS, GOAL, TOTAL_ROLLUPS, level
from portfolio_analytics.stats.leaders import Span
from portfolio_analytics.stats.period import DAY
from portfolio_analytics.stats.predicate import Params, every, goals_named, value_condition
from portfolio_analytics.stats.query import Filter, Leaf, has_done, leaves
from portfolio_analytics.stats.site import Edges, Goal, Site
from portfolio_analytics.stats.sums import VISITORS, VISITS


@dataclass(frozen=True, slots=True)
class Source:
    """Which rollup holds each sum, and what is read of it.

    `value`: the one value that is read. `goals`: values are types of events, to be named as these goals.
    """

    numbers: Mapping[str, int]
    value: str | None = None
    goals: tuple[Goal, ...] | None = None


def source(cut: Cut, site: Site) -> Source | None:
    """Where the cut can be read exactly; None: only from rows."""
    if not cut.period.whole or (cut.buckets is not None and cut.buckets.unit not in CALENDAR_UNITS):
        return None
    found = _grouped(cut, site) if cut.groups else _single(cut, site)
    return found if found and cut.sums <= found.numbers.keys() else None


def _grouped(cut: Cut, site: Site) -> Source | None:
    if len(cut.groups) > 1 or not all(_is_of(child, cut.groups[0]) for child in cut.filters.children):
        return None
    name = cut.groups[0]
    if name == GOAL:
        by_type = not cut.filters.children and all(goal.page_pattern is None for goal in site.goals)
        return Source(EVENT_ROLLUPS, goals=site.goals) if by_type else None
    return Source(DIMENSIONS[name].rollups) if name in DIMENSIONS else None


def _single(cut: Cut, site: Site) -> Source | None:
    match cut.filters.children:
        case ():
            return Source(TOTAL_ROLLUPS)
        case (Leaf("is", name, (value,), True) as leaf,) if value:
            if name == GOAL:
                value = goals_named(leaf, site.goals)[0].event_type or ""
            return Source(_filtered(name), value=value) if value else None
    return None


def _filtered(name: str) -> Mapping[str, int]:
    """What is rolled up of one value of a dimension.

    Rollups of events count visits by the day of the event; a filter selects visits by the day they start on.
    """
    rolled = EVENT_ROLLUPS if name == GOAL else DIMENSIONS[name].rollups if name in DIMENSIONS else {}
    return {sum_: number for sum_, number in rolled.items() if level(name) == "visit" or sum_ != VISITS}


def _is_of(tree: Filter, name: str) -> bool:
    return not has_done(tree) and all(leaf.dimension == name for leaf in leaves(tree))


def select(
    cut: Cut,
    site: Site,
    found: Source,
    params: Params,
    columns: Sequence[str],
    edges: Edges,
    among: sql.Composable | None = None,
) -> sql.Composable:
    """The cut as a SELECT of b, g0 and the sums `columns`, 0 where the cut does not want one.

    Where `counts_known_apart`, visitors with a persistent id are left out, to be counted from rows.
    `among`: an array of the values that alone are read.
    """
    known_apart = counts_known_apart(cut, edges)
    keys: list[sql.Composable] = [sql.SQL("{} AS b").format(_bucket(cut, params))]
    tables = _tables(cut, found, params, edges, among)
    conditions: list[sql.Composable] = []
    if found.value is not None:
        conditions.append(sql.SQL("r.value = {}::text").format(params.add(found.value)))
    if found.goals is not None:
        names, types = [goal.name for goal in found.goals], [goal.event_type for goal in found.goals]
        keys.append(sql.SQL("goal.name AS g0"))
        tables = sql.SQL(
            "{} JOIN unnest({}::text[], {}::text[]) goal (name, type) ON goal.type = r.value"
        ).format(tables, params.add(names), params.add(types))
    elif cut.groups:
        value = sql.SQL("r.value")
        keys.append(sql.SQL("r.value AS g0"))
        conditions.append(sql.SQL("r.value <> ''"))
        conditions += [value_condition(child, value, params) for child in cut.filters.children]
    values = [
        _sum(name, found.numbers[name], known_apart) if name in cut.sums else sql.SQL("0") for name in columns
    ]
    named = [
        sql.SQL("{} AS {}").format(value, sql.Identifier(name))
        for value, name in zip(values, columns, strict=True)
    ]
    return sql.SQL("(SELECT {} FROM {} WHERE {} GROUP BY {})").format(
        sql.SQL(", ").join([*keys, *named]),
        tables,
        every([sql.SQL("({})").format(part) for part in conditions]),
        sql.SQL("1, 2" if cut.groups else "1"),
    )


def counts_known_apart(cut: Cut, edges: Edges) -> bool:
    """Whether a sum of each day's visitors would count some with a persistent id more than once."""
    return edges.known and cut.adds_days and VISITORS in cut.sums


def spans(cut: Cut, months: Sequence[datetime.date]) -> list[Span]:
    """The cells of the period: those of `months`, which are kept as sums, and the days between them."""
    found: list[Span] = []
    day, last = cut.period.first, cut.period.last
    by_month = cut.buckets is None or cut.buckets.unit == "month"
    for month in months if by_month else ():
        after = _next_month(month)
        if month < day or after - DAY > last:
            continue
        if day < month:
            found.append(Span("rollups", "day", day, month - DAY))
        if found and found[-1].table == "rollup_months":
            found[-1] = found[-1]._replace(high=month)
        else:
            found.append(Span("rollup_months", "month", month, month))
        day = after
    if day <= last:
        found.append(Span("rollups", "day", day, last))
    return found


def _next_month(day: datetime.date) -> datetime.date:
    return (day.replace(day=1) + 31 * DAY).replace(day=1)


def _tables(
    cut: Cut, found: Source, params: Params, edges: Edges, among: sql.Composable | None
) -> sql.Composable:
    """The cells of the period as `r`."""
    numbers = params.add(sorted({found.numbers[name] for name in cut.sums}))
    measures = sorted({_column(name) for name in cut.sums} | {"known_visitors"})
    selects = [
        sql.SQL(
            "SELECT c.dimension, c.value, c.{time} AS day, {measures} FROM {table} c"
            " WHERE c.site_id = %(site_id)s AND c.dimension = ANY ({numbers}::smallint[]) AND {when}"
        ).format(
            time=sql.Identifier(span.time),
            measures=sql.SQL(", ").join(sql.Identifier("c", name) for name in measures),
            table=sql.Identifier(span.table),
            numbers=numbers,
            when=_when(span, params, among),
        )
        for span in spans(cut, edges.months)
    ]
    return sql.SQL("({}) r").format(sql.SQL(" UNION ALL ").join(selects))


def _when(span: Span, params: Params, among: sql.Composable | None) -> sql.Composable:
    """The span's times. Where values are named they are points, so that each with each is a look-up in the
    primary key, of which a range would make a scan.
    """
    time = sql.Identifier("c", span.time)
    if among is None:
        return sql.SQL("{} BETWEEN {} AND {}").format(time, params.add(span.low), params.add(span.high))
    return sql.SQL("{} = ANY ({}::date[]) AND c.value = ANY ({})").format(time, params.add(span.times), among)


def _column(name: str) -> str:
    return "visits" if name == "starts" else name


def _sum(name: str, number: int, known_apart: bool) -> sql.Composable:
    value: sql.Composable = sql.SQL("r.{}").format(sql.Identifier(_column(name)))
    if name == VISITORS and known_apart:
        value = sql.SQL("r.visitors - r.known_visitors")
    return sql.SQL("coalesce(sum({}) FILTER (WHERE r.dimension = {}), 0)").format(value, sql.Literal(number))


def _bucket(cut: Cut, params: Params) -> sql.Composable:
    if cut.buckets is None:
        return sql.SQL("0")
    return sql.SQL("width_bucket(r.day, {}::date[])").format(params.add(list(cut.buckets.days[1:])))
