"""A cut as SQL over rollups, where that is exact. Pure.

It is exact for whole local days, by day, week, month or in all, of one dimension at most, when the filters
are on the values of that dimension (or one `is` a single value), and every sum that is wanted is rolled up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from portfolio_analytics.stats.cut import CALENDAR_UNITS, Cut
from portfolio_analytics.stats.dimension import DIMENSIONS, EVENT_ROLLUP, GOAL, TOTAL_ROLLUPS
from portfolio_analytics.stats.predicate import Params, goals_named, value_condition
from portfolio_analytics.stats.query import Filter, Leaf, has_done, leaves
from portfolio_analytics.stats.site import Goal, Site
from portfolio_analytics.stats.sums import VISITORS

_GOAL_ROLLUPS = {VISITORS: EVENT_ROLLUP, "events": EVENT_ROLLUP}


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
        return Source(_GOAL_ROLLUPS, goals=site.goals) if by_type else None
    return Source(DIMENSIONS[name].rollups) if name in DIMENSIONS else None


def _single(cut: Cut, site: Site) -> Source | None:
    match cut.filters.children:
        case ():
            return Source(TOTAL_ROLLUPS)
        case (Leaf("is", name, (value,), True) as leaf,) if value:
            if name == GOAL:
                goals = goals_named(leaf, site.goals)
                return Source(_GOAL_ROLLUPS, value=goals[0].event_type) if goals[0].event_type else None
            return Source(DIMENSIONS[name].rollups, value=value) if name in DIMENSIONS else None
    return None


def _is_of(tree: Filter, name: str) -> bool:
    return not has_done(tree) and all(leaf.dimension == name for leaf in leaves(tree))


def select(
    cut: Cut, site: Site, found: Source, params: Params, columns: Sequence[str], *, known_apart: bool
) -> sql.Composable:
    """The cut as a SELECT of b, g0 and the sums `columns`, 0 where the cut does not want one.

    `known_apart`: visitors with a persistent id are left out, to be counted from rows.
    """
    values = [
        sql.SQL("{} AS {}").format(
            _sum(name, found.numbers[name], known_apart) if name in cut.sums else sql.SQL("0"),
            sql.Identifier(name),
        )
        for name in columns
    ]
    keys: list[sql.Composable] = [sql.SQL("{} AS b").format(_bucket(cut, params))]
    conditions: list[sql.Composable] = [
        sql.SQL("r.site_id = %(site_id)s AND r.dimension = ANY ({}::smallint[])").format(
            params.add(sorted({found.numbers[name] for name in cut.sums}))
        ),
        sql.SQL("r.day BETWEEN {} AND {}").format(params.add(cut.period.first), params.add(cut.period.last)),
    ]
    tables: sql.Composable = sql.SQL("rollups r")
    if found.value is not None:
        conditions.append(sql.SQL("r.value = {}::text").format(params.add(found.value)))
    if found.goals is not None:
        tables = sql.SQL(
            "rollups r JOIN unnest({}::text[], {}::text[]) AS goal (name, type) ON goal.type = r.value"
        ).format(
            params.add([goal.name for goal in found.goals]),
            params.add([goal.event_type for goal in found.goals]),
        )
        keys.append(sql.SQL("goal.name AS g0"))
    elif cut.groups:
        value = sql.SQL("r.value")
        keys.append(sql.SQL("r.value AS g0"))
        conditions += [value_condition(child, value, params) for child in cut.filters.children]
    return sql.SQL("(SELECT {} FROM {} WHERE {} GROUP BY {})").format(
        sql.SQL(", ").join([*keys, *values]),
        tables,
        sql.SQL(" AND ").join(sql.SQL("({})").format(part) for part in conditions),
        sql.SQL("1, 2" if cut.groups else "1"),
    )


def _sum(name: str, number: int, known_apart: bool) -> sql.Composable:
    column = {"starts": "visits"}.get(name, name)
    value: sql.Composable = sql.SQL("r.{}").format(sql.Identifier(column))
    if name == VISITORS and known_apart:
        value = sql.SQL("r.visitors - r.known_visitors")
    return sql.SQL("coalesce(sum({}) FILTER (WHERE r.dimension = {}), 0)").format(value, sql.Literal(number))


def _bucket(cut: Cut, params: Params) -> sql.Composable:
    if cut.buckets is None:
        return sql.SQL("0")
    return sql.SQL("width_bucket(r.day, {}::date[])").format(params.add(list(cut.buckets.days[1:])))
