"""The table of the original Go service, in the same PostgreSQL or a copy of it.

The service wrote each event to the topic and, when it read it there, into the table. So that an event does
not count from both, a cut-off divides them: rows made before it come from the table; records that the topic
took before it are turned away when they are consumed or replayed, by the site's `counts_from`.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from portfolio_analytics.consumer.batch import Item, enrich
from portfolio_analytics.consumer.decode import LEGACY_SITE, original_event, out_of_range
from portfolio_analytics.consumer.site import find_sites
from portfolio_analytics.consumer.transaction import Store
from portfolio_analytics.importers.access_log import ImportProblem
from portfolio_analytics.importers.restore import OnProgress, Restored, store_items
from portfolio_analytics.shared.record import IMPORTED, LegacyEvent

FETCH = 5_000
NO_PARTITION = -1
"""Where in the log a row stands that comes from no log."""

TAKEN = ("created_at", "inserted_at", "received_at", "timestamp")
"""The column that says when the service took an event; the first of these that there is."""

_TEXTS = ("page", "session_id", "user_agent")
_NUMBERS = ("screen_width", "screen_height")

_TABLE = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass(%s)
"""
_COLUMNS = "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
_LOCK_SITE = "SELECT deleted_at IS NOT NULL FROM sites WHERE site_id = %s FOR UPDATE"
_FIRST_COUNTED = "SELECT min(accepted_at) FROM events WHERE site_id = %s AND flags & %s = 0"
_CUT_OFF = "UPDATE sites SET counts_from = greatest(counts_from, %s) WHERE site_id = %s"


class OriginalTable(NamedTuple):
    """Where the events are, which columns they have, and which says when they were taken."""

    name: sql.Composable
    columns: frozenset[str]
    taken: str


def import_original(
    reader: psycopg.Connection[Any],
    writer: psycopg.Connection[Any],
    table: str,
    before: datetime.datetime | None,
    *,
    horizon_days: int | None,
    on_progress: OnProgress,
) -> tuple[Restored, datetime.datetime]:
    """Store what is missing of the rows made before the cut-off, and give the cut-off.

    `before` None: the time of the first event that was counted already, else now. The connections are two,
    in autocommit mode. Raises ImportProblem.
    """
    found = find_table(reader, table)
    before = set_cut_off(writer, before)
    items = _items(reader, found, before, on_progress)
    return store_items(Store(writer, "", horizon_days=horizon_days), items), before


def find_table(connection: psycopg.Connection[Any], name: str) -> OriginalTable:
    """The original service's table called `name`. Raises ImportProblem when it is none."""
    try:
        place = connection.execute(_TABLE, [name]).fetchone()
    except (psycopg.ProgrammingError, psycopg.NotSupportedError):  # not even a name
        place = None
    if place is None:
        raise ImportProblem(f"There is no table {name!r} in this database.")
    columns = frozenset(column for (column,) in connection.execute(_COLUMNS, place))
    taken = next((column for column in TAKEN if column in columns), None)
    if taken is None or not {"id", "event_type"} <= columns:
        raise ImportProblem(
            f"{name!r} is not the original service's table: that has id, event_type and timestamp."
        )
    return OriginalTable(sql.Identifier(*place), columns, taken)


def set_cut_off(connection: psycopg.Connection[Any], before: datetime.datetime | None) -> datetime.datetime:
    """Turn records away that the topic took before the cut-off, from now on; the cut-off.

    Raises ImportProblem when some of them were counted already: table and topic would count them twice.
    """
    site_id = find_sites(connection, [LEGACY_SITE])[LEGACY_SITE]
    with connection.transaction():
        locked = connection.execute(_LOCK_SITE, [site_id]).fetchone()
        if locked is None or locked[0]:
            raise ImportProblem(
                f"The site {LEGACY_SITE!r}, which these events are of, was deleted or reset a moment ago."
            )
        counted = connection.execute(_FIRST_COUNTED, [site_id, IMPORTED]).fetchone()
        first = counted[0] if counted else None
        before = before or first or datetime.datetime.now(datetime.UTC)
        if first is not None and first < before:
            raise ImportProblem(
                f"Events since {first:%Y-%m-%d %H:%M:%S.%f} UTC were counted from the topic already: "
                "the cut-off must not be later, or they count twice."
            )
        connection.execute(_CUT_OFF, [before, site_id])
    return before


def _items(
    connection: psycopg.Connection[Any],
    table: OriginalTable,
    before: datetime.datetime,
    on_progress: OnProgress,
) -> Iterator[Item]:
    """The rows made before the cut-off, in the order in which they were taken. Rows without a time are left
    out, and so are those without a type.
    """
    taken = sql.SQL("t.{}::timestamptz").format(sql.Identifier(table.taken))
    wanted = sql.SQL("FROM {} t WHERE {} < %s AND t.event_type <> ''").format(table.name, taken)
    query = sql.SQL("SELECT t.id::text, t.event_type::text, {}, {}, {} {} ORDER BY {}, t.id").format(
        _milliseconds(taken),
        _milliseconds(sql.SQL('t."timestamp"::timestamptz') if "timestamp" in table.columns else taken),
        sql.SQL(", ").join(
            sql.SQL("t.{}::{}").format(sql.Identifier(name), sql.SQL(kind))
            if name in table.columns
            else sql.NULL
            for names, kind in ((_TEXTS, "text"), (_NUMBERS, "int"))
            for name in names
        ),
        wanted,
        taken,
    )
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        counted = connection.execute(sql.SQL("SELECT count(*) {}").format(wanted), [before]).fetchone()
        total = counted[0] if counted else 0
        with connection.cursor("original") as cursor:
            cursor.itersize = FETCH
            cursor.execute(query, [before])
            for done, row in enumerate(cursor, 1):
                yield _item(*row)
                on_progress(done, total)


def _item(
    key: str,
    event_type: str,
    at: int,
    time: int | None,
    page: str | None,
    session_id: str | None,
    user_agent: str | None,
    screen_width: int | None,
    screen_height: int | None,
) -> Item:
    """A row as the consumer would have stored its record; its id follows from its key."""
    found = LegacyEvent(
        event_type=event_type,
        page=page or "",
        session_id=session_id,
        user_agent=user_agent,
        screen_width=screen_width,
        screen_height=screen_height,
    )
    event = original_event(found, time, at, f"table/{key}".encode())
    event.flags |= IMPORTED
    problem = out_of_range(event)
    if problem:
        raise ImportProblem(f"The row {key} cannot be stored: {problem}.")
    return enrich(event, NO_PARTITION, int(key) if key.isascii() and key.isdigit() else 0)


def _milliseconds(moment: sql.Composable) -> sql.Composable:
    return sql.SQL("(extract(epoch FROM {}) * 1000)::bigint").format(moment)
