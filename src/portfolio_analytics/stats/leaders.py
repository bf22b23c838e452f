"""The first groups by visitors, found without adding up all of them. Pure.

A list holds the cells of one day or month, the busiest first. The first of each list name the candidates,
whose sums are then read in full. What no list showed has, in each, at most as many visitors as what was read
last: when the last of the candidates that are wanted has more than all of that together, no other group can
come before it (R. Fagin, A. Lotem, M. Naor, "Optimal aggregation algorithms for middleware", 2001, the
threshold algorithm). Where it has not, all groups are to be added up.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from psycopg import sql

from portfolio_analytics.stats.dimension import DIMENSIONS, TOTAL_ROLLUP
from portfolio_analytics.stats.predicate import Params
from portfolio_analytics.stats.query import Order, Query
from portfolio_analytics.stats.reader import Row
from portfolio_analytics.stats.sums import VISITORS

MOST: Final = 50
"""How many groups, with those skipped before them, are still looked for this way."""

# Magnitude m > 0 says 16 * 2 ** (m - 1) visitors or more, and less than twice that (migration 0004).
_FIRST: Final = 16


class Span(NamedTuple):
    """Cells of `table` whose `time` (its column) lies from `low` to `high`."""

    table: str
    time: str
    low: datetime.date
    high: datetime.date

    @property
    def times(self) -> list[datetime.date]:
        """Every day, or the first of every month."""
        if self.time == "day":
            return [
                self.low + datetime.timedelta(number) for number in range((self.high - self.low).days + 1)
            ]
        months = range(self.low.year * 12 + self.low.month - 1, self.high.year * 12 + self.high.month)
        return [datetime.date(month // 12, month % 12 + 1, 1) for month in months]


def leading_dimension(query: Query) -> int | None:
    """The rollup that the first groups can be found in; None where all groups are to be added up."""
    first = query.order_by[0] if query.order_by else Order(query.metrics[0], descending=True)
    is_first = first == Order(VISITORS, descending=True) and query.limit + query.offset <= MOST
    if not is_first or query.total_rows or query.time or query.filters.children or len(query.groups) != 1:
        return None
    dimension = DIMENSIONS.get(query.groups[0])
    return dimension.rollups.get(VISITORS) if dimension else None


def lists(query: Query, dimension: int, spans: Iterable[Span], params: Params) -> sql.Composable:
    """A SELECT with a row a list: the `values` at its head, and how many visitors all others have at `most`.

    A value has a cell for each slot. Rebuilding writes to slot 0; every other slot of a day has its total. No
    value has more visitors than the total, which leaves out the days from before a site's first.
    """
    number = params.add(dimension)
    read = params.add(8 + 2 * (query.limit + query.offset))
    selects = [
        sql.SQL(
            "SELECT f.values, least(l.visitors, l.slots * ({first} * 2::bigint"
            " ^ CASE WHEN f.n < l.slots * {read} THEN 0 ELSE f.least END - 1)) AS most"
            " FROM (SELECT t.at, s.slots, s.visitors FROM unnest({times}::date[]) t (at)"
            " CROSS JOIN LATERAL (SELECT 1 + count(*) FILTER (WHERE c.slot <> 0) AS slots,"
            " sum(c.visitors) AS visitors FROM {table} c WHERE c.site_id = %(site_id)s"
            " AND c.dimension = {total} AND c.{time} = t.at) s WHERE s.visitors > 0) l"
            " CROSS JOIN LATERAL (SELECT array_agg(h.value) AS values, count(*) AS n,"
            " min(h.magnitude) AS least FROM (SELECT c.value, c.magnitude FROM {table} c"
            " WHERE c.site_id = %(site_id)s AND c.dimension = {number} AND c.{time} = l.at"
            " AND c.magnitude > 0 ORDER BY c.magnitude DESC LIMIT l.slots * {read}) h) f"
        ).format(
            first=sql.Literal(_FIRST),
            read=read,
            table=sql.Identifier(span.table),
            total=sql.Literal(TOTAL_ROLLUP),
            time=sql.Identifier(span.time),
            times=params.add(span.times),
            number=number,
        )
        for span in spans
    ]
    return sql.SQL(" UNION ALL ").join(selects)


CANDIDATES: Final = sql.SQL("ARRAY(SELECT DISTINCT u FROM heads, unnest(heads.values) u)")
BOUND: Final = sql.SQL("(SELECT sum(heads.most)::bigint FROM heads)")


def are_proven(query: Query, rows: Sequence[Row]) -> bool:
    """Whether `rows`, each with the bound as its last value, are what all groups would give."""
    visitors = len(query.dimensions) + query.metrics.index(VISITORS)
    return len(rows) == query.limit and rows[-1][visitors] > rows[-1][-1]
