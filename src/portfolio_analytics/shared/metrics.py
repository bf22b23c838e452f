"""Every metric, declared once, and the sheet on which several processes count.

Workers are processes, and a scrape reaches any one of them. So each worker counts in its own row of one
mapped file, with plain additions, and whoever is scraped sums the rows.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry


class Declaration(NamedTuple):
    """One metric: its name, kind and meaning; the values of its one label, or a histogram's bounds."""

    name: str
    kind: str  # counter, gauge or histogram
    meaning: str
    label: str = ""
    values: tuple[str, ...] = ("",)
    bounds: tuple[float, ...] = ()


REFUSALS = (
    "invalid_json",
    "invalid_utf8",
    "invalid_event",
    "invalid_field",
    "missing_field",
    "time_out_of_range",
    "unknown_site",
    "too_many_events",
    "too_large",
    "timeout",
    "bad_request",
    "invalid_compression",
    "unsupported_encoding",
    "unauthorized",
    "forbidden",
    "rate_limited",
    "not_ready",
    "busy",
    "log_unavailable",
    "storage_unavailable",
    "other",
)
IGNORED = ("bot", "automation", "consent", "gpc", "dnt", "excluded")

EVENTS = Declaration(
    "portfolio_analytics_events",
    "counter",
    "Events answered with success: in the log, or in the spool on its way there.",
    "place",
    ("log", "spool"),
)
IGNORED_EVENTS = Declaration(
    "portfolio_analytics_ignored", "counter", "Events not recorded by policy.", "reason", IGNORED
)
REFUSED = Declaration(
    "portfolio_analytics_refused", "counter", "Events and requests refused with an error.", "reason", REFUSALS
)
IN_FLIGHT = Declaration(
    "portfolio_analytics_requests_in_flight", "gauge", "Intake requests that wait for their body or the log."
)
BREAKER_OPEN = Declaration(
    "portfolio_analytics_breaker_open", "gauge", "Workers that do not try the log now, since it failed."
)
APPEND_SECONDS = Declaration(
    "portfolio_analytics_append_seconds",
    "histogram",
    "How long the log (or the spool) took to acknowledge.",
    bounds=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
)
SPOOL_BYTES = Declaration("portfolio_analytics_spool_bytes", "gauge", "What the spool takes on disk.")
SPOOL_RECORDS = Declaration(
    "portfolio_analytics_spool_records", "gauge", "Records in the spool that are not in the log yet."
)
SPOOL_AGE = Declaration(
    "portfolio_analytics_spool_oldest_seconds", "gauge", "Age of the oldest record in the spool."
)
SPOOL_DRAINED = Declaration(
    "portfolio_analytics_spool_drained_per_second", "gauge", "Records from the spool to the log a second."
)

DECLARATIONS = (EVENTS, IGNORED_EVENTS, REFUSED, IN_FLIGHT, BREAKER_OPEN, APPEND_SECONDS)
"""What workers count; the spool's figures are read from the spool itself."""

ROW_BYTES = 4096  # a page, since a row is mapped on its own
_PID = 0  # the first cell of a row says whose it is


def _slots(declaration: Declaration) -> int:
    # A histogram: one cell a bucket, one for what is above, one for the sum in microseconds.
    return len(declaration.bounds) + 2 if declaration.kind == "histogram" else len(declaration.values)


def _layout() -> dict[str, int]:
    cells: dict[str, int] = {}
    next_cell = 1
    for declaration in DECLARATIONS:
        cells[declaration.name] = next_cell
        next_cell += _slots(declaration)
    return cells


CELLS = _layout()


def cell(declaration: Declaration, value: str = "") -> int:
    """Where a metric (with a value of its label) stands in a row."""
    return CELLS[declaration.name] + declaration.values.index(value)


class Sheet:
    """A process's own row of the file at `path`, and everyone's sums. Made on the first use of the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            end = os.fstat(descriptor).st_size
            os.ftruncate(descriptor, end + ROW_BYTES)
            self._map = mmap.mmap(descriptor, ROW_BYTES, offset=end)
        finally:
            # The map keeps a copy of the descriptor, and with it the lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)
        self.row = memoryview(self._map).cast("q")
        self.row[_PID] = os.getpid()

    def totals(self) -> list[int]:
        """The sums of all rows, cell by cell; gauges of processes that have ended count nothing."""
        totals = [0] * (ROW_BYTES // 8)
        gauges = {cell(d, v) for d in DECLARATIONS if d.kind == "gauge" for v in d.values}
        content = self._path.read_bytes()
        for start in range(0, len(content), ROW_BYTES):
            row = struct.unpack_from(f"{ROW_BYTES // 8}q", content, start)
            alive = _alive(row[_PID])
            for place, n in enumerate(row):
                if n and (alive or place not in gauges):
                    totals[place] += n
        return totals

    def close(self) -> None:
        """Zero the gauges and let go."""
        for declaration in DECLARATIONS:
            if declaration.kind == "gauge":
                self.row[cell(declaration)] = 0
        self.row.release()
        self._map.close()


def exposition(sheet: Sheet, gauges: dict[Declaration, float]) -> bytes:
    """The text that a Prometheus server reads: the sheet's sums, and `gauges` that were read elsewhere."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(sheet.totals(), gauges))
    return generate_latest(registry)


class _Snapshot(Collector):
    def __init__(self, totals: list[int], gauges: dict[Declaration, float]) -> None:
        self._totals = totals
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        for declaration in DECLARATIONS:
            yield _family(declaration, self._totals)
        for declaration, value in self._gauges.items():
            yield GaugeMetricFamily(declaration.name, declaration.meaning, value=value)


def _family(declaration: Declaration, totals: list[int]) -> Metric:
    first = CELLS[declaration.name]
    if declaration.kind == "histogram":
        counts = totals[first : first + len(declaration.bounds) + 1]
        cumulated = [sum(counts[: place + 1]) for place in range(len(counts))]
        names = [*map(str, declaration.bounds), "+Inf"]
        return HistogramMetricFamily(
            declaration.name,
            declaration.meaning,
            buckets=list(zip(names, cumulated, strict=True)),
            sum_value=totals[first + len(counts)] / 1e6,
        )
    kind = CounterMetricFamily if declaration.kind == "counter" else GaugeMetricFamily
    labels = [declaration.label] if declaration.label else []
    family = kind(declaration.name, declaration.meaning, labels=labels)
    for place, value in enumerate(declaration.values):
        family.add_metric([value] if labels else [], totals[first + place])
    return family


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0
