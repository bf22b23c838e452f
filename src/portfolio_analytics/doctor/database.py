"""PostgreSQL: whether it can be trusted with the events, and what it says about the pipeline."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date

import psycopg

from portfolio_analytics.doctor.check import Check
from portfolio_analytics.storage.migrate import pending

OLDEST_VERSION = 14
NEWEST_VERSION = 18
FEW_CONNECTIONS = 5
SOME_CONNECTIONS = 20

NAME = "database"


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """A server as it is. `free_connections` are those that this role may still open.

    `ahead_seconds` is how far the server's clock is ahead of this machine's.
    """

    version: int
    pending: list[str]
    max_connections: int
    free_connections: int
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str
    read_only: bool
    ahead_seconds: float


@dataclass(frozen=True, slots=True)
class StoredPosition:
    """How far a partition has been consumed, and how many seconds ago that last changed."""

    topic_id: str
    partition: int
    next: int | None
    age_seconds: float


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What the pipeline wrote down. Bad rows are those of the last 24 hours that were not retried."""

    gaps: list[tuple[int, int, int]]
    bad_rows: dict[str, int]
    positions: list[StoredPosition]
    old_salts: list[date]
    todays_salt: bool


def look_at_database(connection: psycopg.Connection) -> DatabaseFacts:
    """The facts of the server. The connection must be in autocommit mode. Raises psycopg.Error."""
    before = time.time()
    [(there,)] = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchall()
    here = (before + time.time()) / 2
    [row] = connection.execute(
        "SELECT current_setting('server_version_num')::int, current_setting('max_connections')::int,"
        " current_setting('superuser_reserved_connections')::int, current_setting('fsync')::bool,"
        " current_setting('full_page_writes')::bool, current_setting('synchronous_commit'),"
        " pg_is_in_recovery() OR current_setting('transaction_read_only')::bool,"
        " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"
    ).fetchall()
    version, most, reserved, fsync, full_pages, commit, read_only, used = row
    return DatabaseFacts(
        version=version,
        pending=pending(connection),
        max_connections=most,
        free_connections=most - reserved - used,
        fsync=fsync,
        full_page_writes=full_pages,
        synchronous_commit=commit,
        read_only=read_only,
        ahead_seconds=there - here,
    )


def look_at_store(connection: psycopg.Connection) -> StoreFacts:
    """What the pipeline wrote down; the migrations must have run. Raises psycopg.Error."""
    gaps = connection.execute(
        "SELECT partition, wanted, resumed FROM log_gaps WHERE acknowledged_at IS NULL"
        " ORDER BY gap_id LIMIT 100"
    ).fetchall()
    bad = connection.execute(
        "SELECT reason, count(*) FROM bad_rows"
        " WHERE created_at > now() - interval '24 hours' AND retried_at IS NULL GROUP BY 1 ORDER BY 2 DESC"
    ).fetchall()
    positions = connection.execute(
        "SELECT topic_id, partition, next, extract(epoch FROM now() - updated_at)::float8"
        " FROM log_positions ORDER BY 1, 2"
    ).fetchall()
    [(old_salts, todays_salt)] = connection.execute(
        "SELECT coalesce(array_agg(day ORDER BY day) FILTER (WHERE day < today - 1), '{}'),"
        " coalesce(bool_or(day = today), false)"
        " FROM salts, (SELECT (now() AT TIME ZONE 'UTC')::date AS today) AS clock"
    ).fetchall()
    return StoreFacts(
        gaps=list(gaps),
        bad_rows=dict(bad),
        positions=[StoredPosition(*row) for row in positions],
        old_salts=old_salts,
        todays_salt=todays_salt,
    )


def judge_database(facts: DatabaseFacts) -> list[Check]:
    """Findings about the server."""
    checks = [_version(facts.version // 10000), _durability(facts), _connections(facts)]
    if facts.read_only:
        checks.append(
            Check(NAME, "fail", "The server takes no writes.", "Let DATABASE_URL name the primary server.")
        )
    if facts.pending:
        names = ", ".join(facts.pending)
        checks.append(
            Check(NAME, "fail", f"Migrations are missing: {names}.", "Run `portfolio-analytics migrate`.")
        )
    else:
        checks.append(Check(NAME, "ok", "All migrations were applied."))
    return checks


def judge_store(facts: StoreFacts) -> list[Check]:
    """Findings about gaps, bad rows and salts."""
    return [_gaps(facts.gaps), _bad_rows(facts.bad_rows), _salts(facts)]


def _version(major: int) -> Check:
    if major < OLDEST_VERSION:
        return Check(
            NAME, "fail", f"PostgreSQL {major} is too old.", f"Use version {OLDEST_VERSION} or a newer one."
        )
    if major > NEWEST_VERSION:
        return Check(
            NAME, "warn", f"PostgreSQL {major} is newer than what was tried.", f"Prefer {NEWEST_VERSION}."
        )
    return Check(NAME, "ok", f"PostgreSQL {major} answers.")


def _durability(facts: DatabaseFacts) -> Check:
    off = [name for name in ("fsync", "full_page_writes") if not getattr(facts, name)]
    if off:
        settings = " and ".join(off)
        return Check(
            NAME,
            "fail",
            f"{settings} off: a power cut can leave the database corrupt.",
            "Set fsync = on and full_page_writes = on.",
        )
    if facts.synchronous_commit == "off":
        return Check(
            NAME,
            "warn",
            "synchronous_commit is off: a crash takes the last moments back, until the log is read again.",
            "Set synchronous_commit = on for this role.",
        )
    return Check(NAME, "ok", "Commits are on disk when they are confirmed.")


def _connections(facts: DatabaseFacts) -> Check:
    sentence = f"{max(facts.free_connections, 0)} of {facts.max_connections} connections are free."
    if facts.free_connections < FEW_CONNECTIONS:
        return Check(NAME, "fail", sentence, "Raise max_connections, or set WORKERS lower.")
    if facts.free_connections < SOME_CONNECTIONS:
        return Check(NAME, "warn", sentence, "Raise max_connections before you add workers.")
    return Check(NAME, "ok", sentence)


def _gaps(gaps: list[tuple[int, int, int]]) -> Check:
    if not gaps:
        return Check("log gaps", "ok", "No record was gone from the log before it was counted.")
    lost = sum(max(resumed - wanted, 0) for _, wanted, resumed in gaps)
    partitions = ", ".join(str(partition) for partition in sorted({partition for partition, _, _ in gaps}))
    return Check(
        "log gaps",
        "fail",
        f"{lost:,} records of partition {partitions} were gone from the log before they were counted.",
        "Raise LOG_RETENTION_DAYS and keep a consumer running; then take note of the gap: "
        "`portfolio-analytics doctor --acknowledge-gaps`.",
    )


def _bad_rows(counts: dict[str, int]) -> Check:
    if not counts:
        return Check("bad rows", "ok", "No record was refused in the last 24 hours.")
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
    return Check(
        "bad rows",
        "warn",
        f"{sum(counts.values()):,} records were refused in the last 24 hours: {reasons}.",
        "See `portfolio-analytics badrows`.",
    )


def _salts(facts: StoreFacts) -> Check:
    if facts.old_salts:
        days = ", ".join(day.isoformat() for day in facts.old_salts[:3])
        return Check(
            "salts",
            "fail",
            f"Salts that should have been destroyed are still there: {days}.",
            "Start a producer: it destroys salts that are older than yesterday.",
        )
    if not facts.todays_salt:
        return Check("salts", "ok", "There is no salt of today yet; the first producer makes it.")
    return Check("salts", "ok", "Only salts of yesterday and later are kept.")
