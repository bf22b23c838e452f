"""Filters as SQL conditions. Pure; every value is a parameter.

Indexes hold the minute of an event and the hour of a visit's end (migration 0007), so a condition on such a
time is said twice: exactly, and in the unit that the index knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, LiteralString

from psycopg import sql

from portfolio_analytics.stats.dimension import DIMENSIONS, GOAL, PROPS, Dimension
from portfolio_analytics.stats.query import All, AnyOf, Done, Filter, Leaf, Not, invalid
from portfolio_analytics.stats.site import Goal, Site

TRUE: Final = sql.SQL("true")
FALSE: Final = sql.SQL("false")


class Params(dict[str, Any]):
    """The named parameters of one statement."""

    def add(self, value: object) -> sql.Placeholder:
        """A placeholder for `value`."""
        name = f"p{len(self)}"
        self[name] = value
        return sql.Placeholder(name)


def every(conditions: Sequence[sql.Composable]) -> sql.Composable:
    """All of `conditions`."""
    return sql.SQL(" AND ").join(conditions) if conditions else TRUE


def some(conditions: Sequence[sql.Composable]) -> sql.Composable:
    """Any of `conditions`."""
    return sql.SQL("({})").format(sql.SQL(" OR ").join(conditions)) if conditions else FALSE


def condition(tree: Filter, site: Site, params: Params) -> sql.Composable:
    """`tree` over the aliases `v` (a visit) and `e` (an event of it); it is never null."""
    match tree:
        case Leaf():
            return _leaf(tree, site, params)
        case Not(child):
            return sql.SQL("NOT ({})").format(condition(child, site, params))
        case All(children):
            return every([sql.SQL("({})").format(condition(child, site, params)) for child in children])
        case AnyOf(children):
            return some([condition(child, site, params) for child in children])
        case Done(child):
            return sql.SQL("(v.actor, v.start_time) IN ({})").format(_visits_with(child, site, params))


def value_condition(tree: Filter, value: sql.Composable, params: Params) -> sql.Composable:
    """`tree`, all of whose comparisons are of one dimension, over that dimension's value."""
    match tree:
        case Leaf():
            return compare(value, tree, params)
        case Not(child):
            return sql.SQL("NOT ({})").format(value_condition(child, value, params))
        case All(children):
            return every(
                [sql.SQL("({})").format(value_condition(child, value, params)) for child in children]
            )
        case AnyOf(children):
            return some([value_condition(child, value, params) for child in children])
        case Done():
            raise AssertionError("has_done is about a visit")


def compare(value: sql.Composable, leaf: Leaf, params: Params) -> sql.Composable:
    """Whether the text `value` is, contains or matches one of the leaf's values."""
    match leaf.operator, leaf.case_sensitive:
        case "is", True:
            return sql.SQL("{} = ANY ({}::text[])").format(value, params.add(list(leaf.values)))
        case "is", False:
            return sql.SQL("lower({}) = ANY (ARRAY(SELECT lower(u) FROM unnest({}::text[]) u))").format(
                value, params.add(list(leaf.values))
            )
        case "contains", sensitive:
            patterns = params.add([f"%{escape_like(text)}%" for text in leaf.values])
            like = sql.SQL("LIKE" if sensitive else "ILIKE")
            return sql.SQL("{} {} ANY ({}::text[])").format(value, like, patterns)
        case _, sensitive:
            operator = sql.SQL("~" if sensitive else "~*")
            return sql.SQL("{} {} ANY ({}::text[])").format(value, operator, params.add(list(leaf.values)))


def escape_like(text: str) -> str:
    """`text` as a LIKE pattern that matches it alone."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def goal_condition(goal: Goal, params: Params) -> sql.Composable:
    """Whether the event `e` reaches the goal."""
    if goal.page_pattern is None:
        return sql.SQL("e.type = {}").format(params.add(goal.event_type))
    return sql.SQL(
        "(e.type = 'page_view' AND e.page_id IN"
        " (SELECT d.page_id FROM pages d WHERE d.site_id = %(site_id)s AND d.path LIKE {}))"
    ).format(params.add(page_like(goal.page_pattern)))


def page_like(pattern: str) -> str:
    """A page pattern, where * is any run of characters, as a LIKE pattern."""
    return escape_like(pattern).replace("*", "%")


def goals_named(leaf: Leaf, goals: tuple[Goal, ...]) -> tuple[Goal, ...]:
    """The goals that a comparison of event:goal means. Raises ApiError 400 for a name that is no goal."""
    fold = str if leaf.case_sensitive else str.lower
    if leaf.operator == "contains":
        return tuple(goal for goal in goals if any(fold(text) in fold(goal.name) for text in leaf.values))
    names = {fold(goal.name) for goal in goals}
    for index, text in enumerate(leaf.values):
        if fold(text) not in names:
            raise invalid(f"There is no goal {text!r}.", f"{leaf.path}[2][{index}]")
    wanted = {fold(text) for text in leaf.values}
    return tuple(goal for goal in goals if fold(goal.name) in wanted)


def dimension_value(dimension: Dimension, alias: str) -> sql.Composable:
    """A dimension's value over its dictionary (or its row) under `alias`."""
    return sql.SQL(dimension.value).format(d=sql.Identifier(alias))


def prop_value(name: str, params: Params) -> sql.Composable:
    """The value of event:props:NAME of the event `e`, as text; '' when it has none."""
    return sql.SQL("coalesce(e.props ->> {}, '')").format(params.add(name.removeprefix(PROPS)))


def _leaf(leaf: Leaf, site: Site, params: Params) -> sql.Composable:
    if leaf.dimension == GOAL:
        return some([goal_condition(goal, params) for goal in goals_named(leaf, site.goals)])
    if leaf.dimension.startswith(PROPS):
        return compare(prop_value(leaf.dimension, params), leaf, params)
    dimension = DIMENSIONS[leaf.dimension]
    if dimension.dictionary is None:
        return compare(dimension_value(dimension, "e"), leaf, params)
    key = sql.Identifier("e" if dimension.level == "event" else "v", dimension.key)
    found = sql.SQL("{} IN (SELECT d.{} FROM {} d WHERE d.site_id = %(site_id)s AND {})").format(
        key,
        sql.Identifier(dimension.dictionary.identity),
        sql.Identifier(dimension.dictionary.table),
        compare(dimension_value(dimension, "d"), leaf, params),
    )
    if dimension.key in ("page_id", "client_id"):
        return found
    absent = compare(sql.SQL("{}::text").format(sql.Literal(dimension.absent)), leaf, params)
    return sql.SQL("CASE WHEN {} IS NULL THEN {} ELSE {} END").format(key, absent, found)


def _visits_with(child: Filter, site: Site, params: Params) -> sql.Composable:
    return sql.SQL(
        "SELECT v.actor, v.start_time FROM visits v CROSS JOIN events e"
        " WHERE {} AND {} AND e.time BETWEEN %(early)s AND %(late)s AND {} AND {}"
    ).format(ACTIVE, OF_VISIT, in_minutes("%(early)s", "%(late)s"), condition(child, site, params))


# Visits that are active in the period. `day` is the UTC day of the start, which leaves other partitions out.
ACTIVE: Final = sql.SQL(
    "v.site_id = %(site_id)s AND v.day BETWEEN %(oldest_day)s AND %(last_day)s"
    " AND v.start_time < %(end)s AND v.end_time >= %(start)s"
    " AND date_bin('1 hour', v.end_time, 'epoch') >= date_bin('1 hour', %(start)s, 'epoch')"
)


def in_minutes(low: LiteralString, high: LiteralString) -> sql.Composable:
    """That an event's minute is none before that of `low` and none after that of `high`."""
    return sql.SQL(
        "date_bin('1 minute', e.time, 'epoch')"
        f" BETWEEN date_bin('1 minute', {low}, 'epoch') AND date_bin('1 minute', {high}, 'epoch')"
    )


# Events of a visit. `day` is the day of their identity, which lies within 8 days of their time.
OF_VISIT: Final = sql.SQL(
    "e.site_id = %(site_id)s AND e.day BETWEEN %(first_event_day)s AND %(last_event_day)s"
    " AND e.actor = v.actor AND e.time BETWEEN v.start_time AND v.end_time"
)
