"""A real browser signs in by the link that `run` prints, and no other page can act for it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.databases import new_database
from tests.integration.service import ADMIN_TOKEN, RunningService, wait_for
from tests.ports import free_port

WHO = "async () => { const r = await fetch('/api/session'); return [r.status, await r.json()] }"
POST = "async ([path, body]) => (await fetch(path, {method: 'POST', body: JSON.stringify(body)})).status"
ATTACKS = {
    "a form": """(url) => {
        document.body.innerHTML = `<form method=post enctype=text/plain action="${url}/api/sites">
            <input name='{"name":"stolen' value='.example"}'></form>`;
        document.forms[0].submit(); }""",
    "a script": """(url) => fetch(url + '/api/sites', {method: 'POST', mode: 'no-cors',
        credentials: 'include', body: '{"name":"stolen.example"}'}).then(r => r.type)""",
    "a script with a header": """(url) => fetch(url + '/api/sites', {method: 'POST',
        credentials: 'include', headers: {'Content-Type': 'application/json'},
        body: '{"name":"stolen.example"}'}).then(r => r.text(), e => String(e))""",
    "a reader": """(url) => fetch(url + '/api/session', {credentials: 'include'})
        .then(r => r.text(), e => String(e))""",
}


class EmptyPage(BaseHTTPRequestHandler):
    """A page of somebody else."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>x</title>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def service(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with (
        new_database(postgres_url) as url,
        RunningService(url, tmp_path_factory.mktemp("service"), free_port()) as service,
    ):
        yield service


@pytest.fixture
def stranger() -> Iterator[int]:
    """The port of somebody else's page, on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    # The page from which the tests speak to the service may speak to nobody.
    context = chromium.new_context(bypass_csp=True)
    yield context
    context.close()


def sign_in(page: Page, service: RunningService) -> None:
    page.goto(f"{service.url}/docs")
    assert page.evaluate(POST, ["/api/session", {"token": ADMIN_TOKEN}]) == 200


def test_the_printed_link_signs_in_once(service: RunningService, context: BrowserContext) -> None:
    wait_for(lambda: "/signin?code=" in service.output(), 30, service.output)
    found = re.search(r"http://\S+/signin\?code=\S+", service.output())
    assert found
    page = context.new_page()
    page.goto(found[0])
    assert "/dashboard" in page.url
    status, who = page.evaluate(WHO)
    assert (status, who["name"], who["admin"]) == (200, "ADMIN_TOKEN", True)
    [cookie] = context.cookies()
    assert (cookie.get("httpOnly"), cookie.get("sameSite"), cookie.get("path")) == (True, "Strict", "/")
    assert page.evaluate("document.cookie") == ""
    context.clear_cookies()
    answer = page.goto(found[0])
    assert answer
    assert answer.status == 401
    assert context.cookies() == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])  # another port, and another site
@pytest.mark.parametrize("attack", ATTACKS)
def test_another_page_cannot_use_the_session(
    service: RunningService, context: BrowserContext, stranger: int, host: str, attack: str
) -> None:
    own = context.new_page()
    sign_in(own, service)
    assert own.evaluate(WHO)[0] == 200
    page = context.new_page()
    page.goto(f"http://{host}:{stranger}/")
    if attack == "a form":
        with page.expect_navigation():
            page.evaluate(ATTACKS[attack], service.url)
        shown = page.content()
    else:
        shown = str(page.evaluate(ATTACKS[attack], service.url))
    assert "ADMIN_TOKEN" not in shown
    sites = own.evaluate("async () => (await (await fetch('/api/sites')).json()).sites")
    assert not [site["name"] for site in sites if site["name"].startswith("stolen")]


def test_our_own_page_can(service: RunningService, context: BrowserContext) -> None:
    page = context.new_page()
    sign_in(page, service)
    assert page.evaluate(POST, ["/api/sites", {"name": "made.example"}]) == 201
    assert page.evaluate("async () => (await fetch('/api/session', {method: 'DELETE'})).status") == 200
    assert page.evaluate(WHO)[0] == 401


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_docs_need_nobody_else_and_no_script(
    service: RunningService, chromium: Browser, scheme: str
) -> None:
    context = chromium.new_context(java_script_enabled=False, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{service.url}/docs")
    assert page.get_by_text("/api/analytics/batch", exact=True).is_visible()
    assert page.locator("h1").evaluate("e => getComputedStyle(e).fontFamily").startswith("system-ui")
    page.get_by_text("Send one event").click()
    assert page.locator("#post_api_analytics pre").first.is_visible()
    assert complaints == []
    assert {url.removeprefix(service.url) for url in asked} <= {"/docs", "/docs.css", "/favicon.ico"}
    context.close()
