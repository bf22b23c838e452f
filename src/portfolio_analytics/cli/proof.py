"""Commands that check and mend: verify, rebuild, replay, badrows."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import psycopg
from cyclopts import App

from portfolio_analytics.cli.shell import (
    app,
    console,
    database,
    database_address,
    fail,
    list_table,
    load_settings,
    progress_bar,
)

badrows_app = App(
    name="badrows",
    help="""Look at records that could not be stored, and try them again.

    Example: portfolio-analytics badrows list
    """,
)
app.command(badrows_app)

SHOWN = 50


@app.command
def verify() -> None:
    """Recompute visits, rollups and totals from the rows and compare all of them. Status 1 if any differs.

    Example: portfolio-analytics verify
    """
    from portfolio_analytics.consumer.proof.verify import verify as compare

    with database() as connection, progress_bar("Comparing") as on_progress:
        report = compare(connection, on_progress)
        names = _site_names(connection)
    console.print(
        f"{report.events:,} events, {report.visits:,} visits, {report.cells:,} rollups, "
        f"{report.totals:,} totals"
    )
    if report.clean:
        console.print("Everything is as the rows say.")
        return
    _print_some(list(report.sentences(names)))
    sys.exit(1)


@app.command
def rebuild() -> None:
    """Make visits, rollups and totals what the rows say, while ingestion goes on.

    Example: portfolio-analytics rebuild
    """
    from portfolio_analytics.consumer.proof.rebuild import rebuild as mend
    from portfolio_analytics.consumer.proof.verify import verify as compare
    from portfolio_analytics.consumer.transaction import Store
    from portfolio_analytics.storage.database import connect

    address = database_address(load_settings())
    with connect(address) as reader, connect(address) as writer:
        begun = writer.execute("SELECT now()").fetchone()
        with progress_bar("Rebuilding") as on_progress:
            report = mend(reader, Store(writer, ""), on_progress)
        # Another time zone that a site was given meanwhile wants a rebuild of its own.
        writer.execute("UPDATE sites SET rebuild_wanted_at = NULL WHERE rebuild_wanted_at < %s", begun)
        names = _site_names(reader)
        console.print(f"{report.differences:,} differences were mended.")
        _print_some(list(report.sentences(names)))
        with progress_bar("Checking") as on_progress:
            after = compare(reader, on_progress)
    if not after.clean:
        console.print(f"{after.differences:,} differences are left:", style="red")
        _print_some(list(after.sentences(names)))
        sys.exit(1)


@app.command
def replay(*, since: datetime | None = None, partition: int | None = None, offset: int | None = None) -> None:
    """Read the log again and store what is missing. What was counted is not counted twice.

    Example: portfolio-analytics replay --since 2026-11-20

    Parameters
    ----------
    since
        Begin with records of this time (UTC); without it and without an offset, with the oldest held.
    partition
        Only this partition.
    offset
        Begin at this offset; needs a partition.
    """
    from portfolio_analytics.app.replay import replay_log

    if offset is not None and partition is None:
        fail("--offset needs --partition: each partition counts its own offsets.", status=2)
    settings = load_settings()
    since_ms = None if since is None else int(since.replace(tzinfo=since.tzinfo or UTC).timestamp() * 1000)
    with progress_bar("Replaying") as on_progress:
        outcome = replay_log(
            settings,
            database_address(settings),
            since_ms=since_ms,
            partition=partition,
            offset=offset,
            on_progress=on_progress,
        )
    console.print(f"{outcome.read:,} records read, {outcome.stored:,} rows were missing and are back.")


@badrows_app.command(name="list")
def list_bad_rows(*, limit: int = 50) -> None:
    """List the latest bad rows.

    Example: portfolio-analytics badrows list
    """
    from portfolio_analytics.consumer.bad_rows import shelf as bad_rows

    table = list_table("number", "when", "partition", "offset", "site", "reason", "detail", "retried")
    with database() as connection:
        for row in bad_rows.latest(connection, limit):
            table.add_row(
                str(row.number), f"{row.created_at:%Y-%m-%d %H:%M:%S}", str(row.partition), str(row.offset),
                row.site or "", row.reason, row.detail,
                f"{row.retried_at:%Y-%m-%d %H:%M}" if row.retried_at else "",
            )  # fmt: skip
    console.print(table)


@badrows_app.command
def show(number: int) -> None:
    """Print one bad row's record as it stands in the log.

    Example: portfolio-analytics badrows show 17
    """
    from portfolio_analytics.consumer.bad_rows import shelf as bad_rows

    with database() as connection:
        row = bad_rows.find(connection, number)
    console.print(f"{row.reason}: {row.detail}", markup=False)
    sys.stdout.buffer.write((row.value or b"") + b"\n")


@badrows_app.command
def retry(*numbers: int) -> None:
    """Try bad rows again, all of them when none is named; for after an upgrade that can read them.

    Example: portfolio-analytics badrows retry 17 18
    """
    from portfolio_analytics.consumer.bad_rows import shelf as bad_rows
    from portfolio_analytics.consumer.transaction import Store

    with database() as connection:
        stored, tried = bad_rows.retry(connection, Store(connection, ""), list(numbers))
    console.print(f"{stored} of {tried} bad rows are stored now.")
    if stored < tried:
        sys.exit(1)


def _site_names(connection: psycopg.Connection[Any]) -> dict[int, str]:
    return dict(connection.execute("SELECT site_id, name FROM sites").fetchall())


def _print_some(lines: list[str]) -> None:
    for line in lines[:SHOWN]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if len(lines) > SHOWN:
        console.print(f"... and {len(lines) - SHOWN:,} more")
