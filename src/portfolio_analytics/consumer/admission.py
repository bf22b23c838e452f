"""Admission: which events of a batch are not to be counted, by the state of their site or by an erasure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from portfolio_analytics.consumer.batch import Item
from portfolio_analytics.consumer.decode import Rejected
from portfolio_analytics.consumer.site import Site
from portfolio_analytics.consumer.visits.window import Key
from portfolio_analytics.shared.log.protocol import LogRecord
from portfolio_analytics.storage.arrays import numbers

_SUPPRESSED = """
SELECT site_id, key, (extract(epoch FROM until) * 1000)::bigint
FROM suppressions WHERE key = ANY(%s::bigint[])
"""


def admit(
    items: list[Item], sites: Mapping[int, Site], erased: Mapping[Key, int], *, settled: bool
) -> tuple[list[Item], list[Rejected]]:
    """Turn away what belongs to a deleted or, unless `settled`, a reset site, and what was erased."""
    if not erased and not any(site.deleted or site.counts_from is not None for site in sites.values()):
        return items, []
    kept, rejected = [], []
    for item in items:
        site = sites[item.site_id]
        if site.deleted:
            rejected.append(reject(item, "site_deleted", "The site was deleted."))
        elif not settled and site.counts_from is not None and item.event.at < site.counts_from:
            rejected.append(reject(item, "site_reset", "The site was reset after the event."))
        elif erased and _is_erased(item, erased):
            rejected.append(reject(item, "erased", "The visitor was erased."))
        else:
            kept.append(item)
    return kept, rejected


def suppressions(cursor: psycopg.Cursor[Any], people: Iterable[Key]) -> dict[Key, int]:
    """Until when (Unix milliseconds) the events of these visitors and actors are erased."""
    rows = cursor.execute(_SUPPRESSED, [numbers(key for _, key in people)]).fetchall()
    return {(site_id, key): until for site_id, key, until in rows}


def _is_erased(item: Item, erased: Mapping[Key, int]) -> bool:
    return any(item.event.time <= erased.get((item.site_id, key), -1) for key in (item.actor, item.visitor))


def reject(item: Item, reason: str, detail: str) -> Rejected:
    """`item` as a rejected record."""
    event = item.event
    return Rejected(LogRecord(item.partition, item.offset, event.at, None, None), reason, detail, event)
