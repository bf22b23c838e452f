"""Commands that bring data in or take it out: import, export, demo, erase."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from portfolio_analytics.cli.shell import (
    app,
    console,
    database,
    database_address,
    fail,
    load_settings,
    progress_bar,
)
from portfolio_analytics.exporters.formats import FormatName
from portfolio_analytics.settings import Settings, local_url

import_app = App(
    name="import",
    help="""Bring in what happened before.

    Example: portfolio-analytics import access-log /var/log/nginx/access.log.gz --site example.com
    """,
)
app.command(import_app)


@import_app.command(name="access-log")
def import_access_log(file: Path, *, site: str, url: str | None = None, token: str | None = None) -> None:
    """Turn an access log in combined format (plain or gzip) into page views. Safe to run twice.

    Example: portfolio-analytics import access-log /var/log/nginx/access.log.gz --site example.com

    Parameters
    ----------
    file
        The access log.
    site
        The site that the page views belong to.
    url
        The running service; without it, the one at HOST and PORT of this machine.
    token
        A token with import scope; without it ADMIN_TOKEN, or the one that `run` made.
    """
    from portfolio_analytics.importers.checkpoint import state_folder
    from portfolio_analytics.importers.report import run_access_log_import

    state = state_folder(os.environ)
    sys.exit(run_access_log_import(file, site, _url(url), _token(token), state=state, console=console))


@import_app.command(name="export")
def import_export(file: Path, *, site: str | None = None) -> None:
    """Bring an export back: CSV, NDJSON or Parquet. What is there already or was erased stays as it is.

    Example: portfolio-analytics import export example.com.parquet

    Parameters
    ----------
    file
        What `export` or GET /api/export wrote.
    site
        The site that the events become those of; without it, the sites that the file names.
    """
    from portfolio_analytics.importers.restore import restore_export

    horizon_days = load_settings().retention_days
    try:
        with database() as connection, progress_bar("Importing") as on_progress:
            outcome = restore_export(
                file, connection, site=site, horizon_days=horizon_days, on_progress=on_progress
            )
    except OSError as error:
        fail(f"{file}: {error.strerror or error}")
    console.print(f"{outcome.read:,} events read, {outcome.stored:,} were missing and are in.")


@import_app.command(name="original")
def import_original(*, table: str = "analytics_events", before: datetime | None = None) -> None:
    """Bring in the table of the original Go service, and let the topic's records count from there on.

    Example: portfolio-analytics import original --before 2026-11-20T12:00:00

    Parameters
    ----------
    table
        The table, in the same database.
    before
        The cut-off (UTC): rows made before it are taken, records before it are not. Without it, the first
        event that was counted from the topic, else now.
    """
    from portfolio_analytics.importers.original import import_original as import_table
    from portfolio_analytics.storage.database import connect

    settings = load_settings()
    address = database_address(settings)
    with connect(address) as reader, connect(address) as writer, progress_bar("Importing") as on_progress:
        outcome, cut_off = import_table(
            reader,
            writer,
            table,
            None if before is None else before.replace(tzinfo=before.tzinfo or UTC),
            horizon_days=settings.retention_days,
            on_progress=on_progress,
        )
    console.print(f"{outcome.read:,} rows read, {outcome.stored:,} were missing and are in.")
    console.print(f"Records of the topic count from {cut_off:%Y-%m-%d %H:%M:%S.%f} UTC on.", highlight=False)


@app.command
def export(
    *,
    site: str,
    first: Annotated[date | None, Parameter(name="--from")] = None,
    last: Annotated[date | None, Parameter(name="--to")] = None,
    format: FormatName = "csv",  # noqa: A002 - what the option is called
    output: Annotated[str, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)],
) -> None:
    """Write a site's events with all that is stored of them to a file.

    Example: portfolio-analytics export --site example.com --format parquet -o example.com.parquet

    Parameters
    ----------
    first
        The first of the site's local days; without it, from the beginning.
    last
        The last of the site's local days, included; without it, to the end.
    format
        csv, ndjson or parquet.
    output
        The file, or - for standard output.
    """
    from portfolio_analytics.exporters.export import export as write
    from portfolio_analytics.exporters.export import export_to_file

    try:
        with database() as connection, progress_bar("Exporting") as on_progress:
            if output == "-":
                write(connection, site, first, last, format, sys.stdout.buffer, on_progress)
                sys.stdout.buffer.flush()
                return
            done = export_to_file(connection, site, first, last, format, Path(output), on_progress)
    except OSError as error:
        fail(f"{output}: {error.strerror or error}")
    console.print(f"{done:,} events are in {output}.", markup=False, highlight=False)


@app.command
def demo(
    *,
    url: str | None = None,
    site: str = "demo",
    rate: float = 5.0,
    seconds: float | None = None,
    days: int = 0,
    token: str | None = None,
) -> None:
    """Send believable traffic, so that the numbers move.

    Example: portfolio-analytics demo --rate 20 --days 30

    Parameters
    ----------
    url
        The running service; without it, the one at HOST and PORT of this machine.
    site
        The site that the traffic is for.
    rate
        Events a second.
    seconds
        How long; without it, until Ctrl-C.
    days
        How many past days to fill first; needs a token with import scope.
    token
        A token with import scope; without it ADMIN_TOKEN, or the one that `run` made.
    """
    from portfolio_analytics.demo.sender import run_demo

    sys.exit(run_demo(_url(url), _token(token), site, rate, seconds, days=days, console=console))


@app.command
def erase(
    *,
    site: str,
    session: str | None = None,
    visitor_id: str | None = None,
    visitor: int | None = None,
    show: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Erase everything about one visitor or session (GDPR 17), or show it (GDPR 15). It stays erased.

    Example: portfolio-analytics erase --site example.com --visitor-id 6f1c...

    Parameters
    ----------
    session
        The session_id that the client sent.
    visitor_id
        The persistent id that the tracker keeps with consent.
    visitor
        The visitor's number, as an export shows it.
    show
        Print what is stored, one JSON object a line, and erase nothing.
    """
    from portfolio_analytics.consumer.erase import erase as erase_keys
    from portfolio_analytics.consumer.erase import subject_events
    from portfolio_analytics.consumer.transaction import Store
    from portfolio_analytics.shared.identity import actor_id, known_visitor_id
    from portfolio_analytics.storage import audit, sites, steps

    if session is None and visitor_id is None and visitor is None:
        fail("Say who: --session, --visitor-id or --visitor.", status=2)
    with database() as connection:
        site_id = steps.run(connection, sites.site_id_of(site))
        found = steps.run(connection, sites.find(site))
        # The same person has another number under each name that the site has had.
        names = [found.name, *found.aliases]
        keys = [] if visitor is None else [visitor]
        if session is not None:
            keys += [actor_id(name, session) for name in names]
        if visitor_id is not None:
            keys += [known_visitor_id(name, visitor_id) for name in names]
        if show:
            for event in subject_events(connection, site_id, keys):
                print(json.dumps(event, default=str))  # noqa: T201 - the answer itself, for a pipe
            return
        erased = erase_keys(Store(connection, ""), site_id, keys)
        steps.run(connection, audit.record("command line", "erase", site_id, site, events=erased))
    console.print(f"Events erased: {erased:,}. What may still come from the log stays out.")


def _url(given: str | None) -> str:
    return given or local_url(Settings.load(os.environ))


def _token(given: str | None) -> str | None:
    from portfolio_analytics.importers.service import find_token

    return find_token(given, os.environ, Settings.load(os.environ).data_dir)
