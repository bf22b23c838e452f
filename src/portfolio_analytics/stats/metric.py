"""Metrics: what a query can ask for, as one table of formulas over sums (sums.py).

Formulas are SQL over the alias `m` (the group's sums); a share's also over the alias of its own name (the
sums of what it is a share of).
Rates are percent, durations seconds. What cannot be divided is null, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, LiteralString

PERCENTAGE: Final = "percentage"
CONVERSION_RATE: Final = "conversion_rate"
GROUP_CONVERSION_RATE: Final = "group_conversion_rate"
VIEWS_PER_VISIT: Final = "views_per_visit"

# A change of these is a difference in points; of all others, percent of the former value.
POINTS: Final = frozenset({"bounce_rate", "scroll_depth", PERCENTAGE, CONVERSION_RATE, GROUP_CONVERSION_RATE})

SHARES: Final = (PERCENTAGE, CONVERSION_RATE, GROUP_CONVERSION_RATE)
"""Metrics that compare visitors with the visitors of a wider query."""


@dataclass(frozen=True, slots=True)
class Metric:
    """`decimals` None: a whole number as it is summed; else the number is rounded half away from zero."""

    name: str
    sums: frozenset[str]
    formula: LiteralString
    decimals: int | None = None


METRICS: Final[dict[str, Metric]] = {
    metric.name: metric
    for metric in (
        Metric("visitors", frozenset({"visitors"}), "m.visitors"),
        Metric("visits", frozenset({"visits"}), "m.visits"),
        Metric("pageviews", frozenset({"pageviews"}), "m.pageviews"),
        Metric("events", frozenset({"events"}), "m.events"),
        Metric(VIEWS_PER_VISIT, frozenset({"pageviews", "visits"}), "m.pageviews / nullif(m.visits, 0)", 2),
        Metric("bounce_rate", frozenset({"bounces", "starts"}), "100 * m.bounces / nullif(m.starts, 0)", 0),
        Metric(
            "visit_duration",
            frozenset({"duration_ms", "starts"}),
            "m.duration_ms / 1000.0 / nullif(m.starts, 0)",
            0,
        ),
        Metric(
            "scroll_depth",
            frozenset({"scroll_sum", "scroll_visits"}),
            "m.scroll_sum / nullif(m.scroll_visits, 0)",
            0,
        ),
        Metric(
            "time_on_page",
            frozenset({"engaged_ms", "pageviews"}),
            "m.engaged_ms / 1000.0 / nullif(m.pageviews, 0)",
            0,
        ),
        *(
            Metric(share, frozenset({"visitors"}), f"100 * m.visitors / nullif({share}.visitors, 0)", 2)
            for share in SHARES
        ),
    )
}


def change(name: str, new: float | None, old: float | None) -> float | None:
    """How `new` differs from `old`: points for rates, else percent rounded to whole ones.

    From nothing to something is 100; null where either is null.
    """
    if new is None or old is None:
        return None
    if name in POINTS:
        return round(new - old, 2)
    if old == 0:
        return 0 if new == 0 else 100
    return round((new - old) / old * 100)
