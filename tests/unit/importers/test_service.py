"""What a client makes of the answers it can get; the peer is a real HTTP server that answers by a script."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from portfolio_analytics.importers.service import Service, ServiceError, find_token, kind_of_answer

Answer = tuple[int, dict[str, str], bytes]
Script = list[Answer]
STORED: Answer = (201, {}, b'{"status":"success","results":[{"status":"success"}]}')
EVENT = b'{"event_type":"page_view","page":"/"}'


class Scripted(ThreadingHTTPServer):
    """Answers each request with the next line of `script` and keeps what came."""

    daemon_threads = True

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = list(script)
        self.requests: list[tuple[str, bytes, str | None]] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, body, self.headers.get("Authorization")))
        status, headers, content = self.server.script.pop(0)
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def serve() -> Iterator[Callable[[Script], Scripted]]:
    """Start a server with a script."""
    servers = []

    def start(script: Script) -> Scripted:
        server = Scripted(script)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def client(server: Scripted, waits: list[float], prefix: str = "", patience: float = 600.0) -> Service:
    url = f"http://127.0.0.1:{server.server_address[1]}{prefix}"
    return Service(url, "a-token", patience=patience, sleep=waits.append)


def test_a_batch_and_its_answers(serve: Callable[[Script], Scripted]) -> None:
    server = serve([(207, {}, b'{"results":[{"status":"success"},{"status":"rejected","error":"x"}]}')])
    with client(server, [], "/behind/a/proxy/") as service:
        answers = service.send([EVENT, EVENT])
    assert [kind_of_answer(answer) for answer in answers] == ["success", "rejected: x"]
    path, body, authorization = server.requests[0]
    assert path == "/behind/a/proxy/api/analytics/batch"
    assert body == b"[" + EVENT + b"," + EVENT + b"]"
    assert authorization == "Bearer a-token"


def test_what_passes_is_tried_again_with_the_same_body(serve: Callable[[Script], Scripted]) -> None:
    waits: list[float] = []
    server = serve(
        [
            (503, {"Retry-After": "7"}, b'{"message":"the log is away"}'),
            (429, {"Retry-After": "Wed, 21 Oct 2065 07:28:00 GMT"}, b""),
            (502, {}, b"<html>"),
            (0, {}, b""),
            (500, {}, b""),
            STORED,
        ]
    )
    with client(server, waits) as service:
        assert service.send([EVENT]) == [{"status": "success"}]
    assert len(server.requests) == 6
    assert len({body for _, body, _ in server.requests}) == 1
    assert waits[0] == 7.0
    # Doubled each time, spread over half of it.
    assert all(0.25 * 2**n <= wait <= 0.5 * 2**n for n, wait in enumerate(waits[1:], 1))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 301])
def test_what_does_not_pass_is_said(serve: Callable[[Script], Scripted], status: int) -> None:
    server = serve([(status, {}, b'{"message":"because"}')])
    with client(server, []) as service, pytest.raises(ServiceError, match=f"{status}, because"):
        service.send([EVENT])


@pytest.mark.parametrize(
    "content", [b"<html>", b"{}", b'{"results":[]}', b'{"results":[7]}', b'{"results":{}}', b"[]"]
)
def test_an_answer_that_is_not_the_services(serve: Callable[[Script], Scripted], content: bytes) -> None:
    server = serve([(201, {}, content)])
    with client(server, []) as service, pytest.raises(ServiceError):
        service.send([EVENT])


def test_patience_counts_what_it_would_wait(serve: Callable[[Script], Scripted]) -> None:
    waits: list[float] = []
    server = serve([(503, {"Retry-After": "61"}, b'{"message":"full"}')])
    with client(server, waits, patience=60.0) as service, pytest.raises(ServiceError, match="full"):
        service.send([EVENT])
    assert waits == []


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8080", "ftp://a.example", "http://", "http://a:port", "http://[::1"]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ServiceError, match="is not an address"):
        Service(url, None)


def test_the_token(tmp_path: Path) -> None:
    assert find_token(None, {}, tmp_path) is None
    (tmp_path / "admin-token").write_text("made-by-run\n")
    assert find_token(None, {}, tmp_path) == "made-by-run"
    assert find_token(None, {"ADMIN_TOKEN": " set "}, tmp_path) == "set"
    assert find_token("given", {"ADMIN_TOKEN": "set"}, tmp_path) == "given"
