"""Processes under measurement: our service, an empty handler on the same server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

ADMIN_TOKEN = "the-token-of-the-measurements"
START_SECONDS = 60.0


def free_port() -> int:
    """A TCP port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    arguments: list[str], environment: Mapping[str, str], ready: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that answers at the address `ready`; ended by its id."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(process, ready)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@contextmanager
def our_service(
    command: str, environment: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`portfolio-analytics COMMAND` on a free port."""
    port = free_port()
    settings = {
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "ADMIN_TOKEN": ADMIN_TOKEN,
        "RATE_LIMIT": "1000000",
        **environment,
    }
    ready = f"http://127.0.0.1:{port}/api/health/ready"
    with running(["-m", "portfolio_analytics", command], settings, ready) as process:
        yield process, port


@contextmanager
def empty_handler() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The floor: an RSGI handler on the same server that reads the body and answers."""
    port = free_port()
    with running(["-m", "bench.empty_handler", str(port)], {}, f"http://127.0.0.1:{port}/") as process:
        yield process, port


def _wait(process: subprocess.Popen[bytes], address: str) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with status {process.returncode}")
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    raise RuntimeError(f"{address} does not answer")
