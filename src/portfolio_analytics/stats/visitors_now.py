"""Who is there now, as a number by site."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from typing import Final

from portfolio_analytics.stats.reader import Cursor, fetch
from portfolio_analytics.storage.sql import statement

NOW: Final = datetime.timedelta(minutes=5)
DAYS: Final = datetime.timedelta(days=8)
"""How far an event's identity day may lie from its time."""


async def visitors_now(cursor: Cursor, site_ids: Sequence[int], now: datetime.datetime) -> Counter[int]:
    """The visitors of the 5 minutes before `now`, by site."""
    params = {"site_ids": list(site_ids), "now": now, "since": now - NOW}
    params |= {"first_day": (now - DAYS).date(), "last_day": (now + DAYS).date()}
    return Counter(dict(await fetch(cursor, statement("stats_visitors_now"), params)))
