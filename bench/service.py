"""Processes under measurement: ours, the baseline's, an empty handler on the same server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from psycopg.conninfo import conninfo_to_dict

from tests.ports import free_port

ADMIN_TOKEN = "the-token-of-the-measurements"
START_SECONDS = 60.0


@contextmanager
def running(
    arguments: list[str], environment: Mapping[str, str], ready: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of Python, once it answers at the address `ready`; ended by its id.

    Raises RuntimeError with what it said when it ended by itself.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
        try:
            if ready is not None:
                _wait(process, ready)
            yield process
        finally:
            if process.poll() is not None:
                said.seek(0)
                words = said.read()[-2000:].decode(errors="replace")
                raise RuntimeError(f"{arguments} ended with status {process.returncode}:\n{words}")
            process.send_signal(signal.SIGCONT)
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
        "RATE_LIMIT_SITE": "100000000",  # on, and never reached
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


@contextmanager
def our_consumer(environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """`portfolio-analytics consumer`; whoever needs it ready looks at its positions."""
    with running(["-m", "portfolio_analytics", "consumer"], environment) as process:
        yield process


@contextmanager
def baseline_service(brokers: str, topic: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """FastAPI and aiokafka."""
    port = free_port()
    ready = f"http://127.0.0.1:{port}/ready"
    environment = {"KAFKA_BROKER": brokers, "KAFKA_TOPIC": topic}
    with running(["-m", "bench.baseline.service", str(port)], environment, ready) as process:
        yield process, port


@contextmanager
def baseline_consumer(brokers: str, topic: str, database: str) -> Iterator[subprocess.Popen[bytes]]:
    """One INSERT an event, from aiokafka."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
    given = conninfo_to_dict(database)
    environment = {variable: str(given[name]) for name, variable in names.items() if given.get(name)}
    environment |= {"PGDATABASE": str(given["dbname"]), "KAFKA_BROKER": brokers, "KAFKA_TOPIC": topic}
    with running(["-m", "bench.baseline.consumer"], environment) as process:
        yield process


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
