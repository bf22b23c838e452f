"""Connections to PostgreSQL: one place for what every one of them needs."""

from __future__ import annotations

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from portfolio_analytics.shared.errors import StorageUnavailable

SCHEMA = "analytics"

# A hung peer must not hold a row lock: the kernel notices a dead connection within about 30 seconds.
_KEEPALIVE = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "connect_timeout": 10,
}


def conninfo(url: str, application_name: str = "portfolio-analytics") -> str:
    """`url` with what every connection needs: the schema, keepalives, UTC, a name. Idempotent."""
    given = conninfo_to_dict(url)
    options = str(given.get("options") or "")
    if "search_path" not in options:
        options = f"{options} -c search_path={SCHEMA},public -c timezone=UTC".strip()
    return make_conninfo(
        "", **{**_KEEPALIVE, "application_name": application_name, **given, "options": options}
    )


def connect(url: str, application_name: str = "portfolio-analytics") -> psycopg.Connection:
    """A connection in autocommit mode. Raises StorageUnavailable when there is none to be had."""
    try:
        return psycopg.connect(conninfo(url, application_name), autocommit=True)
    except psycopg.OperationalError as error:
        raise StorageUnavailable(describe(error)) from error


def describe(error: psycopg.Error) -> str:
    """One sentence about a database error: the server's own message, never the statement's values."""
    if error.diag.message_primary:
        return f"PostgreSQL: {error.diag.message_primary}"
    first = str(error).strip().splitlines() or [type(error).__name__]
    return f"PostgreSQL: {first[0]}"
