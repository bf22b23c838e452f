"""Numbered migrations under an advisory lock.

`NNNN_name.sql` is a migration's first half: it adds, so that the workers of the version before go on.
`NNNN_name.post.sql` is its second half: it takes away what only old workers needed, and runs when none of
them is left (`portfolio-analytics migrate --post`), or at once in an empty database.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

import psycopg

from portfolio_analytics.storage.database import SCHEMA

_LOCK = 0x706F7274  # any constant that no other program's advisory lock is likely to use
_NAME = re.compile(r"(\d{4})_(\w+)(\.post)?\.sql")


@dataclass(frozen=True, order=True, slots=True)
class Migration:
    """One file: its number, whether it is the second half, its name and its SQL."""

    number: int
    post: bool
    name: str
    sql: str


def migrations() -> list[Migration]:
    """All migrations of this version, in order."""
    found = []
    for file in resources.files("portfolio_analytics.storage").joinpath("migrations").iterdir():
        match = _NAME.fullmatch(file.name)
        if match:
            found.append(
                Migration(int(match[1]), match[3] is not None, match[2], file.read_text(encoding="utf-8"))
            )
    return sorted(found)


def migrate(connection: psycopg.Connection, *, post: bool = False) -> list[str]:
    """Apply what is missing, each file in a transaction of its own; returns the names applied.

    Safe when several processes start at once: the others wait, then find nothing to do.
    """
    applied = []
    connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
    try:
        fresh = _prepare(connection)
        done = _done(connection)
        for migration in migrations():
            if (migration.number, migration.post) in done or (migration.post and not (post or fresh)):
                continue
            with connection.transaction():
                connection.execute(migration.sql.encode())
                connection.execute(
                    "INSERT INTO migrations (number, post, name) VALUES (%s, %s, %s)",
                    [migration.number, migration.post, migration.name],
                )
            applied.append(f"{migration.number:04d}_{migration.name}{'.post' if migration.post else ''}")
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
    return applied


def pending(connection: psycopg.Connection) -> list[str]:
    """First halves that this version needs and the database lacks."""
    row = connection.execute("SELECT to_regclass(%s)", [f"{SCHEMA}.migrations"]).fetchone()
    done = _done(connection) if row and row[0] else set()
    return [f"{m.number:04d}_{m.name}" for m in migrations() if not m.post and (m.number, False) not in done]


def _prepare(connection: psycopg.Connection) -> bool:
    """Make the schema and the list of migrations; True when the database had neither."""
    row = connection.execute("SELECT to_regclass(%s)", [f"{SCHEMA}.migrations"]).fetchone()
    if row and row[0]:
        return False
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    connection.execute(
        f"""CREATE TABLE {SCHEMA}.migrations (
            number int, post boolean, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (number, post))"""
    )
    return True


def _done(connection: psycopg.Connection) -> set[tuple[int, bool]]:
    return set(connection.execute(f"SELECT number, post FROM {SCHEMA}.migrations").fetchall())
