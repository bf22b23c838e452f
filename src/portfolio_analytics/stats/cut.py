"""A cut: which sums are wanted, by which groups, of which period. What metrics are computed from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from portfolio_analytics.stats.dimension import ENTRY_PAGE, GOAL, PAGE, PROP_NAMES, PROPS, level
from portfolio_analytics.stats.metric import (
    GROUP_CONVERSION_RATE,
    METRICS,
    PERCENTAGE,
)
from portfolio_analytics.stats.period import Buckets, Period
from portfolio_analytics.stats.query import (
    All,
    AnyOf,
    Done,
    Filter,
    Leaf,
    Not,
    Query,
    is_by_event,
    leaves,
    names_goal,
)
from portfolio_analytics.stats.sums import START_SUMS, VISITORS

CALENDAR_UNITS: Final = ("day", "week", "month")


@dataclass(frozen=True, slots=True)
class Cut:
    """`sums` by `groups` (dimensions other than time) and by `buckets` of time, if any."""

    sums: frozenset[str]
    groups: tuple[str, ...]
    filters: All
    period: Period
    buckets: Buckets | None = None

    @property
    def groups_events(self) -> bool:
        """Whether it is by a dimension of single events."""
        return any(level(group) == "event" for group in self.groups)

    @property
    def by_event(self) -> bool:
        """Whether single events decide, not whole visits."""
        return self.groups_events or is_by_event(self.filters)

    @property
    def adds_days(self) -> bool:
        """Whether one number of visitors is made of several days."""
        if self.buckets is None:
            return self.period.days > 1
        return self.buckets.unit in ("week", "month") and self.period.days > 1


def main_cut(query: Query, period: Period, buckets: Buckets | None) -> Cut:
    """What the metrics of `query` are computed from."""
    sums = frozenset[str]().union(*(METRICS[name].sums for name in query.metrics))
    return Cut(sums, query.groups, query.filters, period, buckets)


def whole_cut(query: Query, share: str, period: Period, buckets: Buckets | None) -> Cut:
    """The visitors that `share` is a share of.

    percentage: all visitors that pass the filters. conversion_rate: all that pass the filters but for those
    on goals and properties, in the same bucket of time. group_conversion_rate: those of the same group too.
    """
    visitors = frozenset({VISITORS})
    if share == PERCENTAGE:
        return Cut(visitors, (), query.filters, period)
    children = tuple(child for child in query.filters.children if not _is_of_conversion(child))
    groups: tuple[str, ...] = ()
    if share == GROUP_CONVERSION_RATE:
        groups = tuple(
            name for name in query.groups if name not in (GOAL, PROP_NAMES) and not name.startswith(PROPS)
        )
    return Cut(visitors, groups, All(children), period, buckets)


def parts(cut: Cut) -> tuple[Cut, ...]:
    """Cuts that add up to `cut`.

    By event:page, bounces and durations are those of the visits that entered by the page.
    """
    starts = cut.sums & START_SUMS
    if PAGE not in cut.groups or not starts:
        return (cut,)
    entered = replace(
        cut,
        sums=starts,
        groups=tuple(ENTRY_PAGE if group == PAGE else group for group in cut.groups),
        filters=All(tuple(_by_entry(child) for child in cut.filters.children)),
    )
    rest = cut.sums - starts
    return (replace(cut, sums=rest), entered) if rest else (entered,)


def _is_of_conversion(tree: Filter) -> bool:
    return names_goal(tree) or any(leaf.dimension.startswith(PROPS) for leaf in leaves(tree, into_done=False))


def _by_entry(tree: Filter) -> Filter:
    match tree:
        case Leaf():
            return replace(tree, dimension=ENTRY_PAGE) if tree.dimension == PAGE else tree
        case Not(child):
            return Not(_by_entry(child))
        case All(children):
            return All(tuple(map(_by_entry, children)))
        case AnyOf(children):
            return AnyOf(tuple(map(_by_entry, children)))
        case Done():
            return tree
