"""`portfolio-analytics run`: everything in one command."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from portfolio_analytics.app import needs
from portfolio_analytics.app.consume import migrate_patiently
from portfolio_analytics.app.sheet import SHARED, sheet_path
from portfolio_analytics.app.supervisor import Child, Supervisor, stop_on_signals
from portfolio_analytics.settings import EVERYWHERE, Secret, Settings, local_url
from portfolio_analytics.shared.access import digest
from portfolio_analytics.shared.errors import SettingsError
from portfolio_analytics.shared.log.file_lock import FileLock
from portfolio_analytics.storage import sessions, steps
from portfolio_analytics.storage.admin_token import load_or_create
from portfolio_analytics.storage.database import connect
from portfolio_analytics.storage.embedded import EmbeddedPostgres, make_data_dir

logger = logging.getLogger(__name__)

READY_S = 60.0
PORT_S = 5.0


def run(settings: Settings, console: Console) -> None:
    """Start everything that is not given, and serve until SIGINT or SIGTERM.

    Raises EmbeddedPostgresError or SettingsError when DATA_DIR cannot be used or is in use, and SettingsError
    for what the producer or the consumer would end over: it would be started again and again.
    """
    # Until there is a supervisor to stop: what was begun is ended, the database above all.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    make_data_dir(settings.data_dir)
    with _database(settings, console) as (url, watch):
        _wait_for_the_ports(settings, console)
        if not migrate_patiently(url, threading.Event()):
            return
        token = settings.admin_token or load_or_create(settings.data_dir)
        environment = {
            "DATABASE_URL": url,
            "DATA_DIR": str(settings.data_dir),
            "ADMIN_TOKEN": token.reveal(),
            "HOST": settings.host,
            "PORT": str(settings.port),
            "WORKERS": str(settings.workers or 1),
        }
        with sheet_path() as sheet:
            environment[SHARED] = str(sheet)
            supervisor = Supervisor(
                [[Child(command, [command], environment)] for command in ("producer", "consumer")], watch
            )
            stop_on_signals(supervisor)
            threading.Thread(
                target=_announce, args=(settings, url, token, console), name="announce", daemon=True
            ).start()
            supervisor.run()
    console.print("Stopped; everything that was answered is kept.")


@contextmanager
def _database(settings: Settings, console: Console) -> Iterator[tuple[str, Callable[[], None]]]:
    """The database's address, and what is to be called now and then: of the one given, else of an embedded
    PostgreSQL that runs meanwhile.
    """
    if settings.database_url is None:
        with EmbeddedPostgres(settings.data_dir) as server:
            if server.notice:
                console.print(server.notice, style="yellow", markup=False, soft_wrap=True)
            yield server.dsn, lambda: _keep_running(server)
        return
    lock = FileLock(settings.data_dir / "run.lock")
    if not lock.take():
        raise SettingsError([f"DATA_DIR: {settings.data_dir} is in use by another process ({lock.owner()})"])
    try:
        yield settings.database_url.reveal(), lambda: None
    finally:
        lock.release()


def _keep_running(server: EmbeddedPostgres) -> None:
    """Start a PostgreSQL again that has ended, as one does that was killed for want of memory.

    Raises EmbeddedPostgresError when that fails: `run` then ends, and says why.
    """
    if not server.running:
        logger.error("PostgreSQL ended; starting it again.")
        server.start()


def _wait_for_the_ports(settings: Settings, console: Console) -> None:
    """Give a `run` that was killed a moment ago the time to let go of its ports. Raises SettingsError."""
    deadline = time.monotonic() + PORT_S
    if _port_problems(settings):
        console.print(f"A port is in use; waiting up to {PORT_S:.0f} s for it.", style="yellow")
    while _port_problems(settings) and time.monotonic() < deadline:
        time.sleep(0.1)
    problems = [*needs.missing(settings), *_metrics_port_problems(settings)]
    if problems:
        raise SettingsError(problems)


def _port_problems(settings: Settings) -> list[str]:
    problem = needs.port_problem(settings.host, settings.port)
    return [*([] if problem is None else [problem]), *_metrics_port_problems(settings)]


def _metrics_port_problems(settings: Settings) -> list[str]:
    """What is wrong with where the consumer is to show its figures, if it is."""
    if settings.metrics_port is None:
        return []
    hosts = {settings.host, settings.metrics_host}
    if settings.metrics_port == settings.port and (len(hosts) == 1 or hosts & EVERYWHERE):
        return [f"METRICS_PORT: {settings.port} is the service's own PORT; set another one"]
    problem = needs.port_problem(settings.metrics_host, settings.metrics_port, "METRICS_HOST, METRICS_PORT")
    return [] if problem is None else [problem]


def _announce(settings: Settings, url: str, token: Secret, console: Console) -> None:
    """Say where things are as soon as the service answers."""
    address = local_url(settings)
    if not _wait_until_ready(f"{address}/api/health/ready"):
        console.print("The service does not answer yet; the messages above should say why.", style="yellow")
        return
    with connect(url) as connection:
        code = steps.run(connection, sessions.make_code(digest(token.reveal())))
    journal = "Kafka" if settings.kafka_broker else "embedded journal"
    database = "yours" if settings.database_url else "embedded PostgreSQL"
    console.print(
        f"""
[bold]Portfolio Analytics is running.[/bold]

  Dashboard    {address}/signin?code={code.reveal()}
  Tracker      <script defer src="{address}/tracker.js"></script>
  Events       POST {address}/api/analytics
  Statistics   GET  {address}/api/stats
  Data         {settings.data_dir}  ({journal}, {database})
  Admin token  {_token_place(settings)}

The dashboard link works once. Ctrl-C stops everything.""",
        highlight=False,
        soft_wrap=True,
    )


def _token_place(settings: Settings) -> str:
    return "ADMIN_TOKEN" if settings.admin_token else str(Path(settings.data_dir) / "admin-token")


def _wait_until_ready(url: str) -> bool:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own address
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    return False
