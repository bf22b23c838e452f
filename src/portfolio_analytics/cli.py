"""The commands, and nothing else."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console

from portfolio_analytics.settings import Settings
from portfolio_analytics.shared.errors import AnalyticsError, SettingsError

# Imports of a command's own parts stand in the command: a start must not pay for what it does not use.

app = App(
    name="portfolio-analytics",
    help="Real-time web analytics that can prove that no event was lost or counted twice.",
    version_flags=["--version"],
)
sites_app = App(name="sites", help="Add, list, change and delete sites.")
tokens_app = App(name="tokens", help="Create, list and revoke access tokens.")
badrows_app = App(name="badrows", help="Look at records that could not be stored, and try them again.")
import_app = App(name="import", help="Bring in what happened before, or an export.")
for group in (sites_app, tokens_app, badrows_app, import_app):
    app.command(group)

console = Console()
DEFAULT_URL = "http://127.0.0.1:8080"


def main() -> None:
    """Entry point of the command line."""
    try:
        app()
    except SettingsError as error:
        _fail("The settings cannot be used:", *(f"  {problem}" for problem in error.problems), status=2)
    except AnalyticsError as error:
        _fail(str(error), status=1)


@app.command
def run() -> None:
    """Run everything in one command, with an event log and a PostgreSQL of its own where none is set.

    Example: portfolio-analytics run
    """
    from portfolio_analytics.run import run as run_all

    run_all(_settings(), console)


@app.command
def producer() -> None:
    """Take events in over HTTP and publish them to the log; answer questions from the database.

    Example: KAFKA_BROKER=kafka:9092 DATABASE_URL=postgresql://... portfolio-analytics producer
    """
    from portfolio_analytics.app import serve_http

    serve_http(_settings(host="0.0.0.0", workers=os.cpu_count() or 1))  # noqa: S104 - meant for a container


@app.command
def consumer() -> None:
    """Write events from the log to the database. Start as many as you like.

    Example: KAFKA_BROKER=kafka:9092 DATABASE_URL=postgresql://... portfolio-analytics consumer
    """
    from portfolio_analytics.consume import consume

    consume(_settings())


@app.command
def migrate(*, post: bool = False) -> None:
    """Bring the database's schema up to date.

    Example: DATABASE_URL=postgresql://... portfolio-analytics migrate

    Parameters
    ----------
    post
        Also take away what only workers of the version before needed; when none of them runs any more.
    """
    from portfolio_analytics.consume import database_url
    from portfolio_analytics.storage.database import connect
    from portfolio_analytics.storage.migrate import migrate as apply

    with connect(database_url(_settings())) as connection:
        applied = apply(connection, post=post)
    console.print(
        "\n".join(f"applied {name}" for name in applied) or "Nothing to do: the schema is up to date."
    )


@app.command
def demo(
    *,
    url: str = DEFAULT_URL,
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
        The running service.
    rate
        Events a second.
    seconds
        How long; without it, until Ctrl-C.
    days
        How many past days to fill first; needs a token with import scope.
    """
    from portfolio_analytics.demo import run_demo

    sys.exit(run_demo(url, _token(token), site, rate, seconds, days=days, console=console))


@import_app.command(name="access-log")
def import_access_log(file: Path, *, site: str, url: str = DEFAULT_URL, token: str | None = None) -> None:
    """Turn an access log in combined format (plain or gzip) into page views. Safe to run twice.

    Example: portfolio-analytics import access-log /var/log/nginx/access.log.gz --site example.com

    Parameters
    ----------
    file
        The access log.
    site
        The site that the page views belong to.
    url
        The running service.
    token
        A token with import scope; without it ADMIN_TOKEN, or the one that `run` made.
    """
    from portfolio_analytics.importers.checkpoint import state_folder
    from portfolio_analytics.importers.report import run_access_log_import

    sys.exit(
        run_access_log_import(file, site, url, _token(token), state=state_folder(os.environ), console=console)
    )


def _settings(*, host: str = "127.0.0.1", workers: int = 1) -> Settings:
    settings = Settings.load(os.environ, host=host, workers=workers)
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    return settings


def _token(given: str | None) -> str | None:
    from portfolio_analytics.importers.service import find_token

    return find_token(given, os.environ, Settings.load(os.environ).data_dir)


def _fail(*lines: str, status: int) -> None:
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201
    sys.exit(status)
