"""What an operator sees: health, metrics and probes of consumers, with real processes."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from portfolio_analytics.consumer.positions import record_gap
from portfolio_analytics.storage.database import connect
from tests.answers import TOKEN, get, metric, status
from tests.faults.process import Process, Server, eventually
from tests.ports import free_port, free_ports


def health(server: Server) -> dict[str, Any]:
    status, body = get(f"{server.url}/api/health")
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


def post(server: Server, count: int) -> None:
    for number in range(count):
        body = json.dumps({"event_type": "page_view", "page": f"/{number}"}).encode()
        with urllib.request.urlopen(f"{server.url}/api/analytics", body, timeout=15) as answer:
            assert answer.status == 201


def state_is(server: Server, state: str) -> Callable[[], bool]:
    return lambda: health(server).get("consumer", {}).get("state") == state


def test_run_shows_the_figures_of_its_consumer(database: str, tmp_path: Path) -> None:
    environment = {"DATABASE_URL": database, "DATA_DIR": str(tmp_path / "data"), "ADMIN_TOKEN": TOKEN}
    with Server("run", ["run"], environment, tmp_path, free_port()) as server:
        post(server, 3)
        counted = 'portfolio_analytics_consumed_total{outcome="counted"}'
        eventually(lambda: metric(server.url, counted) == 3.0, 30, lambda: get(f"{server.url}/metrics")[1])
        eventually(
            lambda: metric(server.url, 'portfolio_analytics_consumer_lag{partition="0"}') == 0.0,
            30,
            lambda: get(f"{server.url}/metrics")[1],
        )
        assert metric(server.url, 'portfolio_analytics_consumer_state{state="running"}') == 1.0
        assert (metric(server.url, "portfolio_analytics_commit_seconds_count") or 0) >= 1
        assert metric(server.url, "portfolio_analytics_visible_seconds_count") == 3.0
        assert metric(server.url, "portfolio_analytics_bad_rows") == 0.0
        assert metric(server.url, 'portfolio_analytics_ledger{part="in_flight"}') == 0.0
        found = health(server)
        assert found["status"] == "healthy"
        assert found["consumer"]["state"] == "running"
        assert found["consumer"]["lag"] == 0
        assert 0 <= found["consumer"]["age_seconds"] < 60
        assert "warnings" not in found
        assert server.terminate() == 0
        assert "KAFKA_BROKER" not in server.output()  # its consumer reads the journal


def test_health_and_probes_of_a_consumer_that_ends_hangs_and_comes_back(
    database: str, tmp_path: Path
) -> None:
    """Health goes on being 200, and says it; a gap is told until somebody acknowledges it."""
    port, probe_port = free_ports(2)
    environment = {"DATABASE_URL": database, "DATA_DIR": str(tmp_path / "data"), "ADMIN_TOKEN": TOKEN}
    probe = f"http://127.0.0.1:{probe_port}"
    with (
        Server("producer", ["producer"], environment | {"WORKERS": "1"}, tmp_path, port) as server,
        Process(
            "consumer", ["consumer"], environment | {"METRICS_PORT": str(probe_port)}, tmp_path
        ) as consumer,
    ):
        eventually(state_is(server, "running"), 30, lambda: json.dumps(health(server)))
        eventually(lambda: status(f"{probe}/ready") == 200, 30, consumer.output)
        assert get(f"{probe}/live") == (200, '{"status": "live"}')
        assert get(f"{probe}/elsewhere")[0] == 404
        assert metric(probe, "portfolio_analytics_consumer_waiting") == 0.0
        assert metric(probe, 'portfolio_analytics_consumer_state{state="running"}') == 1.0
        assert metric(probe, "portfolio_analytics_requests_in_flight") is None

        consumer.pause()
        post(server, 2)
        eventually(state_is(server, "waiting"), 40, lambda: json.dumps(health(server)))
        found = health(server)
        assert found["status"] == "healthy"
        assert found["consumer"]["lag"] >= 2
        assert "no position moves" in found["warnings"][0]
        assert metric(server.url, 'portfolio_analytics_consumer_state{state="waiting"}') == 1.0

        consumer.resume()
        eventually(state_is(server, "running"), 40, lambda: json.dumps(health(server)))
        assert metric(probe, 'portfolio_analytics_consumed_total{outcome="counted"}') == 2.0

        assert consumer.terminate() == 0
        eventually(state_is(server, "absent"), 30, lambda: json.dumps(health(server)))
        assert "No consumer is connected" in health(server)["warnings"][0]
        with connect(database) as connection:
            record_gap(connection, "topic", 0, 1, 2)
        eventually(lambda: "acknowledged: 1;" in str(health(server)), 10, lambda: json.dumps(health(server)))
        acknowledging = Process("doctor", ["doctor", "--acknowledge-gaps"], environment, tmp_path)
        acknowledging.start()
        eventually(lambda: not acknowledging.alive, 60, acknowledging.output)
        eventually(lambda: "acknowledged" not in str(health(server)), 10, lambda: json.dumps(health(server)))
        with connect(database) as connection:
            assert connection.execute("SELECT action, detail FROM audit_log").fetchall() == [
                ("gaps.acknowledge", {"count": 1})
            ]
