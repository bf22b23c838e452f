"""An export to a file, or to standard output."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import psycopg

from portfolio_analytics.exporters.events import find_span, read_events
from portfolio_analytics.exporters.formats import make_format
from portfolio_analytics.shared.errors import UnknownName

OnProgress = Callable[[int, int], None]
"""Events done, events in all."""


def export_to_file(
    connection: psycopg.Connection[Any],
    site: str,
    first: datetime.date | None,
    last: datetime.date | None,
    name: str,
    path: Path,
    on_progress: OnProgress,
) -> int:
    """Write the export to `path`, which appears only when it is complete; how many events it has.

    Raises what `export` raises, and OSError.
    """
    draft = path.with_name(f"{path.name}.part")
    try:
        with draft.open("wb") as file:
            done = export(connection, site, first, last, name, file, on_progress)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return done


def export(
    connection: psycopg.Connection[Any],
    site: str,
    first: datetime.date | None,
    last: datetime.date | None,
    name: str,
    file: BinaryIO,
    on_progress: OnProgress,
) -> int:
    """Write a site's events, of the local days `first` to `last` (None: all), to `file`; how many they are.

    The connection must be in autocommit mode. Raises UnknownName, ParquetUnavailable, OSError.
    """
    written = make_format(name)
    span = find_span(connection, site, first, last)
    if span is None:
        raise UnknownName("unknown_site", f"There is no site {site!r}.", "site")
    done = 0
    file.write(written.begin())
    for total, rows in read_events(connection, span):
        file.write(written.rows(rows))
        done += len(rows)
        on_progress(done, total)
    file.write(written.end())
    return done
