"""Intake over HTTP: rate and CPU of single events and of batches, and the latency of an answer."""

from __future__ import annotations

import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from bench.figure import Figure, figure, interleaved, percentile, ratio
from bench.load import batch_body, closed_loop, event_body, open_loop
from bench.machine import cpu_seconds, resident_mb
from bench.service import empty_handler, our_service

CONNECTIONS = 256
BATCH = 100


def measure_intake(
    database: str, log: dict[str, str], name: str, *, seconds: float, rounds: int
) -> list[Figure]:
    """Figures of one producer worker whose log is what the environment `log` says."""
    with tempfile.TemporaryDirectory(prefix="pa-bench-", dir="/tmp") as folder:
        environment = {"DATABASE_URL": database, "DATA_DIR": str(Path(folder)), "WORKERS": "1", **log}
        with our_service("producer", environment) as (ours, port), empty_handler() as (floor, floor_port):
            idle = resident_mb(_worker(ours.pid))
            single, empty = _Meter(ours.pid), _Meter(floor.pid)
            rates, empty_rates = interleaved(
                rounds,
                single.rate(
                    lambda: closed_loop(
                        port, "/api/analytics", event_body, connections=CONNECTIONS, seconds=seconds
                    ),
                    seconds,
                    1,
                ),
                empty.rate(
                    lambda: closed_loop(
                        floor_port, "/api/analytics", event_body, connections=CONNECTIONS, seconds=seconds
                    ),
                    seconds,
                    1,
                ),
            )
            batches = _Meter(ours.pid)
            (batch_rates,) = interleaved(
                rounds,
                batches.rate(
                    lambda: closed_loop(
                        port, "/api/analytics/batch", batch_body, connections=8, seconds=seconds
                    ),
                    seconds,
                    BATCH,
                ),
            )
            latencies = open_loop(port, "/api/analytics", event_body, rate=1000, seconds=seconds)
            loaded = resident_mb(_worker(ours.pid))
    return [
        figure(f"single events, {CONNECTIONS} connections, {name}", "events/s", rates),
        figure(f"single events, CPU of the worker, {name}", "us/event", single.cpu),
        figure("empty handler on the same server", "requests/s", empty_rates),
        figure("empty handler, CPU", "us/request", empty.cpu),
        ratio(f"single event against an empty handler, CPU, {name}", single.cpu, empty.cpu),
        figure(f"batches of {BATCH}, {name}", "events/s", batch_rates),
        figure(f"batches of {BATCH}, CPU of the worker, {name}", "us/event", batches.cpu),
        figure(f"answer at 1,000 requests/s, open loop, p50, {name}", "ms", [percentile(latencies, 0.5)]),
        figure(f"answer at 1,000 requests/s, open loop, p99, {name}", "ms", [percentile(latencies, 0.99)]),
        figure(f"memory of a worker, idle, {name}", "MB", [idle]),
        figure(f"memory of a worker, after load, {name}", "MB", [loaded]),
    ]


def measure_start(*, rounds: int) -> list[Figure]:
    """Seconds from the start of `run` to the first event accepted: first start, later starts."""
    first: list[float] = []
    later: list[float] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="pa-bench-", dir="/tmp") as folder:
            Path(folder).chmod(0o755)
            for values in (first, later):
                began = time.perf_counter()
                with our_service("run", {"DATA_DIR": str(Path(folder) / "data")}) as (_, port):
                    post = urllib.request.Request(f"http://127.0.0.1:{port}/api/analytics", data=event_body())
                    with urllib.request.urlopen(post, timeout=10):
                        values.append(time.perf_counter() - began)
    return [
        figure("run: first start to first event accepted", "s", first),
        figure("run: later start to first event accepted", "s", later),
    ]


class _Meter:
    """CPU an event of a process and its children, beside a rate."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.cpu: list[float] = []

    def rate(self, load: Callable[[], float], seconds: float, events: int) -> Callable[[], float]:
        """A measure that gives events a second and notes CPU microseconds an event."""

        def measure() -> float:
            before = cpu_seconds(self._pid)
            began = time.perf_counter()
            rate = load() * events
            self.cpu.append((cpu_seconds(self._pid) - before) / (rate * (time.perf_counter() - began)) * 1e6)
            return rate

        return measure


def _worker(pid: int) -> int:
    """The largest process below `pid`: the worker."""
    children = [
        int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _parent(entry) == pid
    ]
    return max(children, key=resident_mb, default=pid)


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except OSError:
        return 0
