"""A real service with a month of known visits, and people who look at it in a real Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from hatch_build import build, build_part
from portfolio_analytics.app import front
from tests.browser.dashboard.traffic import HISTORY, Traffic, history
from tests.databases import new_database
from tests.integration.service import ADMIN_TOKEN, RunningService
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[3]
DASHBOARD = ROOT / "web" / "dashboard"
PATIENCE_MS = 15_000
expect.set_options(timeout=PATIENCE_MS)

SignedIn = Callable[..., Page]


@pytest.fixture(scope="session")
def dist() -> Path:
    """The built files; also puts the packages of the build, axe among them, in their place."""
    build_part(DASHBOARD, print)
    return DASHBOARD / "dist"


@pytest.fixture(scope="session")
def service(
    postgres_url: str, dist: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    """`run`, as its users start it, with the dashboard that stands in the tree or came with the wheel."""
    if front.WEB.is_relative_to(ROOT / "src"):
        build(ROOT, print)
    with (
        new_database(postgres_url) as url,
        RunningService(url, tmp_path_factory.mktemp("service"), free_port()) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def traffic(service: RunningService) -> Traffic:
    """Sends events; the site HISTORY has its month already."""
    sender = Traffic(service.url)
    sender.send(HISTORY, history())
    return sender


@pytest.fixture
def person(chromium: Browser, service: RunningService) -> Iterator[BrowserContext]:
    """A browser of somebody's own. No page may err, break its policy, or ask another host for anything."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    context.set_default_timeout(PATIENCE_MS)
    wrong: list[str] = []
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on(
        "console",
        lambda message: wrong.append(message.text) if "Content Security Policy" in message.text else None,
    )
    context.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((service.url, "data:", "blob:"))
            else wrong.append(f"asked elsewhere: {request.url}")
        ),
    )
    yield context
    context.close()
    assert wrong == []


@pytest.fixture
def look(person: BrowserContext, service: RunningService, traffic: Traffic) -> SignedIn:
    """Signs in with the administrator's token; opens the dashboard at a query such as `?site=a.example`."""
    sign_in(person, service)

    def open_at(query: str = "") -> Page:
        page = person.new_page()
        page.goto(f"{service.url}/dashboard/{query}")
        return page

    return open_at


def sign_in(person: BrowserContext, service: RunningService, token: str = ADMIN_TOKEN) -> None:
    """Sign a browser in without the form."""
    answer = person.request.post(
        f"{service.url}/api/session", data={"token": token}, headers={"Origin": service.url}
    )
    assert answer.ok, answer.text()
