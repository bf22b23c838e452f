"""What every command shares: the application, its console, its settings, its way to the database."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import psycopg
from cyclopts import App
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from portfolio_analytics.settings import Settings
from portfolio_analytics.shared import logs
from portfolio_analytics.shared.errors import StorageUnavailable
from portfolio_analytics.storage.database import connect

# Imports of a command's own parts stand in the command: a start must not pay for what it does not use.

app = App(
    name="portfolio-analytics",
    help="Real-time web analytics that can prove that no event was lost or counted twice.",
    version_flags=["--version"],
)
console = Console()

COMMAND_LINE = "command line"
"""Who did it, for the audit log."""


def load_settings(*, host: str = "127.0.0.1", role: str = "command") -> Settings:
    """The settings of the environment, and logging set up by them. Raises SettingsError."""
    settings = Settings.load(os.environ, host=host)
    logs.configure(settings.log_level, settings.log_format, role)
    return settings


def database_address(settings: Settings) -> str:
    """DATABASE_URL, else the embedded database of a `run` under way. Raises StorageUnavailable."""
    if settings.database_url is not None:
        return settings.database_url.reveal()
    from portfolio_analytics.storage.embedded import running_dsn

    address = running_dsn(settings.data_dir)
    if address is None:
        raise StorageUnavailable(
            "No database: set DATABASE_URL, or start `portfolio-analytics run` "
            f"(DATA_DIR {settings.data_dir})."
        )
    return address


@contextmanager
def database() -> Iterator[psycopg.Connection[Any]]:
    """A connection to the service's database, in autocommit mode."""
    with connect(database_address(load_settings())) as connection:
        yield connection


@contextmanager
def progress_bar(title: str) -> Iterator[Any]:
    """A bar on the terminal; gives a function to call with what is done and what there is in all."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def list_table(name: str, *columns: str) -> Table:
    """A table whose first column is what other commands are given: whole, however narrow the terminal."""
    table = Table()
    table.add_column(name, no_wrap=True)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def fail(*lines: str, status: int = 1) -> NoReturn:
    """Say why on standard error, and end with `status`."""
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201 - standard error is where a person looks
    sys.exit(status)
