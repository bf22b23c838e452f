"""Every metric, declared once, and the sheet on which several processes count.

Workers are processes, and a scrape reaches any one of them. So each worker counts in its own row of one
mapped file, with plain additions, and whoever is scraped sums the rows. What is not counted but stands in the
database, the log or the spool is read there when somebody asks: the gauges of READ.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from bisect import bisect_left
from collections.abc import Iterator, Mapping
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

BATCHES = Declaration(
    "portfolio_analytics_consumer_batches", "counter", "Batches of records that the consumer has committed."
)
CONSUMED = Declaration(
    "portfolio_analytics_consumed",
    "counter",
    "Events that the consumer has committed, by what became of them.",
    "outcome",
    ("counted", "duplicate", "rejected"),
)
REJECTIONS = (
    "empty",
    "undecodable",
    "out_of_range",
    "unstorable",
    "expired",
    "erased",
    "site_deleted",
    "site_reset",
    "spam",
    "other",
)
REJECTED = Declaration(
    "portfolio_analytics_rejected",
    "counter",
    "Records that were not counted: the first four are kept as bad rows, the rest is policy.",
    "reason",
    REJECTIONS,
)
FENCED = Declaration(
    "portfolio_analytics_consumer_fenced",
    "counter",
    "Batches that were dropped since another consumer had taken their partition over; it counts them.",
)
COMMIT_SECONDS = Declaration(
    "portfolio_analytics_commit_seconds",
    "histogram",
    "How long a batch took from its first statement to its commit.",
    bounds=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0),
)
VISIBLE_SECONDS = Declaration(
    "portfolio_analytics_visible_seconds",
    "histogram",
    "From an event's acceptance to the commit that makes it visible.",
    bounds=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0, 3600.0),
)
WAITING = Declaration(
    "portfolio_analytics_consumer_waiting",
    "gauge",
    "Consumers that wait for the log or the database; nothing is lost meanwhile.",
)

INTAKE = (EVENTS, IGNORED_EVENTS, REFUSED, IN_FLIGHT, BREAKER_OPEN, APPEND_SECONDS)
"""What a worker of the intake counts."""

CONSUMER = (BATCHES, CONSUMED, REJECTED, FENCED, COMMIT_SECONDS, VISIBLE_SECONDS, WAITING)
"""What a consumer counts."""

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
STATES = ("running", "behind", "waiting", "absent")
CONSUMER_STATE = Declaration(
    "portfolio_analytics_consumer_state",
    "gauge",
    "1 for what the consumers together do: running; behind, with records older than 10 s that are not "
    "counted; waiting, where nothing of these moves; absent, where no consumer is connected.",
    "state",
    STATES,
)
CONSUMER_LAG = Declaration(
    "portfolio_analytics_consumer_lag",
    "gauge",
    "Records of a partition of the log that are not counted yet.",
    "partition",
    (),
)
LAST_COMMIT_AGE = Declaration(
    "portfolio_analytics_last_commit_age_seconds", "gauge", "Since any consumer moved a position."
)
BAD_ROWS = Declaration(
    "portfolio_analytics_bad_rows", "gauge", "Records that could not be stored and were not tried again."
)
GAPS = Declaration(
    "portfolio_analytics_gaps",
    "gauge",
    "Gaps that nobody has acknowledged: records that were gone from the log before they were counted.",
)
LEDGER = Declaration(
    "portfolio_analytics_ledger",
    "gauge",
    "Records of the last hour, without its last two minutes, that keep the ledger from balancing: "
    "in_flight, accepted and not yet counted; unattested, counted and not attested by who accepted them.",
    "part",
    ("in_flight", "unattested"),
)

READ = (
    SPOOL_BYTES,
    SPOOL_RECORDS,
    SPOOL_AGE,
    SPOOL_DRAINED,
    CONSUMER_STATE,
    CONSUMER_LAG,
    LAST_COMMIT_AGE,
    BAD_ROWS,
    GAPS,
    LEDGER,
)
"""What is read where it stands. All but the spool's are the same from every process that is asked."""

DECLARATIONS = (*INTAKE, *CONSUMER)
"""What has cells in a row."""

Row = tuple[int, ...]
"""The cells of one process, as they were a moment ago."""

Gauges = Mapping[Declaration, float | Mapping[str, float]]
"""Values of READ; of one with a label, the value by the label's."""

ROW_BYTES = mmap.ALLOCATIONGRANULARITY  # a page of this machine, since a row is mapped on its own
_PID = 0  # the first cell of a row says whose it is, the second what is counted in it
_GROUP = 1
OPEN = 2
"""The cell that is 1 once a process has reached what it needs."""
TURNED = 3
"""The cell that says when its loop came round last (milliseconds of the machine's steady clock)."""
_FIRST = 4
_GROUPS = (INTAKE, CONSUMER)


def _slots(declaration: Declaration) -> int:
    # A histogram: one cell a bucket, one for what is above, one for the sum in microseconds.
    return len(declaration.bounds) + 2 if declaration.kind == "histogram" else len(declaration.values)


def _layout() -> dict[str, int]:
    cells: dict[str, int] = {}
    next_cell = _FIRST
    for declaration in DECLARATIONS:
        cells[declaration.name] = next_cell
        next_cell += _slots(declaration)
    return cells


CELLS = _layout()
_END = CELLS[DECLARATIONS[-1].name] + _slots(DECLARATIONS[-1])


def cell(declaration: Declaration, value: str = "") -> int:
    """Where a metric (with a value of its label) stands in a row."""
    return CELLS[declaration.name] + declaration.values.index(value)


def observe(row: memoryview[int], declaration: Declaration, seconds: float, n: int = 1) -> None:
    """Count `n` times `seconds` in the histogram `declaration` of `row`."""
    first = CELLS[declaration.name]
    row[first + bisect_left(declaration.bounds, seconds)] += n
    row[first + len(declaration.bounds) + 1] += int(seconds * n * 1e6)


class Sheet:
    """A process's own row of the file at `path`, and everyone's sums. Made on the first use of the file.

    `group` is what the process counts, INTAKE or CONSUMER. The row of one that has ended is gone on with, so
    that a process that keeps ending does not fill the disk.
    """

    def __init__(self, path: Path, group: tuple[Declaration, ...] = INTAKE) -> None:
        self._path = path
        mark = 1 << _GROUPS.index(group)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            rows = list(self._rows())
            free = (n for n, row in enumerate(rows) if row[_GROUP] == mark and not _alive(row[_PID]))
            number = next(free, len(rows))
            os.ftruncate(descriptor, max(len(rows), number + 1) * ROW_BYTES)
            self._map = mmap.mmap(descriptor, ROW_BYTES, offset=number * ROW_BYTES)
            self.row = memoryview(self._map).cast("q")
            self.row[_PID] = os.getpid()
            self.row[_GROUP] = mark
            self.row[OPEN] = self.row[TURNED] = 0
            self._zero_gauges()
        finally:
            # The map keeps a copy of the descriptor, and with it the lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def totals(self) -> list[int]:
        """The sums of all rows, cell by cell; gauges of processes that have ended count nothing.

        Cell 1 has a bit for each group that was counted in.
        """
        totals = [0] * (ROW_BYTES // 8)
        gauges = {cell(d, v) for d in DECLARATIONS if d.kind == "gauge" for v in d.values}
        for row in self._rows():
            alive = _alive(row[_PID])
            totals[_GROUP] |= row[_GROUP]
            for place in range(_FIRST, _END):
                if row[place] and (alive or place not in gauges):
                    totals[place] += row[place]
        return totals

    def row_of(self, pid: int) -> Row | None:
        """What the process `pid` has counted; None before it has begun to."""
        return next((row for row in self._rows() if row[_PID] == pid), None)

    def _rows(self) -> Iterator[Row]:
        content = self._path.read_bytes()
        for start in range(0, len(content), ROW_BYTES):
            yield struct.unpack_from(f"{ROW_BYTES // 8}q", content, start)

    def close(self) -> None:
        """Zero the gauges and let go."""
        self._zero_gauges()
        self.row.release()
        self._map.close()

    def _zero_gauges(self) -> None:
        for declaration in DECLARATIONS:
            if declaration.kind == "gauge":
                self.row[cell(declaration)] = 0


def exposition(sheet: Sheet, gauges: Gauges) -> bytes:
    """The text that a Prometheus server reads: the sheet's sums, and `gauges` that were read elsewhere."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(sheet.totals(), gauges))
    return generate_latest(registry)


class _Snapshot(Collector):
    def __init__(self, totals: list[int], gauges: Gauges) -> None:
        self._totals = totals
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        for place, group in enumerate(_GROUPS):
            if self._totals[_GROUP] & 1 << place:
                for declaration in group:
                    yield _family(declaration, self._totals)
        for declaration, value in self._gauges.items():
            labels = [declaration.label] if declaration.label else []
            family = GaugeMetricFamily(declaration.name, declaration.meaning, labels=labels)
            for name, number in value.items() if isinstance(value, Mapping) else [("", value)]:
                family.add_metric([name] if labels else [], number)
            yield family


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
