"""LOG_FORMAT=json: every line of a service can be parsed, and none tells who somebody is."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from portfolio_analytics.storage.database import connect
from tests.faults.journal import append
from tests.faults.pipeline import count_rows, number
from tests.faults.process import Process, Server, eventually
from tests.ports import free_port

# From the block for documentation (RFC 5737): nothing else has it.
ADDRESS = "203.0.113.77"
AGENT = "TellTale/7.7"
TOKEN = "the-token-of-the-log-tests"
POISON = b'{"kind": "event", "page": "' + ADDRESS.encode() + b'", "user_agent": "' + AGENT.encode() + b'"'


def send(server: Server, body: bytes, path: str = "/api/analytics") -> int:
    headers = {"X-Forwarded-For": ADDRESS, "User-Agent": AGENT, "X-Request-Id": "request-7"}
    request = urllib.request.Request(server.url + path, body or None, headers)
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def lines(process: Process, role: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in process.output().splitlines()]
    assert found
    for line in found:
        assert {"time", "level", "logger", "role", "message"} <= line.keys()
        assert line["role"] == role
    return found


def test_every_line_parses_and_names_nobody(database: str, tmp_path: Path) -> None:
    environment = {
        "DATABASE_URL": database,
        "DATA_DIR": str(tmp_path / "data"),
        "ADMIN_TOKEN": TOKEN,
        "TRUSTED_PROXIES": "127.0.0.1",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "DEBUG",
        "WORKERS": "1",
    }
    server = Server("producer", ["producer"], environment, tmp_path, free_port())
    consumer = Process("consumer", ["consumer"], environment, tmp_path)
    with server, connect(database) as connection:
        with consumer:
            event = {"event_type": "page_view", "page": "/", "session_id": "a-session"}
            assert send(server, json.dumps(event).encode()) == 201
            assert send(server, b"{") == 400
            assert send(server, json.dumps([event, {}]).encode(), "/api/analytics/batch") == 207
            assert send(server, b"", "/api/ledger") == 401
            append(tmp_path / "data" / "journal.sqlite", [POISON])
            bad_rows = "SELECT count(*) FROM bad_rows"
            eventually(lambda: number(connection, bad_rows) == 1, 60, consumer.output)
            eventually(lambda: count_rows(connection) == 2, 60, consumer.output)
            assert consumer.terminate() == 0
        # What it should read next is gone.
        connection.execute("UPDATE log_positions SET next = next + 1000")
        with consumer:
            gaps = "SELECT count(*) FROM log_gaps"
            eventually(lambda: number(connection, gaps) == 1, 60, consumer.output)
            assert consumer.terminate() == 0
        assert server.terminate() == 0
    told = lines(consumer, "consumer")
    assert any("Bad rows kept" in line["message"] for line in told)
    (gap,) = [line for line in told if "the log ends before offset" in line["message"]]
    assert (gap["level"], gap["partition"]) == ("ERROR", 0)
    assert gap["offset"] >= 1000
    told += lines(server, "producer")
    for word in (ADDRESS, AGENT, "a-session", TOKEN):
        assert word not in json.dumps(told)
