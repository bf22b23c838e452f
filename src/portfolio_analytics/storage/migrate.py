"""Numbered migrations under an advisory lock.

`NNNN_name.sql` is a migration's first half: it adds, so that the workers of the version before go on.
`NNNN_name.post.sql` is its second half: it takes away what only old workers needed, and runs when none of
them is left (`portfolio-analytics migrate --post`), or at once in an empty database.

So a worker runs on its own schema and on that of the next version's first halves. It waits for a schema that
is behind it, and refuses one from which a later version's second half has taken something away.
"""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from functools import cache
from importlib import resources

import psycopg

from portfolio_analytics.shared.errors import AnalyticsError
from portfolio_analytics.storage.database import SCHEMA
from portfolio_analytics.storage.steps import Query, Steps, run

logger = logging.getLogger(__name__)

LOCK_SECONDS = 2
"""For a lock on a table. Whoever waits for one holds up all that come after: rather try again."""

LOCK_PAUSE = 1.0
LOCK_TRIES = 200

_LOCK = 0x706F7274  # any constant that no other program's advisory lock is likely to use
_NAME = re.compile(r"(\d{4})_(\w+)(\.post)?\.sql")


class SchemaTooNew(AnalyticsError):
    """A later version has taken away what this one may need."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the database's schema stands to this version.

    behind: first halves that this version needs and the database lacks; beyond: second halves of later
    versions that the database has had.
    """

    behind: list[str]
    beyond: list[str]

    @property
    def problem(self) -> str | None:
        """One sentence for people; None where this version runs well."""
        if self.behind:
            return (
                f"The schema is behind this version, it lacks {', '.join(self.behind)}: "
                "run `portfolio-analytics migrate`"
            )
        if self.beyond:
            return (
                f"The schema is that of a later version, which has had {', '.join(self.beyond)}: "
                "upgrade this process"
            )
        return None


@dataclass(frozen=True, order=True, slots=True)
class Migration:
    """One file: its number, whether it is the second half, its name and its SQL."""

    number: int
    post: bool
    name: str
    sql: str

    @property
    def label(self) -> str:
        """What people call it."""
        return _label(self.number, self.name, post=self.post)


@cache
def migrations() -> tuple[Migration, ...]:
    """All migrations of this version, in order."""
    found = []
    for file in resources.files("portfolio_analytics.storage").joinpath("migrations").iterdir():
        match = _NAME.fullmatch(file.name)
        if match:
            found.append(
                Migration(int(match[1]), match[3] is not None, match[2], file.read_text(encoding="utf-8"))
            )
    return tuple(sorted(found))


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
            _apply(connection, migration)
            applied.append(migration.label)
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
    return applied


def standing() -> Steps[Standing]:
    """How the schema stands to this version."""
    [row] = yield Query(f"SELECT to_regclass('{SCHEMA}.migrations') IS NOT NULL AS made")
    rows = []
    if row["made"]:
        rows = yield Query(f"SELECT number, post, name FROM {SCHEMA}.migrations ORDER BY number")
    done = {(row["number"], row["post"]) for row in rows}
    ours = migrations()
    latest = max(migration.number for migration in ours)
    return Standing(
        [one.label for one in ours if not one.post and (one.number, False) not in done],
        [
            _label(row["number"], row["name"], post=True)
            for row in rows
            if row["post"] and row["number"] > latest
        ],
    )


def require_fit(connection: psycopg.Connection) -> None:
    """Raises SchemaTooNew when a later version has taken something away."""
    found = run(connection, standing())
    if found.beyond:
        raise SchemaTooNew(f"{found.problem}.")


def pending(connection: psycopg.Connection) -> list[str]:
    """First halves that this version needs and the database lacks."""
    return run(connection, standing()).behind


def _apply(connection: psycopg.Connection, migration: Migration) -> None:
    """One file in one transaction. Gives way to whoever holds a lock that it needs, and tries again."""
    for left in reversed(range(LOCK_TRIES)):
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
                connection.execute(migration.sql.encode())
                connection.execute(
                    f"INSERT INTO {SCHEMA}.migrations (number, post, name) VALUES (%s, %s, %s)",
                    [migration.number, migration.post, migration.name],
                )
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if not left:
                raise
            logger.info("%s waits for a table that is in use.", migration.label)
            time.sleep(LOCK_PAUSE)
        else:
            return


def _label(number: int, name: str, *, post: bool) -> str:
    return f"{number:04d}_{name}{'.post' if post else ''}"


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
