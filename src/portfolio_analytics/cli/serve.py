"""Commands that run the service: run, producer, consumer, migrate, doctor."""

from __future__ import annotations

import os
import sys

from portfolio_analytics.cli.shell import app, console, database_address, load_settings


@app.command
def run() -> None:
    """Run everything in one command, with an event log and a PostgreSQL of its own where none is set.

    Example: portfolio-analytics run
    """
    from portfolio_analytics.run import run as run_all

    run_all(load_settings(), console)


@app.command
def producer() -> None:
    """Take events in over HTTP and publish them to the log; answer questions from the database.

    Example: KAFKA_BROKER=kafka:9092 DATABASE_URL=postgresql://... portfolio-analytics producer
    """
    from portfolio_analytics.app import serve_http

    serve_http(load_settings(host="0.0.0.0", workers=os.cpu_count() or 1))  # noqa: S104 - for a container


@app.command
def consumer() -> None:
    """Write events from the log to the database. Start as many as you like.

    Example: KAFKA_BROKER=kafka:9092 DATABASE_URL=postgresql://... portfolio-analytics consumer
    """
    from portfolio_analytics.consume import consume

    consume(load_settings())


@app.command
def migrate(*, post: bool = False) -> None:
    """Bring the database's schema up to date.

    Example: DATABASE_URL=postgresql://... portfolio-analytics migrate

    Parameters
    ----------
    post
        Also take away what only workers of the version before needed; when none of them runs any more.
    """
    from portfolio_analytics.storage.database import connect
    from portfolio_analytics.storage.migrate import migrate as apply

    with connect(database_address(load_settings())) as connection:
        applied = apply(connection, post=post)
    console.print(
        "\n".join(f"applied {name}" for name in applied) or "Nothing to do: the schema is up to date."
    )


@app.command
def doctor(*, json: bool = False) -> None:
    """Check settings, log, replication, database, clock and disk, and say what to do about each problem.

    Example: portfolio-analytics doctor

    Parameters
    ----------
    json
        One JSON document instead of a table.
    """
    from portfolio_analytics.doctor import run_doctor

    sys.exit(run_doctor(os.environ, as_json=json, console=console))
