"""The ingest contract before the real server: every answer that it can give."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import zstandard

from portfolio_analytics.app.server import KILL_SECONDS
from portfolio_analytics.shared.record import TIME_FROM_RECEIPT, AttestRecord, EventRecord
from portfolio_analytics.storage import sites, tokens
from portfolio_analytics.storage.database import connect
from portfolio_analytics.storage.steps import run
from tests import ports
from tests.databases import new_database
from tests.integration.intake_server import ADMIN_TOKEN, IntakeServer, read_all

README_EXAMPLE = """{
  "event_type": "page_view",
  "page": "/projects",
  "session_id": "session_1736937000_abc123",
  "timestamp": "2025-01-15T10:30:00Z",
  "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36",
  "screen_width": 1920,
  "screen_height": 1080
}"""
VALID = b'{"event_type":"page_view","page":"/"}'
TOKEN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
SECRET_ADDRESS = "203.0.113.77"


@pytest.fixture(scope="module")
def own_database(postgres_url: str, migrated_template: str) -> Iterator[str]:
    with new_database(postgres_url, migrated_template) as address:
        yield address


@pytest.fixture(scope="module")
def server(own_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IntakeServer]:
    """One server for the tests that leave it as it was; it trusts the tests to be a proxy."""
    with IntakeServer(
        own_database,
        tmp_path_factory.mktemp("intake"),
        ports.free_port(),
        WORKERS="2",
        TRUSTED_PROXIES="127.0.0.1",
    ) as running:
        with socket.create_connection(("127.0.0.1", running.port), timeout=60) as slow_headers:
            slow_headers.sendall(b"POST /api/analytics HTTP/1.1\r\nHost")
            yield running
            assert b" 201 " not in read_all(slow_headers)  # closed meanwhile, or now
        output = running.output()
    assert "Traceback" not in output, output
    assert SECRET_ADDRESS not in output


def stored(server: IntakeServer, event_id: str) -> EventRecord:
    (record,) = (record for record in server.records() if str(record.id) == event_id)
    return record


def now(**delta: float) -> str:
    return (datetime.now(UTC) + timedelta(**delta)).isoformat()


def test_the_original_readmes_request(server: IntakeServer) -> None:
    answer = server.post(README_EXAMPLE, {"Content-Type": "application/json", "User-Agent": "curl/8.5.0"})
    assert answer.status == 201
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json) == {"status", "message", "partition", "offset", "event_id"}
    assert (answer.json["status"], answer.json["message"], answer.json["partition"]) == (
        "success",
        "Event queued",
        0,
    )
    record = stored(server, answer.json["event_id"])
    assert (record.page, record.site, record.flags) == ("/projects", "default", TIME_FROM_RECEIPT)
    assert abs(record.time - time.time() * 1000) < 60_000


def test_offsets_rise_by_one(server: IntakeServer) -> None:
    first = server.post().json["offset"]
    assert server.post().json["offset"] > first


@pytest.mark.parametrize(
    "content_type", ["text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "image/png", None]
)
def test_the_content_type_is_not_checked(server: IntakeServer, content_type: str | None) -> None:
    assert server.post(VALID, {"Content-Type": content_type} if content_type else {}).status == 201


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (VALID + VALID, 400, "invalid_json"),
        (b'{"event_type":"x","page":"\xff"}', 400, "invalid_utf8"),
        (b'{"event_type":"x","page":"\\ud800"}', 400, "invalid_json"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b'{"event_type":"x","page":"/","a":' + b"[" * 100_000, 400, "invalid_json"),
        (b'{"event_type":"x","page":"/","screen_width":1e400}', 400, "invalid_json"),
        (b'{"event_type":"x"}', 422, "missing_field"),
        (b'{"event_type":"x","page":"/","screen_width":-5}', 422, "invalid_field"),
        (b'{"event_type":"x","page":"/","screen_width":2147483648}', 422, "invalid_field"),
        (b'{"event_type":"x","page":"/","screen_width":' + b"9" * 50 + b"}", 422, "invalid_field"),
        (b"[]", 422, "invalid_event"),
    ],
)
def test_bad_bodies(server: IntakeServer, body: bytes, status: int, code: str) -> None:
    answer = server.post(body)
    assert (answer.status, answer.json["status"], answer.json["error"]) == (status, "error", code)
    assert answer.json["message"]
    assert answer.headers["access-control-allow-origin"] == "*"


def test_nul_is_cleaned(server: IntakeServer) -> None:
    answer = server.post(rb'{"event_type":"x","page":"/a\u0000b","title":"\u0000"}')
    assert answer.status == 201
    record = stored(server, answer.json["event_id"])
    assert (record.page, record.title) == ("/ab", None)


def test_an_event_id_of_the_clients_is_kept(server: IntakeServer) -> None:
    event_id = str(uuid.uuid4())
    answer = server.post(event_id=event_id, timestamp=now())
    assert (answer.status, answer.json["event_id"]) == (201, event_id)
    assert server.post(event_id=event_id).json["field"] == "timestamp"
    for timestamp in (now(days=-8), now(hours=1), "0001-01-01T00:00:00Z", "2016-12-31T23:59:60Z"):
        answer = server.post(event_id=event_id, timestamp=timestamp)
        assert (answer.status, answer.json["error"]) == (422, "time_out_of_range")
        assert server.post(timestamp=timestamp).status == 201
    answer = server.post(event_id="ffffffff-ffff-7fff-bfff-ffffffffffff")
    assert (answer.status, answer.json["field"]) == (422, "event_id")


def test_policy(server: IntakeServer) -> None:
    cases: list[tuple[dict[str, str], dict[str, object], str]] = [
        ({"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}, {}, "bot"),
        ({}, {"user_agent": "facebookexternalhit/1.1"}, "bot"),
        ({"Sec-GPC": "1"}, {}, "gpc"),
        ({"DNT": "1"}, {}, "dnt"),
        ({}, {"consent": "denied"}, "consent"),
    ]
    before = len(server.records())
    for headers, fields, reason in cases:
        answer = server.post(fields, headers)
        assert (answer.status, answer.json) == (200, {"status": "ignored", "reason": reason})
    assert len(server.records()) == before
    assert server.post(headers={"User-Agent": "python-requests/2.32"}).status == 201
    assert server.post(headers={"User-Agent": "Googlebot/2.1", **TOKEN}).status == 201
    assert server.post(consent="granted").status == 201


def test_tokens(server: IntakeServer) -> None:
    answer = server.post(headers={"Authorization": "Bearer wrong-wrong-wrong"})
    assert (answer.status, answer.json["error"]) == (401, "unauthorized")
    assert "www-authenticate" in answer.headers
    # A site behind HTTP Basic sends that along.
    assert server.post(headers={"Authorization": "Basic dXNlcjpwYXNz"}).status == 201
    answer = server.post(
        {"timestamp": "2015-05-17T10:05:03Z", "visitor": "v", "country": "de"},
        {**TOKEN, "Origin": "https://imported.example"},
    )
    record = stored(server, answer.json["event_id"])
    assert (record.time, record.country, record.site) == (1_431_857_103_000, "DE", "imported.example")


def test_methods(server: IntakeServer) -> None:
    for path in ("/api/analytics", "/api/analytics/batch"):
        for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD"):
            answer = server.request(method, path)
            assert (answer.status, answer.headers["allow"]) == (405, "POST, OPTIONS")
        assert server.request("OPTIONS", path).status == 200
    assert server.request("POST", "/pixel.gif").status == 405
    answer = server.request("GET", "/nowhere")
    assert (answer.status, answer.json["error"]) == (404, "not_found")


def test_preflight(server: IntakeServer) -> None:
    asked = {
        "Origin": "https://example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    answer = server.request("OPTIONS", "/api/analytics", headers=asked)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "content-type" in answer.headers["access-control-allow-headers"].lower()
    assert answer.headers["vary"] == "Origin"
    for path, shared in (("/api/health", True), ("/api/stats", True), ("/api/ledger", False), ("/", False)):
        answer = server.request("OPTIONS", path, headers={**asked, "Access-Control-Request-Method": "GET"})
        assert ("access-control-allow-origin" in answer.headers) is shared, path
        answer = server.request("GET", path, headers=asked)
        assert ("access-control-allow-origin" in answer.headers) is shared, path


def test_a_beacon_as_the_original_website_sends_it(server: IntakeServer) -> None:
    body = msgspec.json.encode(
        {
            "event_type": "time_spent",
            "page": "/projects",
            "duration_seconds": 45,
            "session_id": "s1",
            "timestamp": now(),
        }
    )
    answer = server.post(
        body, {"Content-Type": "text/plain;charset=UTF-8", "Origin": "https://portfolio.example"}
    )
    assert answer.status == 201
    record = stored(server, answer.json["event_id"])
    assert (record.duration_ms, record.site, record.session) == (45_000, "portfolio.example", "s1")


@pytest.mark.parametrize("path", ["/api/analytics", "/api/analytics/batch"])
def test_the_limit_to_the_byte(server: IntakeServer, path: str) -> None:
    exact = VALID + b" " * ((1 << 20) - len(VALID))
    chunked = iter([exact[:1000], exact[1000:]])
    assert server.request("POST", path, exact).status == 201
    connection_answers = [
        server.request("POST", path, exact + b" "),
        # A client that does not look for an answer before it has sent everything gets one all the same.
        server.request("POST", path, exact * 20),
        server.request("POST", path, gzip.compress(exact + b" "), {"Content-Encoding": "gzip"}),
        server.request("POST", path, gzip.compress(bytes(64 << 20)), {"Content-Encoding": "gzip"}),
        server.request(
            "POST",
            path,
            zstandard.ZstdCompressor().compress(bytes(64 << 20)),
            {"Content-Encoding": "zstd"},
        ),
    ]
    for answer in connection_answers:
        assert (answer.status, answer.json["error"]) == (413, "too_large")
    for pack, name in ((gzip.compress, "gzip"), (zstandard.ZstdCompressor().compress, "zstd")):
        assert server.request("POST", path, pack(exact), {"Content-Encoding": name}).status == 201
    assert server.raw(chunks(path, b"".join(chunked))).startswith(b"HTTP/1.1 201")
    assert server.raw(chunks(path, exact + b" ")).startswith(b"HTTP/1.1 413")


def chunks(path: str, body: bytes, size: int = 8192) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return head.encode() + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def test_other_encodings_are_415(server: IntakeServer) -> None:
    answer = server.post(VALID, {"Content-Encoding": "br"})
    assert (answer.status, answer.json["error"]) == (415, "unsupported_encoding")
    assert server.post(VALID, {"Content-Encoding": "identity"}).status == 201
    assert server.post(VALID, {"Content-Encoding": "gzip"}).status == 400


def test_a_huge_body_is_cut_off(server: IntakeServer) -> None:
    head = b"POST /api/analytics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"
    assert server.raw(head + b"x" * 10_000).startswith(b"HTTP/1.1 413")


def test_a_slow_body_is_408_and_others_are_served_meanwhile(server: IntakeServer) -> None:
    head = b"POST /api/analytics HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as slow:
        slow.sendall(head + VALID[:10])
        assert server.post().status == 201
        answer = read_all(slow)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"error":"timeout"' in answer


def test_bodies_under_way_are_bounded_in_memory(server: IntakeServer) -> None:
    head = b"POST /api/analytics/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n"
    slow = []
    try:
        for _ in range(200):  # two workers hold 64 of them each
            slow.append(socket.create_connection(("127.0.0.1", server.port), timeout=20))
            slow[-1].sendall(head + b"[")
        answers = [read_some(connection) for connection in slow[-40:]]
        assert any(answer.startswith(b"HTTP/1.1 503") for answer in answers)
        assert any(b'"error":"busy"' in answer for answer in answers)
    finally:
        for connection in slow:
            connection.close()
    end = time.monotonic() + 20
    while server.batch(b"[" + VALID + b"]").status != 201:
        assert time.monotonic() < end
        time.sleep(0.05)


def read_some(connection: socket.socket) -> bytes:
    connection.settimeout(0.2)
    try:
        return connection.recv(65_536)
    except OSError:
        return b""


def test_a_client_that_leaves_in_its_body_is_forgotten(server: IntakeServer) -> None:
    before = len(server.records())
    head = b"POST /api/analytics HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n"
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as leaving:
            leaving.sendall(head + VALID)
    assert server.post().status == 201
    assert len(server.records()) == before + 1


@pytest.mark.parametrize(
    "lengths",
    [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: five\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
    ],
)
def test_ambiguous_lengths_smuggle_nothing(server: IntakeServer, lengths: str) -> None:
    before = len(server.records())
    smuggled = b"POST /api/analytics HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (
        len(VALID),
        VALID,
    )
    body = b"5\r\nhello\r\n0\r\n\r\n"
    answer = server.raw(
        f"POST /api/analytics HTTP/1.1\r\nHost: x\r\n{lengths}\r\n".encode() + body + smuggled, 3
    )
    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert answer.count(b"HTTP/1.1") == 1
    assert len(server.records()) == before


def test_header_values_inject_nothing(server: IntakeServer) -> None:
    for value in ("https://a.example\nX-Injected: 1", "https://a.example\rX-Injected: 1", "a\x00b"):
        answer = server.raw(
            b"POST /api/analytics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: "
            + value.encode()
            + b"\r\nContent-Length: 37\r\n\r\n"
            + VALID,
            3,
        )
        head = answer.partition(b"\r\n\r\n")[0].lower()
        assert b"\r\nx-injected" not in head
    echoed = server.post(event_type="a\r\nX-Injected: 1")
    assert echoed.status == 422
    assert "x-injected" not in echoed.headers


def test_a_batch(server: IntakeServer) -> None:
    event_id = str(uuid.uuid4())
    answer = server.batch(
        msgspec.json.encode(
            [
                {"event_type": "page_view", "page": "/1", "event_id": event_id, "timestamp": now()},
                {"event_type": "page_view"},
                {"event_type": "page_view", "page": "/3", "consent": "denied"},
                {"event_type": "page_view", "page": "/4"},
            ]
        )
    )
    assert answer.status == 207
    first, second, third, fourth = answer.json["results"]
    assert (first["status"], first["event_id"], first["partition"]) == ("success", event_id, 0)
    assert (second["status"], second["error"], second["field"]) == ("rejected", "missing_field", "page")
    assert third == {"status": "ignored", "reason": "consent"}
    assert fourth["offset"] == first["offset"] + 1
    assert stored(server, fourth["event_id"]).page == "/4"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" + VALID + b"]", 201),
        (VALID + b"\n" + VALID, 201),
        (b"[" + VALID + b',{"event_type":"x","page":"/","consent":"denied"}]', 201),
        (b"[]", 201),
        (VALID + b"\n{bad}\n" + VALID, 207),
        (VALID + b"\n\xff\n", 207),
        (b"", 400),
        (b"[1", 400),
        (b"\xff", 207),
        (b"\n".join([VALID] * 1000), 201),
        (b"\n".join([VALID] * 1001), 413),
    ],
)
def test_batch_statuses(server: IntakeServer, body: bytes, status: int) -> None:
    answer = server.batch(body)
    assert answer.status == status
    if status in (201, 207):
        assert ("rejected" in {result["status"] for result in answer.json["results"]}) is (status == 207)


def test_a_pixel(server: IntakeServer) -> None:
    answer = server.request(
        "GET", "/pixel.gif", headers={"Referer": "https://blog.example/post?x=1", "User-Agent": "Mozilla/5.0"}
    )
    assert (answer.status, answer.headers["content-type"]) == (201, "image/gif")
    assert answer.body.startswith(b"GIF89a")
    record = server.records()[-1]
    assert (record.site, record.page, record.type) == ("blog.example", "/post", "page_view")
    assert server.request("GET", "/pixel.gif?site=s.example&page=/p%3Fref%3Dx").status == 201
    record = server.records()[-1]
    assert (record.site, record.page) == ("s.example", "/p?ref=x")
    assert server.request("GET", "/pixel.gif").status == 422
    assert server.request("GET", "/pixel.gif?page=/", headers={"User-Agent": "bingbot/2.0"}).status == 200
    assert server.request("GET", "/pixel.gif?page=/&site=%00%0a").status == 422
    assert server.request("GET", f"/pixel.gif?page=/&{'&'.join(f'x{n}=1' for n in range(60))}").status == 400


def test_forwarded_addresses_make_visitors_and_go_no_further(server: IntakeServer) -> None:
    def visitor(forwarded: str) -> tuple[int, str | None]:
        answer = server.post(headers={"X-Forwarded-For": forwarded, "User-Agent": "Mozilla/5.0"})
        record = stored(server, answer.json["event_id"])
        return record.visitor, record.country

    assert visitor("8.8.8.8") == visitor("1.1.1.1, 8.8.8.8") == visitor("spoofed, 8.8.8.8")
    assert visitor("8.8.8.8")[1] == "US"
    assert visitor(SECRET_ADDRESS) != visitor("8.8.8.8")
    server.batch(b"[" + VALID + b",{}]", {"X-Forwarded-For": SECRET_ADDRESS})
    server.post(b"{", {"X-Forwarded-For": SECRET_ADDRESS})
    for file in server.folder.iterdir():
        assert SECRET_ADDRESS.encode() not in file.read_bytes(), file


def test_one_id_a_thousand_times_in_parallel_is_one_identity(server: IntakeServer) -> None:
    event_id, timestamp = str(uuid.uuid4()), now()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: server.post(event_id=event_id, timestamp=timestamp), range(300)))
    assert {answer.status for answer in answers} == {201}
    records = [record for record in server.records() if str(record.id) == event_id]
    assert len(records) == 300
    assert len({(record.site, record.day, record.id) for record in records}) == 1
    assert len({answer.json["offset"] for answer in answers}) == 300


def test_health_root_and_metrics(server: IntakeServer) -> None:
    root = server.request("GET", "/")
    assert root.json["message"] == "Portfolio Analytics API"
    assert root.json["status"] == "running"
    browser = server.request("GET", "/", headers={"Accept": "text/html,*/*"})
    assert (browser.status, browser.headers["location"]) == (302, "/dashboard")
    health = server.request("GET", "/api/health")
    expected = {"status": "healthy", "database": "connected", "log": "connected"}
    assert (health.status, {name: health.json[name] for name in expected}) == (200, expected)
    assert health.json["consumer"]["state"] == "absent"
    assert server.request("GET", "/api/health/live").status == 200
    assert server.request("GET", "/api/health/ready").status == 200
    for answer in (root, health, server.request("GET", "/nowhere")):
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert server.post().status == 201
    assert float(server.metrics().split('events_total{place="log"} ')[1].split("\n")[0]) >= 1


def test_metrics_need_a_token_that_reads_all_sites_also_on_loopback(
    database: str, tmp_path: Path, free_port: int
) -> None:
    """HOST is 127.0.0.1 here, and nothing tells a proxy from the machine's owner."""
    with connect(database) as connection:
        run(connection, sites.add("one.example", "UTC", "test"))
        reader, sender, of_one = (
            run(connection, tokens.create(f"{scope} {site}", [scope], site, "test"))[1].reveal()
            for scope, site in (("read", None), ("ingest", None), ("read", "one.example"))
        )
    with IntakeServer(database, tmp_path, free_port) as server:

        def status(token: str) -> int:
            return server.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"}).status

        refused = server.request("GET", "/metrics")
        assert (refused.status, refused.json["error"]) == (401, "unauthorized")
        assert "www-authenticate" in refused.headers
        assert [status(token) for token in (reader, ADMIN_TOKEN)] == [200, 200]
        assert [status(token) for token in (sender, of_one, "wrong")] == [403, 403, 401]


def test_a_producer_without_kafka_says_who_counts_its_events(server: IntakeServer) -> None:
    said = [line for line in server.output().splitlines() if "KAFKA_BROKER" in line]
    assert len(said) == 1  # two workers, one line
    assert "WARNING" in said[0]
    assert f"the journal in {server.folder} (DATA_DIR)" in said[0]


def test_two_workers_count_on_one_sheet(server: IntakeServer) -> None:
    def accepted() -> float:
        return float(server.metrics().split('events_total{place="log"} ')[1].split("\n")[0])

    before = accepted()
    for _ in range(40):  # a connection each: the kernel gives them to both workers
        assert server.post().status == 201
    assert {accepted() for _ in range(10)} == {before + 40}


def test_many_idle_connections_leave_room(server: IntakeServer) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(500)]
    try:
        assert all(server.post().status == 201 for _ in range(20))
    finally:
        for connection in idle:
            connection.close()


# --- servers of their own


def test_origins_that_are_not_allowed(database: str, tmp_path: Path, free_port: int) -> None:
    with IntakeServer(database, tmp_path, free_port, ALLOWED_ORIGINS="https://a.example") as server:
        for method, status in (("OPTIONS", 200), ("POST", 201)):
            answer = server.request(method, "/api/analytics", VALID, {"Origin": "https://a.example"})
            assert (answer.status, answer.headers["access-control-allow-origin"]) == (
                status,
                "https://a.example",
            )
            for origin in ("https://b.example", "null"):
                answer = server.request(method, "/api/analytics", VALID, {"Origin": origin})
                assert answer.status == status
                assert "access-control-allow-origin" not in answer.headers
                assert answer.headers["vary"] == "Origin"


def test_the_host_header_is_checked_on_loopback(database: str, tmp_path: Path, free_port: int) -> None:
    with IntakeServer(database, tmp_path, free_port) as server:
        for host in ("localhost", f"localhost:{free_port}", "127.0.0.1", "[::1]:1", "LOCALHOST"):
            assert server.post(headers={"Host": host}).status == 201
        for host in ("evil.example", f"evil.example:{free_port}", "127.0.0.1.evil.example", "", "0.0.0.0"):
            for path in ("/api/analytics", "/", "/api/health", "/metrics"):
                answer = server.request("POST", path, VALID, {"Host": host})
                assert (answer.status, answer.json["error"]) == (421, "misdirected")
        assert len(server.records()) == 5
        # Without TRUSTED_PROXIES nobody is believed.
        visitors = set()
        for forwarded in ("8.8.8.8", "9.9.9.9"):
            server.post(headers={"X-Forwarded-For": forwarded, "User-Agent": "Mozilla/5.0"})
            visitors.add(server.records()[-1].visitor)
        assert len(visitors) == 1


def test_sites_by_list_and_by_number(database: str, tmp_path: Path, free_port: int) -> None:
    with IntakeServer(database, tmp_path, free_port, SITES="a.example,b.example") as server:
        assert server.post(site="A.example").status == 201
        assert server.post(headers={"Origin": "https://b.example"}).status == 201
        for answer in (server.post(site="c.example"), server.post()):
            assert (answer.status, answer.json["error"]) == (422, "unknown_site")
    with IntakeServer(database, tmp_path, free_port, MAX_SITES="2") as server:
        assert [server.post(site=f"{n}.example").status for n in (1, 2, 3, 1, 2)] == [201, 201, 422, 201, 201]


def test_a_visitor_begins_no_sessions_without_end(database: str, tmp_path: Path, free_port: int) -> None:
    limits = {"TRUSTED_PROXIES": "127.0.0.1", "RATE_LIMIT_VISITOR": "200", "WORKERS": "1"}
    browser = {"User-Agent": "Mozilla/5.0 Firefox/120.0"}
    with IntakeServer(database, tmp_path, free_port, **limits) as server:

        def send(first: int, last: int, headers: Mapping[str, str]) -> list[str]:
            events = [
                {"event_type": "page_view", "page": "/", "session_id": f"s{number}"}
                for number in range(first, last)
            ]
            answer = server.batch(msgspec.json.encode(events), {**browser, **headers})
            return [result.get("error", result["status"]) for result in answer.json["results"]]

        somebody = {"X-Forwarded-For": "8.8.8.8"}
        assert send(0, 250, somebody) == ["success"] * 200 + ["rate_limited"] * 50
        sessions = [found.session or "" for found in server.records()]
        assert sessions[:4] == ["s0", "s1", "s2", "s3"]
        assert all(session.startswith("one of many: ") for session in sessions[4:])
        assert send(0, 4, {"X-Forwarded-For": "9.9.9.9"}) == ["success"] * 4
        # Neither a token's nor those of a local network.
        assert send(0, 250, {**somebody, **TOKEN}) == ["success"] * 250
        assert send(0, 250, {"X-Forwarded-For": "10.0.0.1"}) == ["success"] * 250
        assert {found.session for found in server.records()[204:]} == {f"s{n}" for n in range(250)}


def test_consent_required_and_automation_blocked(database: str, tmp_path: Path, free_port: int) -> None:
    with IntakeServer(database, tmp_path, free_port, CONSENT="required", BLOCK_AUTOMATION="true") as server:
        assert server.post().json == {"status": "ignored", "reason": "consent"}
        granted = {"consent": "granted"}
        assert server.post(granted, {"User-Agent": "Mozilla/5.0 Firefox/120.0"}).status == 201
        assert server.post(granted, {"User-Agent": "curl/8"}).json["reason"] == "automation"
        assert server.post(granted, {"User-Agent": "curl/8", **TOKEN}).status == 201


def stop_by_itself(server: IntakeServer) -> None:
    """Its workers end before they would be killed; in its log a worker that is just ending is killed too."""
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < KILL_SECONDS - 1, server.output()


def test_sigterm_answers_what_was_asked_and_attests_it(database: str, tmp_path: Path, free_port: int) -> None:
    server = IntakeServer(database, tmp_path, free_port, WORKERS="2")
    server.start()
    acknowledged: list[str] = []
    stopping = threading.Event()

    def send() -> None:
        while not stopping.is_set():
            try:
                answer = server.post()
            except OSError:
                continue  # refused: it was not taken
            assert answer.status == 201
            acknowledged.append(answer.json["event_id"])

    with ThreadPoolExecutor(8) as pool:
        senders = [pool.submit(send) for _ in range(8)]
        end = time.monotonic() + 20
        while len(acknowledged) < 200:
            assert time.monotonic() < end
            time.sleep(0.01)
        stop_by_itself(server)
        stopping.set()
        for sender in senders:
            sender.result()
    found = server.journal()
    ids = [str(record.id) for record in found if isinstance(record, EventRecord)]
    assert set(acknowledged) <= set(ids)
    attested = sum(sum(r.accepted.values()) for r in found if isinstance(r, AttestRecord))
    assert attested == len(ids)


def test_connections_that_say_nothing_do_not_hold_up_the_end(
    database: str, tmp_path: Path, free_port: int
) -> None:
    server = IntakeServer(database, tmp_path, free_port)
    server.start()
    assert server.post().status == 201
    with (
        socket.create_connection(("127.0.0.1", free_port)),
        socket.create_connection(("127.0.0.1", free_port)) as half,
    ):
        half.sendall(b"POST /api/analytics HTTP/1.1\r\nHost")
        stop_by_itself(server)
    found = server.journal()
    assert [record.accepted for record in found if isinstance(record, AttestRecord)] != []


def test_what_cannot_be_used_is_said_at_once(database: str, tmp_path: Path, free_port: int) -> None:
    (tmp_path / "file").write_text("x")
    server = IntakeServer(
        database,
        tmp_path,
        free_port,
        DATA_DIR=str(tmp_path / "file" / "below"),
        GEOIP_DB=str(tmp_path / "file"),
    )
    assert server.launch().wait(30) == 2
    assert "DATA_DIR" in server.output()
    assert "GEOIP_DB" in server.output()
    assert "Traceback" not in server.output()


def test_kill_9_after_an_answer_loses_nothing(database: str, tmp_path: Path, free_port: int) -> None:
    server = IntakeServer(database, tmp_path, free_port, WORKERS="2")
    server.start()
    ids = {server.post().json["event_id"] for _ in range(50)}
    server.kill()
    assert ids <= {str(record.id) for record in server.records()}
    server.start()
    assert server.post().json["offset"] == 50
    server.stop()


def test_workers_end_when_their_parent_is_killed(database: str, tmp_path: Path, free_port: int) -> None:
    server = IntakeServer(database, tmp_path, free_port, WORKERS="2")
    server.start()
    workers = server.workers()
    assert len(workers) == 2
    assert server.process is not None
    server.process.kill()
    server.process.wait(10)
    end = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() and _runs(pid) for pid in workers):
        assert time.monotonic() < end
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_port_in_use_is_one_clear_line(database: str, tmp_path: Path, free_port: int) -> None:
    with IntakeServer(database, tmp_path, free_port) as server:
        (tmp_path / "second").mkdir()
        second = IntakeServer(database, tmp_path / "second", free_port)
        assert second.launch().wait(30) == 2
        assert "PORT" in second.output()
        assert "Traceback" not in second.output()
        assert server.post().status == 201
