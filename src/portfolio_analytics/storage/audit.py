"""The audit log: who did what, and when. It never holds an address or a secret."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from portfolio_analytics.storage.steps import Query, Steps

COMMAND_LINE = "command line"
"""The actor of what is done with the database at hand."""

_RECORD = """
    INSERT INTO audit_log (actor, action, site_id, site, detail)
    VALUES (%(actor)s, %(action)s, %(site_id)s, %(site)s, %(detail)s)"""

_ENTRIES = """
    SELECT a.audit_id, a.at, a.actor, a.action, a.site, a.detail
    FROM audit_log a LEFT JOIN sites s ON s.site_id = a.site_id
    WHERE (%(site)s::text IS NULL OR s.name = %(site)s)
      AND a.audit_id < %(before)s
    ORDER BY a.audit_id DESC LIMIT %(limit)s"""


class Entry(msgspec.Struct, frozen=True):
    """One act. `actor` is a token's name, `ADMIN_TOKEN` or `command line`."""

    audit_id: int
    at: datetime.datetime
    actor: str
    action: str
    site: str | None
    detail: dict[str, Any]


def record(
    actor: str, action: str, site_id: int | None = None, site: str | None = None, **detail: Any
) -> Steps[None]:
    """Note an act in the transaction that carries it out. `detail` is plain JSON without addresses."""
    params = {"actor": actor, "action": action, "site_id": site_id, "site": site, "detail": Jsonb(detail)}
    yield Query(_RECORD, params)


def entries(site: str | None = None, before: int = 2**63 - 1, limit: int = 100) -> Steps[list[Entry]]:
    """The newest acts, newest first; of one site where it is named, older than entry `before` to page on."""
    rows = yield Query(_ENTRIES, {"site": site, "before": before, "limit": limit})
    return [Entry(**row) for row in rows]
