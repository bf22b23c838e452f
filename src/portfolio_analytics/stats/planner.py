"""From a query to one statement: over rollups where they are exact, else over rows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from portfolio_analytics.stats import leaders, rollups, rows
from portfolio_analytics.stats.cut import Cut, main_cut, parts, whole_cut
from portfolio_analytics.stats.metric import METRICS, PERCENTAGE, SHARES
from portfolio_analytics.stats.period import DAY, Buckets, Period, cut, time_unit
from portfolio_analytics.stats.predicate import Params, every
from portfolio_analytics.stats.query import Order, Query, has_done, is_time
from portfolio_analytics.stats.site import Edges, Site
from portfolio_analytics.stats.sums import VISITORS

Group = tuple[str, ...]

APART = 8 * DAY
"""How far the day of an event's identity may lie from its time: both lie within 7 days before the receipt."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement, each row of which holds the query's dimensions, its metrics, and how many rows there are.

    A time dimension's value is the number of its bucket. `leads`: only the first groups are looked for, a
    last column holds what they have to exceed (leaders.py), and the number of rows is not that of all groups.
    """

    statement: sql.Composed
    params: Params
    buckets: Buckets | None
    leads: bool = False


def plan(
    query: Query,
    site: Site,
    period: Period,
    edges: Edges,
    only: Sequence[Group] | None = None,
    *,
    leading: bool = False,
) -> Plan:
    """How to answer `query` for `period`. `only`: these groups are wanted, without limit.

    `leading`: look for the first groups alone, if there is a way to.
    """
    params = params_of(site, period, edges)
    buckets = buckets_of(query, period)
    columns = [*_dimension_columns(query), *map(_metric, query.metrics), sql.SQL("count(*) OVER ()")]
    main = main_cut(query, period, buckets)
    head: sql.Composable = sql.SQL("")
    among = _values(query, only, params)
    lead = leads_in(query, site, period) if leading and only is None and not edges.known else None
    if lead is not None:
        found = leaders.lists(query, lead, rollups.spans(main, edges.months), params)
        head = sql.SQL("WITH heads AS MATERIALIZED ({}) ").format(found)
        columns.append(leaders.BOUND)
        among = leaders.CANDIDATES
    wholes = [
        _whole(query, share, site, period, buckets, params, edges, among)
        for share in SHARES
        if share in query.metrics
    ]
    statement = sql.SQL("{}SELECT {} FROM {} m{} WHERE {} ORDER BY {}{}").format(
        head,
        sql.SQL(", ").join(columns),
        sums_of(main, site, params, edges, among),
        sql.SQL("").join(wholes),
        _among(query, only, params),
        _order(query),
        _page(query, params) if only is None else sql.SQL(""),
    )
    return Plan(statement, params, buckets, lead is not None)


def params_of(site: Site, period: Period, edges: Edges) -> Params:
    """What every statement about a period names."""
    params = Params(site_id=site.site_id, site=site.name, start=period.start, end=period.end)
    params.update(early=edges.early, late=edges.late, oldest_day=edges.oldest_day, last_day=period.end.date())
    params.update(first_event_day=edges.early.date() - APART, last_event_day=edges.late.date() + APART)
    return params


def leads_in(query: Query, site: Site, period: Period) -> int | None:
    """The rollup that the first groups of `query` can be found in; None: all of them are to be added up."""
    dimension = leaders.leading_dimension(query)
    return None if dimension is None or needs_rows(query, site, period) else dimension


def buckets_of(query: Query, period: Period) -> Buckets | None:
    """The buckets of the query's time dimension."""
    if query.time is None:
        return None
    unit = time_unit(period) if query.time == "time" else query.time.removeprefix("time:")
    return cut(period, unit, f"dimensions[{query.dimensions.index(query.time)}]")


def cuts(query: Query, site: Site, period: Period) -> list[Cut]:
    """The cuts that the statement for `query` reads."""
    buckets = buckets_of(query, period)
    shares = [whole_cut(query, share, period, buckets) for share in SHARES if share in query.metrics]
    return [part for each in (main_cut(query, period, buckets), *shares) for part in parts(each)]


def needs_rows(query: Query, site: Site, period: Period) -> bool:
    """Whether rollups do not suffice (but for visitors with a persistent id)."""
    return any(rollups.source(each, site) is None for each in cuts(query, site, period))


def needs_ends(query: Query, site: Site, period: Period) -> bool:
    """Whether the statement reads events before or after the period: it looks into whole visits."""
    return has_done(query.filters) or any(
        each.by_event and each.sums & rows.started_sums(each) and rollups.source(each, site) is None
        for each in cuts(query, site, period)
    )


def needs_days(query: Query, site: Site, period: Period) -> bool:
    """Whether the statement adds rolled-up days."""
    return any(
        each.adds_days and rollups.source(each, site) is not None for each in cuts(query, site, period)
    )


def sums_of(
    cut: Cut, site: Site, params: Params, edges: Edges, among: sql.Composable | None
) -> sql.Composable:
    """The cut's sums by bucket and groups, one row each; a row whose sums are all 0 is left out.

    `among`: an array of the values of its one group to which rollups can be narrowed down.
    """
    columns = sorted(cut.sums)
    selects: list[sql.Composable] = []
    for part in parts(cut):
        found = rollups.source(part, site)
        if found is None:
            selects.append(rows.select(part, site, params, columns))
            continue
        narrow = among if part.groups and found.goals is None else None
        selects.append(rollups.select(part, site, found, params, columns, edges, narrow))
        if rollups.counts_known_apart(part, edges):
            known = Cut(frozenset({VISITORS}), part.groups, part.filters, part.period, part.buckets)
            selects.append(rows.select(known, site, params, columns, known_only=True))
    keys = ["b", *(f"g{index}" for index in range(len(cut.groups)))]
    names = [sql.Identifier(name) for name in keys]
    values = [sql.SQL("coalesce(sum(u.{}), 0)").format(sql.Identifier(name)) for name in columns]
    named = [
        sql.SQL("{} AS {}").format(value, sql.Identifier(name))
        for value, name in zip(values, columns, strict=True)
    ]
    head: list[sql.Composable] = [sql.SQL("0 AS b")]
    tail: sql.Composable = sql.SQL("")
    if cut.groups or cut.buckets is not None:
        head = [sql.SQL("u.{}").format(name) for name in names]
        tail = sql.SQL(" GROUP BY {} HAVING {}").format(
            sql.SQL(", ").join(head),
            sql.SQL(" OR ").join(sql.SQL("{} <> 0").format(value) for value in values),
        )
    return sql.SQL("(SELECT {} FROM ({}) u{})").format(
        sql.SQL(", ").join([*head, *named]), sql.SQL(" UNION ALL ").join(selects), tail
    )


def _whole(
    query: Query,
    share: str,
    site: Site,
    period: Period,
    buckets: Buckets | None,
    params: Params,
    edges: Edges,
    among: sql.Composable | None,
) -> sql.Composable:
    """The join of what `share` is a share of, under the share's name."""
    cut = whole_cut(query, share, period, buckets)
    alias = sql.Identifier(share)
    same = [] if share == PERCENTAGE else [sql.SQL("{}.b = m.b").format(alias)]
    same += [
        sql.SQL("{}.{} = m.{}").format(
            alias, sql.Identifier(f"g{index}"), sql.Identifier(f"g{query.groups.index(group)}")
        )
        for index, group in enumerate(cut.groups)
    ]
    return sql.SQL(" LEFT JOIN {} {} ON {}").format(
        sums_of(cut, site, params, edges, among), alias, every(same)
    )


def _dimension_columns(query: Query) -> list[sql.Composable]:
    return [_key(query, name) for name in query.dimensions]


def _key(query: Query, name: str) -> sql.Composable:
    return sql.Identifier("m", "b" if is_time(name) else f"g{query.groups.index(name)}")


def _metric(name: str) -> sql.Composable:
    metric = METRICS[name]
    formula = sql.SQL(metric.formula)
    if metric.decimals is None:
        return sql.SQL("({})::bigint").format(formula)
    kind = sql.SQL("float8" if metric.decimals else "bigint")
    return sql.SQL("round(({})::numeric, {})::{}").format(formula, sql.Literal(metric.decimals), kind)


def _among(query: Query, only: Sequence[Group] | None, params: Params) -> sql.Composable:
    if only is None or not query.groups:
        return sql.SQL("true")
    columns = [params.add([group[index] for group in only]) for index in range(len(query.groups))]
    return sql.SQL("({}) IN (SELECT * FROM unnest({}))").format(
        sql.SQL(", ").join(sql.Identifier("m", f"g{index}") for index in range(len(query.groups))),
        sql.SQL(", ").join(sql.SQL("{}::text[]").format(column) for column in columns),
    )


def _values(query: Query, only: Sequence[Group] | None, params: Params) -> sql.Composable | None:
    """The values of the one group of `only`."""
    if only is None or len(query.groups) != 1:
        return None
    return sql.SQL("{}::text[]").format(params.add([value for (value,) in only]))


def _order(query: Query) -> sql.Composable:
    """What was asked for; else time, else the first metric. Ties go by the dimensions."""
    orders = list(query.order_by) or [
        Order(query.time, descending=False) if query.time else Order(query.metrics[0], descending=True)
    ]
    orders += [Order(name, descending=False) for name in query.dimensions]
    return sql.SQL(", ").join(
        sql.SQL("{} {} NULLS LAST").format(
            _sort_key(query, order.key), sql.SQL("DESC" if order.descending else "ASC")
        )
        for order in orders
    )


def _sort_key(query: Query, key: str) -> sql.Composable:
    if key in query.metrics:
        return sql.SQL(str(len(query.dimensions) + query.metrics.index(key) + 1))
    column = _key(query, key)
    return column if is_time(key) else sql.SQL('{} COLLATE "C"').format(column)


def _page(query: Query, params: Params) -> sql.Composable:
    return sql.SQL(" LIMIT {} OFFSET {}").format(params.add(query.limit), params.add(query.offset))
