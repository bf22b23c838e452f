"""The bridge from the server to ASGI, by a real server in a process of its own: streams, bodies, ends."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

START_SECONDS = 30.0

PROGRAM = Path(__file__).with_name("bridge_server.py")


@pytest.fixture
def bridge(free_port: int, tmp_path: Path) -> Iterator[tuple[int, subprocess.Popen[bytes], Path]]:
    seen = tmp_path / "seen"
    seen.touch()
    process = subprocess.Popen([sys.executable, str(PROGRAM), str(free_port), str(seen)])
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                get(free_port, "/hello")
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.05)
        yield free_port, process, seen
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def get(port: int, path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers={"X-Two": "1"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def post(port: int, path: str, body: bytes | Iterator[bytes]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", path, body, encode_chunked=not isinstance(body, bytes))
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content


def wait_for(seen: Path, what: str) -> None:
    end = time.monotonic() + 20
    while what not in seen.read_text():
        assert time.monotonic() < end, seen.read_text()
        time.sleep(0.05)


def test_answers_bodies_and_cookies(bridge: tuple[int, subprocess.Popen[bytes], Path]) -> None:
    port, _, _ = bridge
    response = get(port, "/hello?a=%00&b=1")
    assert (response.status, response.getheader("x-extra")) == (200, "/hello")
    assert response.headers.get_all("set-cookie") == [
        "a=1; Path=/; SameSite=lax",
        "b=2; Path=/; SameSite=lax",
    ]
    assert post(port, "/echo", b"x" * 1000) == (200, b"x" * 1000)
    assert post(port, "/echo", iter([b"x" * 600, b"y" * 400])) == (200, b"x" * 600 + b"y" * 400)
    assert post(port, "/echo", b"x" * 1001)[0] == 413
    assert post(port, "/echo", iter([b"x" * 600, b"y" * 401]))[0] == 413
    assert post(port, "/echo", b"") == (200, b"")


def test_a_stream_that_ends_is_whole(bridge: tuple[int, subprocess.Popen[bytes], Path]) -> None:
    port, _, _ = bridge
    for _ in range(3):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/count")
        assert connection.getresponse().read() == b"0\n1\n2\n"
        connection.close()


def test_a_mistake_is_500_and_the_server_goes_on(bridge: tuple[int, subprocess.Popen[bytes], Path]) -> None:
    port, _, _ = bridge
    assert get(port, "/mistake").status == 500
    assert get(port, "/hello").status == 200


def test_a_stream_ends_when_its_client_leaves(bridge: tuple[int, subprocess.Popen[bytes], Path]) -> None:
    port, _, seen = bridge
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/stream")
    response = connection.getresponse()
    assert response.read1(100)
    response.close()
    connection.close()
    wait_for(seen, "stream ended")
    assert get(port, "/hello").status == 200


def test_a_stream_ends_when_the_server_stops(bridge: tuple[int, subprocess.Popen[bytes], Path]) -> None:
    port, process, seen = bridge
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/stream")
    response = connection.getresponse()
    assert response.read1(100)
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    while response.read1(100):
        pass
    assert process.wait(20) == 0
    assert time.monotonic() - begun < 8
    assert "stream ended" in seen.read_text()
    connection.close()
