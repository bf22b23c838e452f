"""Commands that run the service: run, producer, consumer, migrate, doctor."""

from __future__ import annotations

import os
import sys

from portfolio_analytics.cli.shell import (
    COMMAND_LINE,
    app,
    console,
    database,
    database_address,
    load_settings,
)


@app.command
def run() -> None:
    """Run everything in one command, with an event log and a PostgreSQL of its own where none is set.

    Example: portfolio-analytics run
    """
    from portfolio_analytics.app.run import run as run_all

    run_all(load_settings(role="run"), console)


@app.command
def producer() -> None:
    """Take events in over HTTP and publish them to the log; answer questions from the database.

    Example: KAFKA_BROKER=kafka:9092 DATABASE_URL=postgresql://... portfolio-analytics producer
    """
    from portfolio_analytics.app.server import serve_http

    serve_http(load_settings(host="0.0.0.0", role="producer"))  # noqa: S104 - for a container


@app.command
def consumer() -> None:
    """Write events from the log to the database. Start as many as you like, on as many machines.

    Of Kafka each reads with WORKERS processes: one a core, and no more than KAFKA_PARTITIONS, unless set.

    Example: KAFKA_BROKER=kafka:9092 DATABASE_URL=postgresql://... portfolio-analytics consumer
    """
    from portfolio_analytics.app.workers import consume_side_by_side

    consume_side_by_side(load_settings(role="consumer"))


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
def doctor(*, json: bool = False, acknowledge_gaps: bool = False) -> None:
    """Check settings, log, replication, database, clock and disk, and say what to do about each problem.

    Example: portfolio-analytics doctor

    Parameters
    ----------
    json
        One JSON document instead of a table.
    acknowledge_gaps
        Take note of the gaps in the log that are told: health is without a warning again.
    """
    if acknowledge_gaps:
        from portfolio_analytics.storage import gaps, steps

        with database() as connection:
            noted = steps.run(connection, gaps.acknowledge(COMMAND_LINE))
        console.print(f"{noted} gaps are acknowledged.")
    from portfolio_analytics.doctor import run_doctor

    sys.exit(run_doctor(os.environ, as_json=json, console=console))
