"""The tracker and the real service: what a person does on a page of another origin is what is counted."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.integration.service import RunningService, wait_for
from tests.oracle import assert_exactly_once

PAGE = """<!doctype html><meta charset="utf-8"><title>Shop</title>
<script defer src="SERVICE/tracker.js"></script>
<button id="buy" data-analytics-event="buy">Buy</button> <a id="next" href="/next">Next</a>
<p style="height: 4000px">A long page</p>"""


@pytest.fixture
def service(database: str, tmp_path: Path, free_port: int) -> Iterator[RunningService]:
    with RunningService(database, tmp_path, free_port) as running:
        yield running


@pytest.fixture
def website(service: RunningService) -> Iterator[str]:
    """A site of another origin with the tracker on each of its pages."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path != "/favicon.ico" else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(PAGE.replace("SERVICE", service.url).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing: the test looks at the numbers."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def totals(service: RunningService) -> dict[str, int]:
    with urllib.request.urlopen(f"{service.url}/api/stats?site=localhost", timeout=10) as answer:
        found: dict[str, int] = json.load(answer)["events_by_type"]
        return found


def test_what_was_done_is_what_is_counted(
    chromium: Browser, service: RunningService, website: str, database: str
) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{website}/shop?utm_source=mail&secret=1")
    page.click("#buy")
    page.mouse.wheel(0, 3000)
    page.click("#next")
    page.wait_for_url("**/next")
    wait_for(lambda: sum(totals(service).values()) >= 5, 20, lambda: f"five events: {totals(service)}")
    # Whoever stays for less than a tenth of a second has spent no time on a page.
    page.wait_for_function("performance.now() > 500")
    page.goto("about:blank")
    expected = {"page_view": 2, "buy": 1, "navigation": 1, "time_spent": 2}
    wait_for(lambda: totals(service) == expected, 20, lambda: f"{expected}: {totals(service)}")
    context.close()
    assert_exactly_once(database, [])
