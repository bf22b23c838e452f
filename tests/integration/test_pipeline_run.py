"""`portfolio-analytics run` as its users have it: one command, nothing installed, everything embedded."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser

from portfolio_analytics.storage.database import connect
from portfolio_analytics.storage.embedded import running_dsn
from tests.answers import status
from tests.browser.conftest import chromium, playwright  # noqa: F401 - fixtures
from tests.faults.load import Load, uuid7
from tests.faults.pipeline import assert_counted, number
from tests.faults.process import Process, Server, eventually, run_command
from tests.integration.test_intake import README_EXAMPLE
from tests.oracle import assert_exactly_once
from tests.ports import free_port

TOKEN = "the-admin-token-of-the-run-tests"
# From the blocks for documentation (RFC 5737, RFC 3849): nothing else has them.
ADDRESSES = ("203.0.113.77", "198.51.100.23", "2001:db8:77::1")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("run")
    data = folder / "data"
    environment = {
        "DATA_DIR": str(data),
        "ADMIN_TOKEN": TOKEN,
        "TRUSTED_PROXIES": "127.0.0.1",
        "RATE_LIMIT_ADDRESS": "0",
    }
    with free_port_server("run", environment, folder) as server:
        yield server
        assert server.terminate() == 0
    assert "Traceback" not in server.output(), server.output()


def free_port_server(name: str, environment: dict[str, str], folder: Path) -> Server:
    return Server(name, ["run"], environment, folder, free_port())


def data_dir(server: Server) -> Path:
    return server.output_file.parent / "data"


def database_of(server: Server) -> str:
    found = running_dsn(data_dir(server))
    assert found is not None
    return found


def post(server: Server, body: str | dict[str, object], **headers: str) -> tuple[int, dict[str, object]]:
    data = (body if isinstance(body, str) else json.dumps(body)).encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{server.url}/api/analytics", data, given)
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.status, json.load(response)


def totals(server: Server, site: str = "") -> dict[str, object]:
    with urllib.request.urlopen(f"{server.url}/api/stats{site}", timeout=30) as response:
        found: dict[str, object] = json.load(response)
        return found


def wait_for_total(server: Server, expected: int, seconds: float = 10.0) -> None:
    eventually(
        lambda: totals(server)["total_events"] == expected, seconds, lambda: f"{expected}: {totals(server)}"
    )


def test_the_readmes_request_is_counted_within_two_seconds(service: Server) -> None:
    before = totals(service)["total_events"]
    assert isinstance(before, int)
    asked = time.monotonic()
    status, answer = post(service, README_EXAMPLE)
    assert status == 201
    assert answer["status"] == "success"
    assert answer["message"] == "Event queued"
    assert answer["partition"] == 0
    assert isinstance(answer["offset"], int)
    uuid.UUID(str(answer["event_id"]))
    wait_for_total(service, before + 1)
    assert time.monotonic() - asked < 2.0


def test_one_id_a_thousand_times_at_once_is_one_row(service: Server) -> None:
    now = time.time_ns() // 1_000_000
    event: dict[str, object] = {
        "event_id": str(uuid7(now)),
        "timestamp": datetime.fromtimestamp(now / 1000, UTC).isoformat(),
        "event_type": "once",
        "page": "/",
        "site": "once.example",
    }
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: post(service, event)[0], range(1_000)))
    assert answers == [201] * 1_000
    post(service, {"event_type": "last", "page": "/", "site": "once.example"})
    eventually(lambda: "last" in str(totals(service, "?site=once.example")), 30, lambda: str(totals(service)))
    by_type = totals(service, "?site=once.example")["events_by_type"]
    assert by_type == {"once": 1, "last": 1}


def test_one_id_before_and_after_midnight_is_one_row(service: Server) -> None:
    """A retry carries the time of its event, so its identity day is that of the first try."""
    midnight = time.time_ns() // 1_000_000 // 86_400_000 * 86_400_000
    for event_id, stamp in ((uuid7(midnight - 5), None), (uuid.uuid4(), midnight - 5)):
        event: dict[str, object] = {
            "event_id": str(event_id),
            "event_type": f"night-{event_id.version}",
            "page": "/",
            "site": "night.example",
        }
        if stamp is not None:
            event["timestamp"] = datetime.fromtimestamp(stamp / 1000, UTC).isoformat()
        for _ in range(3):
            assert post(service, event)[0] == 201
    eventually(
        lambda: totals(service, "?site=night.example")["total_events"] == 2, 10, lambda: str(totals(service))
    )
    with connect(database_of(service)) as connection:
        days = connection.execute("SELECT DISTINCT day FROM events WHERE type LIKE 'night-%'").fetchall()
    assert days == [(datetime.fromtimestamp(midnight / 1000 - 1, UTC).date(),)]


class WebsiteHandler(BaseHTTPRequestHandler):
    """Another origin, whose page sends what the original's website client sends."""

    def do_GET(self) -> None:
        page = PAGE.replace("BACKEND", self.server.backend)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: the test looks at the page."""


PAGE = """<!doctype html><meta charset="utf-8"><title>Portfolio</title>
<button id="contact" class="primary large">Write to me</button><p id="views">-</p>
<script>
const backend = "BACKEND", started = Date.now(), session = "session_" + started + "_abc123";
const common = (type) => ({event_type: type, page: location.pathname, session_id: session,
  timestamp: new Date().toISOString(), screen_width: innerWidth, screen_height: innerHeight});
const send = (event) => fetch(backend + "/api/analytics", {method: "POST",
  headers: {"Content-Type": "application/json"}, body: JSON.stringify(event)})
  .then((answer) => document.body.dataset[event.event_type] = answer.status);
send({...common("page_view"), user_agent: navigator.userAgent});
document.addEventListener("click", ({target}) => send({...common("click"),
  element: {tag: target.tagName, id: target.id || null, class: target.className, text: target.textContent}}));
addEventListener("beforeunload", () => navigator.sendBeacon(backend + "/api/analytics",
  JSON.stringify({...common("time_spent"), duration_seconds: Math.round((Date.now() - started) / 1000)})));
setInterval(() => fetch(backend + "/api/stats").then((answer) => answer.json()).then((found) =>
  document.getElementById("views").textContent = [found.events_by_type.page_view, found.events_by_type.click,
    found.events_by_type.time_spent || 0, found.total_events].join("/")), 200);
</script>"""


@pytest.fixture
def website(service: Server) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), WebsiteHandler)
    server.backend = service.url  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_originals_website_and_its_live_card(
    service: Server,
    website: str,
    chromium: Browser,  # noqa: F811
) -> None:
    before = totals(service)
    by_type = before["events_by_type"]
    assert isinstance(by_type, dict)
    views, clicks, spent = (by_type.get(kind, 0) for kind in ("page_view", "click", "time_spent"))
    page = chromium.new_page()
    page.goto(f"{website}/projects/")
    page.wait_for_function("document.body.dataset.page_view === '201'")
    page.click("#contact")
    page.wait_for_function("document.body.dataset.click === '201'")
    total = before["total_events"]
    assert isinstance(total, int)
    card = f"{views + 1}/{clicks + 1}/{spent}/{total + 2}"
    page.wait_for_function("card => document.getElementById('views').textContent === card", arg=card)
    page.goto("about:blank")
    wait_for_total(service, total + 3)
    page.close()
    with connect(database_of(service)) as connection:
        rows = connection.execute(
            "SELECT e.type, p.path, e.target ->> 'id', e.duration_ms IS NOT NULL FROM events e "
            "JOIN pages p USING (site_id, page_id) JOIN sites s USING (site_id) "
            "WHERE s.name = 'localhost' ORDER BY e.time, e.type"
        ).fetchall()
    assert rows == [
        ("page_view", "/projects/", None, False),
        ("click", "/projects/", "contact", False),
        ("time_spent", "/projects/", None, True),
    ]


def test_no_address_is_written_anywhere(service: Server) -> None:
    """Not to the journal, the database, the bad rows or the output: the files are searched byte by byte."""
    before = totals(service)["total_events"]
    assert isinstance(before, int)
    for address in ADDRESSES:
        for name in ("X_Forwarded_For", "X_Real_IP", "Forwarded", "CF_Connecting_IP"):
            value = f"for={address}" if name == "Forwarded" else address
            assert post(service, {"event_type": "page_view", "page": "/secret"}, **{name: value})[0] == 201
        # What cannot be taken is answered and not kept.
        with pytest.raises(urllib.error.HTTPError, match="422"):
            post(service, {"event_type": "page_view"}, X_Forwarded_For=address)
    wait_for_total(service, before + 4 * len(ADDRESSES))
    with connect(database_of(service)) as connection:
        # The marker proves that the search finds what is there.
        assert {"pages", "rollups"} <= found_in_tables(connection, ("/secret",))
        assert found_in_tables(connection, ADDRESSES) == set()
    files = [path for path in data_dir(service).glob("journal.sqlite*") if path.is_file()]
    assert any(b"/secret" in path.read_bytes() for path in files)
    for path in [*files, *data_dir(service).glob("*.log"), service.output_file]:
        content = path.read_bytes()
        for address in ADDRESSES:
            assert address.encode() not in content, path


def found_in_tables(connection: psycopg.Connection, texts: tuple[str, ...]) -> set[str]:
    """The tables in which one of `texts` stands, in whatever column."""
    tables = connection.execute(
        "SELECT oid::regclass::text, relname FROM pg_class "
        "WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
    ).fetchall()
    assert len(tables) > 15
    found = set()
    for table, name in tables:
        for text in texts:
            query = f"SELECT EXISTS (SELECT FROM {table} t WHERE strpos(t::text, %s) > 0)"
            hexed = text.encode().hex()  # how a bytea is written
            if any(
                connection.execute(query.encode(), [form]).fetchone() == (True,) for form in (text, hexed)
            ):
                found.add(name)
    return found


def test_stop_and_start_and_kill_9_of_everything(tmp_path: Path) -> None:
    """Numbers are there again after each; the last stop leaves no process."""
    server = free_port_server(
        "run", {"DATA_DIR": str(tmp_path / "data"), "RATE_LIMIT_ADDRESS": "0"}, tmp_path
    )
    sent: set[uuid.UUID] = set()
    with server:
        with Load([server.port], rate=200, total=100) as load:
            load.join()
        sent |= load.acknowledged
        wait_for_total(server, 100)
        assert server.terminate() == 0
        assert "Stopped; everything that was answered is kept." in server.output()
        server.start()
        wait_for_total(server, 100)
        with Load([server.port], rate=400) as load:
            load.grow(150)
            tree = server.tree()
            assert len(tree) > 5
            server.kill()
            server.start()
            load.grow(50)
        sent |= load.acknowledged
        assert_counted(database_of(server), load)
        assert_exactly_once(database_of(server), sent)
        # Under load it is asked to end, and keeps what it has answered.
        with Load([server.port], rate=400, patience=0.0) as load:
            load.grow(100)
            tree = server.tree()
            assert server.terminate() == 0
        eventually(lambda: not any(map(runs, tree)), 10, lambda: str(list(filter(runs, tree))))
        sent |= load.acknowledged
        server.start()
        with connect(database_of(server)) as connection:
            assert number(connection, "SELECT count(*) FROM events") >= len(sent)
        assert_exactly_once(database_of(server), sent)
        tree = server.tree()
        assert server.terminate() == 0
    eventually(lambda: not any(map(runs, tree)), 10, lambda: str(list(filter(runs, tree))))
    assert "Traceback" not in server.output(), server.output()


def test_when_asked_to_end_while_it_starts_it_leaves_no_process(tmp_path: Path) -> None:
    environment = {"DATA_DIR": str(tmp_path / "data"), "PORT": str(free_port())}
    with Process("run", ["run"], environment, tmp_path) as process:
        eventually(lambda: any(map(is_database, process.tree())), 60, process.output, pause=0.005)
        tree = process.tree()
        assert process.terminate() == 0
    eventually(lambda: not any(map(runs, tree)), 10, lambda: str(list(filter(runs, tree))))
    assert "Traceback" not in process.output(), process.output()


def test_a_database_that_dies_is_started_again(tmp_path: Path) -> None:
    server = free_port_server(
        "run", {"DATA_DIR": str(tmp_path / "data"), "RATE_LIMIT_ADDRESS": "0"}, tmp_path
    )
    with server:
        with Load([server.port], rate=200) as load:
            load.grow(50)
            [leader] = [pid for pid in server.tree() if is_database(pid)]
            os.kill(leader, signal.SIGKILL)
            eventually(lambda: not runs(leader), 10, "its end")
            load.grow(50)
            eventually(lambda: status(f"{server.url}/api/health") == 200, 60, server.output)
        assert_counted(database_of(server), load)
        assert load.statuses.keys() == {201}
        assert server.terminate() == 0
    assert "PostgreSQL ended; starting it again." in server.output()
    assert "Traceback" not in server.output(), server.output()


def is_database(pid: int) -> bool:
    try:
        return b"unix_socket_directories=" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def runs(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def test_a_port_that_something_else_has(database: str, tmp_path: Path) -> None:
    """It says so and ends: to say that it runs would lead people to whatever answers there."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = {"DATABASE_URL": database, "DATA_DIR": str(tmp_path / "data"), "PORT": str(port)}
        status, printed = run_command(["run"], settings)
    assert status == 2, printed
    assert f"HOST, PORT: 127.0.0.1:{port} cannot be had" in printed
    assert "is running" not in printed


@pytest.mark.parametrize("same", [False, True])
def test_a_port_that_its_consumer_cannot_have(database: str, tmp_path: Path, same: bool) -> None:
    """Else the consumer would end and be started again for ever, and nothing be counted."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        port = free_port()
        settings = {"DATABASE_URL": database, "DATA_DIR": str(tmp_path / "data"), "PORT": str(port)}
        settings["METRICS_PORT"] = str(port if same else taken)
        status, printed = run_command(["run"], settings)
    assert status == 2, printed
    assert ("is the service's own PORT" if same else f"METRICS_PORT: 127.0.0.1:{taken}") in printed
