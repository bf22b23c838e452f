"""A question about a funnel, typed and checked. Pure.

How many went from step to step? Of each visitor (or visit) the events are looked at in the order of their
times. With the first that does step 1 it enters; with the first after that which does step 2 it goes on, and
so forth. What lies between does not matter. Each step needs an event of its own. Events of the same instant
are taken in the order of the steps that they do, so that none is missed for want of a finer clock.

A visitor is what the metric `visitors` counts, with its events in the period: without a persistent id it is
another one each local day, so that its way ends with the day. A visit is what the metric `visits` counts,
with all of its events. Filters choose visits: those on event:* dimensions choose the visits that hold an
event which they all fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from portfolio_analytics.shared.errors import InvalidValue
from portfolio_analytics.stats.query import (
    All,
    DateRange,
    Done,
    Query,
    date_range,
    invalid,
    is_by_event,
    parse_filters,
    site_name,
    text_of,
)
from portfolio_analytics.stats.sums import VISITORS, VISITS
from portfolio_analytics.storage.funnels import Step, check_steps, steps_of

BY: Final = {"visitor": VISITORS, "visit": VISITS}
"""Whose way is followed, and the metric that counts all of them."""

_KEYS: Final = ("site_id", "date_range", "filters", "funnel", "steps", "by")


@dataclass(frozen=True, slots=True)
class Question:
    """A checked question. `query` asks for all who could have entered.

    Either `name` is that of a funnel that the site keeps, or `steps` are those of one that it need not keep.
    """

    query: Query
    name: str | None
    steps: tuple[Step, ...]

    @property
    def by_visit(self) -> bool:
        """Whether visits are followed, not visitors."""
        return self.query.metrics == (VISITS,)


def parse(body: Any) -> Question:
    """The question in decoded JSON `body`. Raises ApiError 400."""
    if not isinstance(body, dict):
        raise invalid("A question about a funnel is a JSON object.", "")
    for key in body:
        if key not in _KEYS:
            raise invalid(f"There is no {key!r} in a question about a funnel.", str(key))
    name, steps = body.get("funnel"), body.get("steps")
    if (name is None) == (steps is None):
        raise invalid("This needs either the name of a funnel, or steps.", "funnel")
    by = body.get("by", "visitor")
    if not isinstance(by, str) or by not in BY:
        raise invalid(f"This is one of {', '.join(BY)}.", "by")
    query = query_of(
        site_name(body.get("site_id"), "site_id"),
        date_range(body.get("date_range"), "date_range"),
        parse_filters(body.get("filters"), "filters"),
        by,
    )
    if name is None:
        return Question(query, None, _steps(steps))
    return Question(query, text_of(name, "funnel"), ())


def query_of(site: str, wanted: DateRange, filters: All, by: str) -> Query:
    """The query that asks for all who could have entered: `filters` choose visits."""
    of_events = tuple(child for child in filters.children if is_by_event(child))
    if of_events:
        rest = tuple(child for child in filters.children if not is_by_event(child))
        filters = All((*rest, Done(All(of_events))))
    return Query(site, (BY[by],), wanted, filters=filters)


def _steps(value: Any) -> tuple[Step, ...]:
    try:
        steps = steps_of(value)
        check_steps(steps)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        raise invalid(f"{message}.", f"steps{place.rstrip('`')}") from error
    except InvalidValue as error:
        raise invalid(error.message, error.field or "steps") from error
    return tuple(steps)
