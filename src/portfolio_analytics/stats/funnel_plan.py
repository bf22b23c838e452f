"""From a question about a funnel to one statement over rows. Pure.

Events that do any step are numbered in their order, those of each visitor (or visit) apart. Then each step
looks for the first that does it after the step before: one window function a step, all in the same order. Of
who does not come so far one row is kept, which tells how far it came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from psycopg import sql

from portfolio_analytics.stats import planner
from portfolio_analytics.stats.cut import main_cut
from portfolio_analytics.stats.dimension import PROPS
from portfolio_analytics.stats.funnel import Question
from portfolio_analytics.stats.period import Period, day_starts
from portfolio_analytics.stats.predicate import (
    ACTIVE,
    OF_VISIT,
    TRUE,
    Params,
    condition,
    every,
    page_like,
    prop_value,
    some,
)
from portfolio_analytics.stats.rows import IN_PERIOD, SINCE_START
from portfolio_analytics.stats.site import Edges, Site
from portfolio_analytics.storage.funnels import Step

# Visitors with a persistent id have the day -1.
_OF_VISITOR: Final = ("visitor", "day")
_OF_VISIT: Final = ("actor", "start_time")

# `steps` has a bit for each step that an event does (in `p`: its page): the lower, the earlier they are.
_HITS: Final = sql.SQL("""
WITH v AS (SELECT v.actor, v.visitor, v.known, v.start_time, v.end_time FROM visits v WHERE {visits}),
hit AS (
    SELECT {keys}, e.time, {steps} AS steps FROM v CROSS JOIN events e
    LEFT JOIN (SELECT d.page_id, {page_steps} AS steps FROM pages d WHERE {pages}) p ON p.page_id = e.page_id
    WHERE {events}),
way0 AS (SELECT h.*, row_number() OVER (PARTITION BY {unit} ORDER BY h.time, h.steps) AS n FROM hit h)
""")
_WAY: Final = sql.SQL("""
, way{step} AS (
    SELECT w.*, min(w.n) FILTER (WHERE {done}) OVER u AS n{step},
        min(w.time) FILTER (WHERE {done}) OVER u AS t{step}
    FROM way{before} w WHERE {kept} WINDOW u AS (PARTITION BY {unit}))
""")
_ANSWER: Final = sql.SQL("""
, ends AS (SELECT {counts} FROM way{last} w WHERE {end})
SELECT s.reached,
    round(100.0 * s.reached / nullif(first_value(s.reached) OVER o, 0), 2)::float8,
    round(100.0 * (lag(s.reached) OVER o - s.reached) / nullif(lag(s.reached) OVER o, 0), 2)::float8,
    round((s.median / 1000)::numeric, 1)::float8,
    a.{total}::bigint,
    round(100.0 * first_value(s.reached) OVER o / nullif(a.{total}, 0), 2)::float8
FROM ends CROSS JOIN LATERAL (VALUES {rows}) s (step, reached, median) CROSS JOIN {all} a
WINDOW o AS (ORDER BY s.step) ORDER BY s.step
""")


def plan(
    question: Question, steps: Sequence[Step], site: Site, period: Period, edges: Edges
) -> tuple[sql.Composed, Params]:
    """A row for each step: how many reached it, their percentage of the first step's, the percentage of the
    step before that was lost, the median of seconds since then; and, the same in each row, how many there are
    in all, and what percentage of them entered.
    """
    params = planner.params_of(site, period, edges)
    query = question.query
    visits = [
        ACTIVE,
        *(sql.SQL("({})").format(condition(one, site, params)) for one in query.filters.children),
    ]
    unit, keys, when = _OF_VISITOR, _visitor(period, params), IN_PERIOD
    if question.by_visit:
        unit, keys, when = _OF_VISIT, sql.SQL("v.actor, v.start_time"), SINCE_START
        visits.append(sql.SQL("v.start_time >= %(start)s"))
    each = sql.SQL(", ").join(map(sql.Identifier, unit))
    on_pages = {
        index: sql.SQL("d.path LIKE {}").format(params.add(page_like(step.page_pattern)))
        for index, step in enumerate(steps)
        if step.page_pattern is not None
    }
    does = dict(enumerate(_does(index, step, params) for index, step in enumerate(steps)))
    hits = _HITS.format(
        visits=every(visits),
        keys=keys,
        steps=_bits(does),
        page_steps=_bits(on_pages),
        pages=every([sql.SQL("d.site_id = %(site_id)s"), some(list(on_pages.values()))]),
        events=every([OF_VISIT, when, some(list(does.values()))]),
        unit=each,
    )
    ways = [_way(step, each) for step in range(1, len(steps) + 1)]
    everybody = planner.sums_of(main_cut(query, period, None), site, params, edges, None)
    answer = _answer(len(steps), query.metrics[0], everybody)
    return sql.SQL("").join([hits, *ways, answer]), params


def _does(index: int, step: Step, params: Params) -> sql.Composable:
    """Whether the event `e` does the step number `index`; never null."""
    if step.page_pattern is None:
        done = sql.SQL("e.type = {}").format(params.add(step.event_type))
    else:
        done = sql.SQL("e.type = 'page_view' AND coalesce(p.steps & {} <> 0, false)").format(_bit(index))
    if step.property is None:
        return done
    value = prop_value(PROPS + step.property, params)
    return sql.SQL("{} AND {} = {}").format(done, value, params.add(step.value))


def _bits(does: Mapping[int, sql.Composable]) -> sql.Composable:
    """The bits of the steps that are done."""
    bits = [
        sql.SQL(" + CASE WHEN {} THEN {} ELSE 0 END").format(one, _bit(index)) for index, one in does.items()
    ]
    return sql.SQL("0{}").format(sql.SQL("").join(bits))


def _bit(index: int) -> sql.Composable:
    return sql.Literal(1 << index)


def _visitor(period: Period, params: Params) -> sql.Composable:
    """What makes a visitor one: without a persistent id, the local day too."""
    days = params.add(list(day_starts(period)[1:]))
    return sql.SQL(
        "v.visitor, CASE WHEN v.known THEN -1 ELSE width_bucket(e.time, {}::timestamptz[]) END AS day"
    ).format(days)


def _way(step: int, unit: sql.Composable) -> sql.Composable:
    """Where the step, counted from 1, is done; of who did not come here, the last row."""
    done = sql.SQL("w.steps & {} <> 0").format(_bit(step - 1))
    kept: sql.Composable = TRUE
    if step > 1:
        before = sql.SQL("w.n{}").format(sql.Literal(step - 1))
        done = sql.SQL("{} AND w.n > {}").format(done, before)
        kept = sql.SQL("(w.n >= {} OR {})").format(before, _is_last(step - 1))
    return _WAY.format(step=sql.Literal(step), before=sql.Literal(step - 1), done=done, kept=kept, unit=unit)


def _is_last(step: int) -> sql.Composable:
    """Whether this is the event with which its visitor came as far as it did, up to `step`."""
    numbers = sql.SQL(", ").join(sql.SQL("w.n{}").format(sql.Literal(one)) for one in range(1, step + 1))
    return sql.SQL("w.n = greatest({})").format(numbers)


def _answer(last: int, total: str, everybody: sql.Composable) -> sql.Composable:
    counts: list[sql.Composable] = [sql.SQL("count(w.t1) AS c1")]
    rows: list[sql.Composable] = [sql.SQL("(1, c1, NULL::float8)")]
    for step in range(2, last + 1):
        number, before = sql.Literal(step), sql.Literal(step - 1)
        counts.append(
            sql.SQL(
                "count(w.t{0}) AS c{0}, percentile_cont(0.5) WITHIN GROUP (ORDER BY"
                " extract(epoch FROM w.t{0} - w.t{1})::float8 * 1000) AS m{0}"
            ).format(number, before)
        )
        rows.append(sql.SQL("({0}, c{0}, m{0})").format(number))
    return _ANSWER.format(
        counts=sql.SQL(", ").join(counts),
        last=sql.Literal(last),
        end=_is_last(last),
        rows=sql.SQL(", ").join(rows),
        total=sql.Identifier(total),
        all=everybody,
    )
