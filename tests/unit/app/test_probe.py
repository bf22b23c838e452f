"""The consumer's own address: where it answers, and that it prints nothing of those who ask."""

from __future__ import annotations

import socket
import struct
import time
import urllib.request

import pytest

from portfolio_analytics.app.probe import serving

RESET = struct.pack("ii", 1, 0)


def test_a_client_that_goes_away_leaves_no_address_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []

    def answer(path: str) -> tuple[int, str, bytes]:
        asked.append(path)
        return 200, "text/plain", bytes(20_000_000)  # more than any buffer on the way holds

    with serving("127.0.0.1", 0, answer) as port:
        for path in ("/first", "/second"):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                assert client.recv(1)
        deadline = time.monotonic() + 10
        while len(asked) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert "127.0.0.1" not in "".join(capfd.readouterr())


def test_a_mistake_is_logged_without_the_address(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def answer(path: str) -> tuple[int, str, bytes]:
        raise RuntimeError("this is the mistake")

    with (
        serving("127.0.0.1", 0, answer) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as client,
    ):
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(100) == b""
    assert "this is the mistake" in caplog.text
    assert "127.0.0.1" not in caplog.text + "".join(capfd.readouterr())


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "::"])
def test_it_answers_on_addresses_of_ipv6(host: str) -> None:
    with (
        serving(host, 0, lambda path: (200, "text/plain", path.encode())) as port,
        urllib.request.urlopen(f"http://[::1]:{port}/ready", timeout=10) as found,
    ):
        assert found.read() == b"/ready"
