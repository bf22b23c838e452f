"""The sites as a consumer sees them: made when their first event arrives, locked while it writes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from portfolio_analytics.storage.sites import LOCK_FOR_RECORDS

_FIND = """
SELECT n.name, coalesce(s.site_id, a.site_id)
FROM unnest(%s::text[]) AS n (name)
LEFT JOIN sites s ON s.name = n.name
LEFT JOIN site_aliases a ON a.name = n.name
"""
_MAKE = "INSERT INTO sites (name) SELECT unnest(%s::text[]) ON CONFLICT (name) DO NOTHING"


class Site(NamedTuple):
    """A site, in the state that holds until the transaction ends."""

    site_id: int
    name: str
    time_zone: str
    counts_from: int | None  # Unix milliseconds; what was accepted before is no longer taken
    deleted: bool


def find_sites(connection: psycopg.Connection[Any], names: Iterable[str]) -> dict[str, int]:
    """The numbers of the sites of these names; those that are missing are made, since their events were
    acknowledged. The connection must be in autocommit mode.
    """
    wanted = sorted(set(names))
    found = dict(connection.execute(_FIND, [wanted]).fetchall())
    missing = [name for name in wanted if found[name] is None]
    if missing:
        connection.execute(_MAKE, [missing])
        found = dict(connection.execute(_FIND, [wanted]).fetchall())
    return found


def lock_sites(cursor: psycopg.Cursor[Any], site_ids: Iterable[int]) -> dict[int, Site]:
    """The sites' state, which no administrative act changes until the transaction ends."""
    rows = cursor.execute(LOCK_FOR_RECORDS, {"site_ids": sorted(set(site_ids))}).fetchall()
    return {
        site_id: Site(site_id, name, time_zone, _ms(counts_from), deleted_at is not None)
        for site_id, name, time_zone, counts_from, deleted_at in rows
    }


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)
