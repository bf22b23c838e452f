"""Gaps: records that were gone from the log before they were counted. Each stays until it is acknowledged."""

from __future__ import annotations

from portfolio_analytics.storage import audit
from portfolio_analytics.storage.steps import Query, Steps

_ACKNOWLEDGE = "UPDATE log_gaps SET acknowledged_at = now() WHERE acknowledged_at IS NULL RETURNING gap_id"


def acknowledge(actor: str) -> Steps[int]:
    """Somebody has taken note of all gaps there are; returns how many they were."""
    rows = yield Query(_ACKNOWLEDGE)
    if rows:
        yield from audit.record(actor, "gaps.acknowledge", count=len(rows))
    return len(rows)
