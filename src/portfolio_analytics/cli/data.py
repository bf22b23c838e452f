"""Commands that bring data in or take it out: import, demo, erase."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from portfolio_analytics.cli.shell import app, console, database, fail
from portfolio_analytics.settings import Settings

import_app = App(name="import", help="Bring in what happened before.")
app.command(import_app)

DEFAULT_URL = "http://127.0.0.1:8080"


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

    state = state_folder(os.environ)
    sys.exit(run_access_log_import(file, site, url, _token(token), state=state, console=console))


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
    from portfolio_analytics.demo import run_demo

    sys.exit(run_demo(url, _token(token), site, rate, seconds, days=days, console=console))


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

    keys = [] if visitor is None else [visitor]
    if session is not None:
        keys.append(actor_id(site, session))
    if visitor_id is not None:
        keys.append(known_visitor_id(site, visitor_id))
    if not keys:
        fail("Say who: --session, --visitor-id or --visitor.", status=2)
    with database() as connection:
        site_id = steps.run(connection, sites.site_id_of(site))
        if show:
            for event in subject_events(connection, site_id, keys):
                print(json.dumps(event, default=str))  # noqa: T201 - the answer itself, for a pipe
            return
        erased = erase_keys(Store(connection, ""), site_id, keys)
        steps.run(connection, audit.record("command line", "erase", site_id, site, events=erased))
    console.print(f"Erased {erased} events; what may still come from the log stays out.")


def _token(given: str | None) -> str | None:
    from portfolio_analytics.importers.service import find_token

    return find_token(given, os.environ, Settings.load(os.environ).data_dir)
