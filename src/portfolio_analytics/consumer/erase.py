"""Erasure and a subject's data: GDPR articles 15 and 17, by visitor or by session.

An erasure first writes a suppression entry, which consumer, replay, restore and import obey; only then do the
rows go. What was under way meanwhile waits for the lock of the visitor's row or is turned away by the entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from portfolio_analytics.consumer.transaction import Store
from portfolio_analytics.consumer.visits.window import Key, Window

FETCH = 5_000

_SUPPRESS = """
INSERT INTO suppressions (site_id, key, until) SELECT %s, unnest(%s::bigint[]), now()
ON CONFLICT (site_id, key) DO UPDATE SET until = greatest(suppressions.until, excluded.until)
"""
_LATER = "SELECT key FROM visitors WHERE site_id = %s AND continues = ANY(%s)"
_FIND = """
SELECT actor, (extract(epoch FROM min(time)) * 1000)::bigint, (extract(epoch FROM max(time)) * 1000)::bigint
FROM events WHERE site_id = %s AND (visitor = ANY(%s) OR actor = ANY(%s)) GROUP BY actor
"""
_DELETE = "DELETE FROM events WHERE site_id = %s AND (visitor = ANY(%s) OR actor = ANY(%s))"
_EVENTS = """
SELECT e.event_id, e.time, e.type, p.path, e.title, e.duration_ms, e.scroll_depth, e.target, e.props,
    e.consent, o.referrer, o.source, c.browser, c.os, c.device, c.country, c.region, c.city
FROM events e
LEFT JOIN pages p USING (site_id, page_id)
LEFT JOIN origins o USING (site_id, origin_id)
LEFT JOIN clients c USING (site_id, client_id)
WHERE e.site_id = %s AND (e.visitor = ANY(%s) OR e.actor = ANY(%s)) ORDER BY e.time
"""


def erase(store: Store, site_id: int, keys: list[int]) -> int:
    """Erase everything of the visitors or sessions `keys` on a site up to now; how many events went.

    Bad rows of theirs cannot be told apart from others and are not touched: they go by retention.
    """
    connection = store.connection
    # Who went on past midnight under a new hash has events under both.
    later = connection.execute(_LATER, [site_id, keys]).fetchall()
    keys = sorted({*keys, *(key for (key,) in later)})
    connection.execute(_SUPPRESS, [site_id, keys])
    with connection.transaction(), connection.cursor() as cursor:
        store.lock(cursor, {(site_id, key) for key in keys})
        found = cursor.execute(_FIND, [site_id, keys, keys]).fetchall()
        if not found:
            return 0
        # A session that is erased by its visitor would come back under its own key.
        actors = sorted({actor for actor, *_ in found} - set(keys))
        cursor.execute(_SUPPRESS, [site_id, actors])
        erased = cursor.execute(_DELETE, [site_id, keys, keys]).rowcount
        span = Window(min(low for _, low, _ in found), max(high for _, _, high in found))
        concerned: set[Key] = {(site_id, actor) for actor, *_ in found}
        store.recount_within(cursor, concerned, span)
    return erased


def subject_events(
    connection: psycopg.Connection[Any], site_id: int, keys: list[int]
) -> Iterator[dict[str, object]]:
    """Everything stored about the visitors or sessions `keys` on a site, event by event."""
    with connection.transaction(), connection.cursor("subject") as cursor:
        cursor.itersize = FETCH
        cursor.execute(_EVENTS, [site_id, keys, keys])
        assert cursor.description is not None
        names = [column.name for column in cursor.description]
        for row in cursor:
            yield dict(zip(names, row, strict=True))
