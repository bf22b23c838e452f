"""Closed months: once hardly anything comes in for a month any more, its rollups are kept as one sum."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import psycopg

from portfolio_analytics.consumer.rollups.rollup import MEASURES

SETTLED = timedelta(days=8)
"""How long after a month's end events of it still come in: no event is taken a week after its time."""

_OVER = """
SELECT DISTINCT r.site_id, date_trunc('month', r.day::timestamp)::date AS month
FROM sites s JOIN rollups r ON r.site_id = s.site_id
WHERE r.dimension = 0 AND r.day < date_trunc('month', %s::timestamp)::date
    AND NOT EXISTS (
        SELECT FROM closed_months k
        WHERE k.site_id = r.site_id AND k.month = date_trunc('month', r.day::timestamp)::date)
ORDER BY 1, 2
"""
# Until the second half of migration 0006 has run, the month that goes on is added up as well.
_FORGET = "DELETE FROM rollup_months WHERE site_id = %(site_id)s AND month = %(month)s"
_ADD_UP = f"""
INSERT INTO rollup_months (site_id, month, dimension, slot, value, {", ".join(MEASURES)})
SELECT site_id, %(month)s, dimension, slot, value, {", ".join(f"sum({name})" for name in MEASURES)}
FROM rollups
WHERE site_id = %(site_id)s AND day >= %(month)s AND day < %(month)s + interval '1 month'
GROUP BY site_id, dimension, slot, value
ORDER BY dimension, value, slot
"""


def close_months(connection: psycopg.Connection[Any], today: date) -> int:
    """Add up every month that was settled by `today` (UTC) and is not closed yet; how many there were.

    Nobody writes rollups meanwhile: of the statements before, all are in the sum, and those after find the
    month closed. `connection` is in autocommit mode.
    """
    over = connection.execute(_OVER, [today - SETTLED]).fetchall()
    for site_id, month in over:
        found = {"site_id": site_id, "month": month}
        with connection.transaction():
            connection.execute("LOCK TABLE rollups IN SHARE MODE")
            closed = connection.execute(
                "INSERT INTO closed_months VALUES (%(site_id)s, %(month)s) ON CONFLICT DO NOTHING", found
            ).rowcount
            if closed:
                connection.execute(_FORGET, found)
                connection.execute(_ADD_UP.encode(), found)
    return len(over)
