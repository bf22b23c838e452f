"""A cut as SQL over the rows of visits and events. Pure.

A visit that is active in the period is read once (`v`). Where single events decide, they are joined to their
visit and summed by what tells them apart (`hit`). Where whole visits decide, events are read for those visits
alone that lie across a border of the period or of a bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from psycopg import sql

from portfolio_analytics.stats.cut import Cut
from portfolio_analytics.stats.dimension import DIMENSIONS, GOAL, PROP_NAMES, PROPS, Level, level
from portfolio_analytics.stats.period import Buckets, day_starts
from portfolio_analytics.stats.predicate import (
    ACTIVE,
    OF_VISIT,
    Params,
    condition,
    dimension_value,
    every,
    goal_condition,
    in_minutes,
    prop_value,
)
from portfolio_analytics.stats.query import is_by_event
from portfolio_analytics.stats.site import Site
from portfolio_analytics.stats.sums import EVENT_SUMS, SCROLL_SUMS, START_SUMS, VISITORS, VISITS

_VISIT: Final = sql.SQL(
    "v.actor, v.visitor, v.start_time, v.end_time, v.known, v.pageviews, v.events, v.engaged_ms, v.origin_id,"
    " v.client_id, v.entry_page, v.exit_page, (v.pageviews <= 1 AND v.interactions = 0) AS bounced"
)
IN_PERIOD: Final = every(
    [sql.SQL("e.time >= %(start)s AND e.time < %(end)s"), in_minutes("%(start)s", "%(end)s")]
)
SINCE_START: Final = every(
    [sql.SQL("e.time >= %(start)s AND e.time <= %(late)s"), in_minutes("%(start)s", "%(late)s")]
)
_COUNTS: Final = sql.SQL(
    "count(*) FILTER (WHERE e.type = 'page_view') AS pageviews, count(*) AS events,"
    " coalesce(sum(e.duration_ms) FILTER (WHERE e.type = 'time_spent'), 0) AS engaged_ms"
)

# Each sum over the rows x of its grain.
_SUMS: Final[dict[str, sql.SQL]] = {
    VISITORS: sql.SQL("count(*)"),
    VISITS: sql.SQL("count(*)"),
    "starts": sql.SQL("count(*)"),
    "bounces": sql.SQL("count(*) FILTER (WHERE x.bounced)"),
    "duration_ms": sql.SQL("sum((extract(epoch FROM x.end_time - x.start_time) * 1000)::bigint)"),
    "pageviews": sql.SQL("sum(x.pageviews)"),
    "events": sql.SQL("sum(x.events)"),
    "engaged_ms": sql.SQL("sum(x.engaged_ms)"),
    "scroll_sum": sql.SQL("sum(x.scroll)"),
    "scroll_visits": sql.SQL("count(x.scroll)"),
}
_VISIT_SUMS: Final = START_SUMS | {VISITS}
_HIT_SUMS: Final = EVENT_SUMS | SCROLL_SUMS


def select(
    cut: Cut, site: Site, params: Params, columns: Sequence[str], *, known_only: bool = False
) -> sql.Composable:
    """The cut as a SELECT of b (bucket number), g0, g1 ... (group values) and the sums `columns`.

    A row may come several times and is to be added up; a sum that the cut does not want is 0.
    `known_only`: of visitors with a persistent id alone.
    """
    writer = _Writer(cut, site, params, tuple(columns), known_only)
    return writer.by_event() if _reads_events(cut) else writer.by_visit()


def started_sums(cut: Cut) -> frozenset[str]:
    """The sums over visits that start in the period; by an event:* dimension, `visits` is not one."""
    return START_SUMS if cut.groups_events else _VISIT_SUMS


def _reads_events(cut: Cut) -> bool:
    """Whether a visit's first and last event do not tell when it was active.

    They do for units of at least 30 minutes: without a longer pause, a visit has events in all between.
    """
    if cut.by_event or cut.sums & SCROLL_SUMS:
        return True
    short = not cut.period.whole or (cut.buckets is not None and cut.buckets.unit == "minute")
    return short and bool(cut.sums & ({VISITORS} | EVENT_SUMS))


@dataclass(frozen=True, slots=True)
class _Group:
    """How one group's value is read, and the joins that it needs."""

    name: sql.Identifier
    value: sql.Composable
    join: sql.Composable

    @property
    def column(self) -> sql.Composable:
        return sql.SQL("{} AS {}").format(self.value, self.name)

    @property
    def present(self) -> sql.Composable:
        return sql.SQL("{} <> ''").format(self.value)


class _Writer:
    def __init__(
        self, cut: Cut, site: Site, params: Params, columns: tuple[str, ...], known_only: bool
    ) -> None:
        self.cut, self.site, self.params = cut, site, params
        self.columns, self.known_only = columns, known_only
        self.names = [sql.Identifier(f"g{index}") for index in range(len(cut.groups))]

    # The two ways

    def by_visit(self) -> sql.Composable:
        grains = []
        if self.cut.sums & _VISIT_SUMS:
            grains.append(self._starts(sql.SQL("v")))
        if VISITORS in self.cut.sums:
            grains.append(self._visitors(self._visit_units()))
        if self.cut.sums & EVENT_SUMS:
            grains += [self._grain(source, EVENT_SUMS) for source in self._event_counts()]
        return _union({"v": self._active_visits()}, grains)

    def by_event(self) -> sql.Composable:
        started = self.cut.sums & started_sums(self.cut)
        finds_visits = self.cut.by_event and bool(started)
        inside = sql.SQL("(SELECT * FROM hit WHERE inside)" if finds_visits else "hit")
        grains = []
        if started:
            grains.append(self._starts(self._visits_hit() if finds_visits else sql.SQL("v")))
        if self.cut.sums & _VISIT_SUMS - started:
            grains.append(self._visits_by_day(inside))
        if VISITORS in self.cut.sums:
            grains.append(self._visitors(inside))
        if self.cut.sums & _HIT_SUMS:
            grains.append(self._grain(inside, _HIT_SUMS))
        return _union({"v": self._active_visits(), "hit": self._hits(finds_visits)}, grains)

    # Grains: one SELECT of the union each

    def _grain(self, source: sql.Composable, sums: Iterable[str]) -> sql.Composable:
        """The cut's sums among `sums` over `source`, which has b and the groups."""
        wanted = self.cut.sums & frozenset(sums)
        values = [
            sql.SQL("{} AS {}").format(_SUMS[name] if name in wanted else sql.SQL("0"), sql.Identifier(name))
            for name in self.columns
        ]
        keys = [sql.SQL("x.b"), *self.names]
        return sql.SQL("SELECT {} FROM {} x GROUP BY {}").format(
            _list([*keys, *values]), source, _ordinals(len(keys))
        )

    def _starts(self, visits: sql.Composable) -> sql.Composable:
        source = sql.SQL("(SELECT v.*, {} AS b FROM {} v WHERE v.start_time >= %(start)s)").format(
            self._bucket("v.start_time"), visits
        )
        return self._grain(source, started_sums(self.cut))

    def _visits_by_day(self, source: sql.Composable) -> sql.Composable:
        """Visits with an event of the group: once each local day, as their visitors."""
        distinct = sql.SQL("(SELECT DISTINCT {}, y.day, y.actor, y.start_time FROM {} y)").format(
            _list([sql.SQL("y.b"), *self.names]), source
        )
        return self._grain(distinct, {VISITS})

    def _visitors(self, source: sql.Composable) -> sql.Composable:
        """Distinct visitors: cookieless ones of each day apart, known ones of the whole period together."""
        distinct = sql.SQL(
            "(SELECT DISTINCT {}, y.known, y.visitor, CASE WHEN y.known THEN -1 ELSE y.day END FROM {} y)"
        ).format(_list([sql.SQL("y.b"), *self.names]), source)
        return self._grain(distinct, {VISITORS})

    # Sources

    def _active_visits(self) -> sql.Composable:
        groups = self._groups("visit")
        conditions = [ACTIVE, *self._filters(by_event=False), *(group.present for group in groups)]
        if self.known_only:
            conditions.append(sql.SQL("v.known"))
        return sql.SQL("SELECT {} FROM visits v{} WHERE {}").format(
            _list([_VISIT, *(group.column for group in groups)]), _joins(groups), every(conditions)
        )

    def _hits(self, finds_visits: bool) -> sql.Composable:
        """Events with their visits, added up by all that a grain tells apart.

        To find visits, events after the period are read too (`inside` is false): a visit that starts in the
        period counts when any of its events matches.
        """
        groups = self._groups("event")
        scrolls = bool(self.cut.sums & SCROLL_SUMS)
        keys = [
            *(group.column for group in groups),
            *(sql.SQL("v.{}").format(group.name) for group in self._groups("visit")),
            sql.SQL("{} AS b").format(self._bucket("e.time")),
            sql.SQL("{} AS day").format(self._day("e.time")),
            *_columns("v.known", "v.visitor"),
        ]
        if scrolls or self.cut.sums & _VISIT_SUMS:
            keys += _columns("v.actor", "v.start_time")
        if scrolls:
            keys += _columns("e.page_id")
        if finds_visits:
            keys += _columns("v.end_time", "v.bounced", "e.time < %(end)s AS inside")
        conditions = [
            OF_VISIT,
            SINCE_START if finds_visits else IN_PERIOD,
            *self._filters(by_event=True),
            *(group.present for group in groups),
        ]
        return sql.SQL(
            "SELECT {}, {}, max(e.scroll_depth) AS scroll FROM v CROSS JOIN events e{} WHERE {} GROUP BY {}"
        ).format(_list(keys), _COUNTS, _joins(groups), every(conditions), _ordinals(len(keys)))

    def _visits_hit(self) -> sql.Composable:
        return sql.SQL("(SELECT DISTINCT {} FROM hit)").format(
            _list([*self.names, *_columns("actor", "start_time", "end_time", "bounced")])
        )

    def _visit_units(self) -> sql.Composable:
        """Visits by every day or bucket from their first to their last event, as `day` and `b`."""
        if self.cut.adds_days:
            unit, day, bucket = self._days(), sql.SQL("s.u"), self._bucket_of_day()
        elif self.cut.buckets is not None:
            unit, day, bucket = self._borders(self.cut.buckets), sql.SQL("0"), sql.SQL("s.u")
        else:
            return sql.SQL("(SELECT v.*, 0 AS day, 0 AS b FROM v)")
        # Most visits lie within one unit; a set-returning join for all would cost more than the rest.
        return sql.SQL(
            "(WITH span AS (SELECT {columns}, width_bucket(v.start_time, {unit}) AS u,"
            " width_bucket(v.end_time, {unit}) AS last FROM v)"
            " SELECT s.*, {day} AS day, {bucket} AS b FROM (SELECT {columns}, u FROM span WHERE u = last"
            " UNION ALL SELECT {columns}, n FROM span CROSS JOIN LATERAL generate_series(u, last) n"
            " WHERE u < last) s)"
        ).format(
            unit=unit, day=day, bucket=bucket, columns=_list([*self.names, *_columns("known", "visitor")])
        )

    def _event_counts(self) -> list[sql.Composable]:
        """Sums of events: of visits within one bucket as they stand, of the others from their events."""
        within: sql.Composable = sql.SQL("v.start_time >= %(start)s AND v.end_time < %(end)s")
        if self.cut.buckets is not None:
            within = sql.SQL("{} AND {} = {}").format(
                within, self._bucket("v.start_time"), self._bucket("v.end_time")
            )
            events = sql.SQL("events e WHERE {} AND {} AND").format(OF_VISIT, IN_PERIOD)
        else:
            # Only visits across an end of the period are left. They are few: each looks its events up.
            events = sql.SQL(
                "LATERAL (SELECT * FROM events e WHERE {} AND {} AND {} OFFSET 0) e WHERE"
            ).format(OF_VISIT, in_minutes("v.start_time", "v.end_time"), IN_PERIOD)
        whole = sql.SQL("(SELECT v.*, {} AS b FROM v WHERE {})").format(self._bucket("v.start_time"), within)
        keys = [
            *(sql.SQL("v.{}").format(name) for name in self.names),
            sql.SQL("{} AS b").format(self._bucket("e.time")),
        ]
        divided = sql.SQL("(SELECT {}, {} FROM v CROSS JOIN {} NOT ({}) GROUP BY {})").format(
            _list(keys), _COUNTS, events, within, _ordinals(len(keys))
        )
        return [whole, divided]

    # Pieces

    def _groups(self, wanted: Level) -> list[_Group]:
        return [
            self._group(index, name) for index, name in enumerate(self.cut.groups) if level(name) == wanted
        ]

    def _group(self, index: int, name: str) -> _Group:
        column = self.names[index]
        if name == GOAL:
            return self._goal_group(column, index)
        if name == PROP_NAMES:
            return _prop_names_group(column, index)
        if name.startswith(PROPS):
            return _Group(column, prop_value(name, self.params), sql.SQL(""))
        dimension = DIMENSIONS[name]
        if dimension.dictionary is None:
            return _Group(column, dimension_value(dimension, "e"), sql.SQL(""))
        alias = sql.Identifier(f"d{index}")
        join = sql.SQL(
            " LEFT JOIN {table} {alias} ON {alias}.site_id = %(site_id)s AND {alias}.{id} = {key}"
        ).format(
            table=sql.Identifier(dimension.dictionary.table),
            alias=alias,
            id=sql.Identifier(dimension.dictionary.identity),
            key=sql.Identifier("v" if dimension.level == "visit" else "e", dimension.key),
        )
        value = sql.SQL("coalesce({}, {})").format(
            dimension_value(dimension, f"d{index}"), sql.Literal(dimension.absent)
        )
        return _Group(column, value, join)

    def _goal_group(self, column: sql.Identifier, index: int) -> _Group:
        reached = [
            sql.SQL("CASE WHEN {} THEN {}::text ELSE '' END").format(
                goal_condition(goal, self.params), self.params.add(goal.name)
            )
            for goal in self.site.goals
        ]
        alias = sql.Identifier(f"goal{index}")
        join = sql.SQL(" CROSS JOIN LATERAL unnest(ARRAY[{}]::text[]) AS {} (name)").format(
            _list(reached), alias
        )
        return _Group(column, sql.SQL("{}.name").format(alias), join)

    def _filters(self, *, by_event: bool) -> list[sql.Composable]:
        return [
            sql.SQL("({})").format(condition(child, self.site, self.params))
            for child in self.cut.filters.children
            if is_by_event(child) == by_event
        ]

    def _bucket(self, instant: LiteralString) -> sql.Composable:
        if self.cut.buckets is None:
            return sql.SQL("0")
        return sql.SQL("width_bucket({}, {})").format(sql.SQL(instant), self._borders(self.cut.buckets))

    def _day(self, instant: LiteralString) -> sql.Composable:
        """The number of the local day, where days are to be told apart."""
        if not self.cut.adds_days:
            return sql.SQL("0")
        return sql.SQL("width_bucket({}, {})").format(sql.SQL(instant), self._days())

    def _borders(self, buckets: Buckets) -> sql.Composable:
        return self._array("borders", list(buckets.starts[1:]), "timestamptz[]")

    def _days(self) -> sql.Composable:
        return self._array("days", list(day_starts(self.cut.period)[1:]), "timestamptz[]")

    def _bucket_of_day(self) -> sql.Composable:
        buckets = self.cut.buckets
        if buckets is None:
            return sql.SQL("0")
        numbers = [buckets.index(max(start, self.cut.period.start)) for start in day_starts(self.cut.period)]
        return sql.SQL("({})[s.u + 1]").format(self._array("bucket_of_day", numbers, "int[]"))

    def _array(self, name: str, values: Sequence[object], kind: LiteralString) -> sql.Composable:
        self.params[name] = values
        return sql.SQL("{}::{}").format(sql.Placeholder(name), sql.SQL(kind))


def _prop_names_group(column: sql.Identifier, index: int) -> _Group:
    alias = sql.Identifier(f"prop{index}")
    # The condition follows from the rest; it leaves most events out before they are joined to their visits.
    join = sql.SQL(
        " JOIN LATERAL (SELECT one.key FROM jsonb_each_text(e.props) one WHERE one.value <> '') {}"
        " ON e.props IS NOT NULL"
    ).format(alias)
    return _Group(column, sql.SQL("{}.key").format(alias), join)


def _union(ctes: dict[LiteralString, sql.Composable], grains: list[sql.Composable]) -> sql.Composable:
    return sql.SQL("(WITH {} {})").format(
        _list([sql.SQL("{} AS ({})").format(sql.Identifier(name), body) for name, body in ctes.items()]),
        sql.SQL(" UNION ALL ").join(grains),
    )


def _columns(*names: LiteralString) -> list[sql.Composable]:
    return [sql.SQL(name) for name in names]


def _joins(groups: list[_Group]) -> sql.Composable:
    return sql.SQL("").join([group.join for group in groups])


def _list(items: Iterable[sql.Composable]) -> sql.Composable:
    return sql.SQL(", ").join(items)


def _ordinals(count: int) -> sql.Composable:
    return _list(sql.SQL(str(number)) for number in range(1, count + 1))
