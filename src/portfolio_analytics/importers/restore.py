"""Bringing an export back: straight into the database, through the consumer's transaction.

Visits, rollups and totals are counted from the rows, so an event that is there already changes nothing; what
was erased stays erased.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from portfolio_analytics.consumer.batch import Item
from portfolio_analytics.consumer.transaction import UNSTORABLE, Store
from portfolio_analytics.importers.access_log import ImportProblem
from portfolio_analytics.importers.export_event import item_of
from portfolio_analytics.importers.export_file import read_export
from portfolio_analytics.shared.errors import UnknownName
from portfolio_analytics.storage import audit, sites, steps
from portfolio_analytics.storage.database import describe

BATCH = 5_000

_DELETED = "SELECT FROM sites WHERE name = %s AND deleted_at IS NOT NULL"

OnProgress = Callable[[int, int], None]
"""How far it is, and how far it goes."""


class Restored(NamedTuple):
    """How many events were read, and how many of them had no row and have one now."""

    read: int
    stored: int


def restore_export(
    path: Path,
    connection: psycopg.Connection[Any],
    *,
    site: str | None,
    horizon_days: int | None,
    on_progress: OnProgress,
) -> Restored:
    """Store what is missing of the export at `path`, as events of `site` (None: of the sites that it names).

    A site that is missing is added, in the time zone that it had. The connection must be in autocommit mode.
    Raises ImportProblem, InvalidValue, ParquetUnavailable, OSError; what was stored until then stays.
    """
    names: dict[str, str] = {}

    def items() -> Iterator[Item]:
        for found, place in read_export(path):
            wanted = site or found.site
            if wanted not in names:
                names[wanted] = _find_or_add(connection, wanted, found.time_zone)
            try:
                yield item_of(found, names[wanted])
            except ValueError as error:
                raise ImportProblem(f"{path.name}, event {found.event_id}: {error}") from error
            on_progress(*place)

    return store_items(Store(connection, "", horizon_days=horizon_days), items())


def store_items(store: Store, items: Iterable[Item]) -> Restored:
    """Store what is missing of `items`, batch by batch. Raises ImportProblem."""
    remaining = iter(items)
    read = stored = 0
    while batch := list(islice(remaining, BATCH)):
        try:
            stored += store.restore(batch, int(time.time() * 1000))
        except UNSTORABLE as error:
            reason = describe(error) if isinstance(error, psycopg.Error) else str(error)
            raise ImportProblem(
                f"Events {read + 1} to {read + len(batch)} cannot be stored: {reason}"
            ) from error
        read += len(batch)
    return Restored(read, stored)


def _find_or_add(connection: psycopg.Connection[Any], name: str, time_zone: str) -> str:
    """The present name of a site, which is added where there is none. Raises ImportProblem, InvalidValue."""
    if connection.execute(_DELETED, [name]).fetchone() is not None:
        raise ImportProblem(
            f"The site {name} was deleted; to have it again: portfolio-analytics sites add {name}"
        )
    try:
        return steps.run(connection, sites.find(name)).name
    except UnknownName:
        return steps.run(connection, sites.add(name, time_zone, audit.COMMAND_LINE)).name
