"""A small history with all that an export must carry, and databases to bring it back into."""

from __future__ import annotations

from typing import Any

import psycopg

from portfolio_analytics.shared.record import VISITOR_KNOWN, EventRecord
from tests.integration.stats_history import Site
from tests.records import DAY_MS, NOON, event

SITE = Site("shop.example", "Asia/Kathmandu")
OTHER = Site("other.example", "UTC")
MINUTE = 60_000
MIDNIGHT = (NOON // DAY_MS + 1) * DAY_MS

# What a table holds, apart from the numbers of sites and the time of storing.
TABLES = {
    "events": "s.name, event_id, time, accepted_at, actor, visitor, page_id, client_id, "
    "origin_id, log_offset, day, duration_ms, log_partition, flags, scroll_depth, type, host, title, "
    "target::text, props::text, consent",
    "visits": "s.name, actor, visitor, start_time, end_time, entry_page, exit_page, client_id, origin_id, "
    "day, pageviews, events, interactions, engaged_ms, known, detail",
    "pages": "s.name, page_id, path",
    "clients": "s.name, t.*",
    "origins": "s.name, t.*",
    "event_totals": "s.name, day, type, sum(n)",
    "rollup_months": "s.name, dimension, month, value, sum(visitors), sum(known_visitors), sum(visits), "
    "sum(bounces), sum(pageviews), sum(t.events), sum(duration_ms), sum(engaged_ms), sum(scroll_sum), "
    "sum(scroll_visits)",
    "rollups": "s.name, dimension, day, value, sum(visitors), sum(known_visitors), sum(visits), "
    "sum(bounces), sum(pageviews), sum(t.events), sum(duration_ms), sum(engaged_ms), sum(scroll_sum), "
    "sum(scroll_visits)",
}


def contents(connection: psycopg.Connection[Any]) -> dict[str, list[str]]:
    found = {}
    for table, columns in TABLES.items():
        grouped = "GROUP BY " + columns.partition(", sum(")[0] if "sum(" in columns else ""
        kept = (
            "HAVING sum(t.events) <> 0 OR sum(visits) <> 0 OR sum(visitors) <> 0"
            if table.startswith("rollup")
            else ""
        )
        rows = connection.execute(
            f"SELECT {columns} FROM {table} t JOIN sites s USING (site_id) {grouped} {kept}".encode()
        ).fetchall()
        number = {"clients": 1, "origins": 1}.get(table)  # t.* begins with the site's number
        found[table] = sorted(repr(row[:number] + row[number + 1 :] if number else row) for row in rows)
    return found


def history() -> list[EventRecord]:
    """Visits that go on past midnight, sessions, consent, campaigns, odd words, an event of another day."""
    return [
        event(site=SITE.name, page="/?utm_source=news", referrer="https://www.google.com/", title="=1+1"),
        event(site=SITE.name, type="click", time=NOON + MINUTE, target={"tag": "a", "class": "'x"}),
        event(site=SITE.name, type="time_spent", time=NOON + 2 * MINUTE, duration_ms=30_000, scroll_depth=80),
        event(site=SITE.name, page="/@me", time=NOON + 7, visitor=-9, session="s1", host="www.shop.example"),
        event(site=SITE.name, page="/a,b\r\n\"c'", time=NOON + 9, visitor=-9, session="s1", title=""),
        event(
            site=SITE.name, type="+signup", visitor=77, flags=VISITOR_KNOWN, consent="granted",
            props={"a": 1e300, "b": "-2", "c": True, "d": 1.5, "e": "\\u0000"}, country="DE",
            screen_width=400,
        ),
        event(site=SITE.name, time=MIDNIGHT - 5 * MINUTE, visitor=3),
        event(site=SITE.name, time=MIDNIGHT + 5 * MINUTE, visitor=4, visitor_before=3),
        event(site=SITE.name, time=MIDNIGHT + 34 * MINUTE, visitor=4),
        event(site=SITE.name, time=NOON - 3 * DAY_MS, day=NOON // DAY_MS, visitor=5),
        event(site=OTHER.name, visitor=6),
    ]  # fmt: skip
