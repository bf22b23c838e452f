"""The dashboard's panels over a long history, beside the same questions asked of the raw rows."""

from __future__ import annotations

import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from bench.consumer import BATCH, TOPIC
from bench.figure import Figure, figure, percentile
from bench.history import history
from bench.service import ADMIN_TOKEN, our_service
from portfolio_analytics.consumer.batch import make_batch
from portfolio_analytics.consumer.positions import Position, claim
from portfolio_analytics.consumer.transaction import Store
from portfolio_analytics.storage.database import connect

HEADLINE = ["visitors", "visits", "pageviews", "views_per_visit", "bounce_rate", "visit_duration"]
PANELS: dict[str, dict[str, Any]] = {
    "totals with comparison": {"metrics": HEADLINE, "include": {"comparisons": {"mode": "previous_period"}}},
    "main chart by day": {"metrics": ["visitors"], "dimensions": ["time:day"]},
    **{
        name: {"metrics": ["visitors", "visits"], "dimensions": [dimension], "pagination": {"limit": 9}}
        for name, dimension in {
            "top pages": "event:page",
            "entry pages": "visit:entry_page",
            "exit pages": "visit:exit_page",
            "sources": "visit:source",
            "channels": "visit:channel",
            "campaigns": "visit:utm_campaign",
            "countries": "visit:country",
            "devices": "visit:device",
            "browsers": "visit:browser",
            "operating systems": "visit:os",
        }.items()
    },
}
RAW = {
    "top pages": "SELECT p.path, count(DISTINCT e.visitor) "
    "FROM events e JOIN pages p USING (site_id, page_id) GROUP BY 1 ORDER BY 2 DESC LIMIT 9",
    "main chart by day": "SELECT date_trunc('day', time), count(DISTINCT visitor) FROM events "
    "GROUP BY 1 ORDER BY 1",
}


def fill(database: str, now_ms: int, *, events: int, days: int) -> None:
    """Store a history through the consumer's own transaction."""
    with connect(database) as connection:
        store = Store(connection, TOPIC)
        held = claim(connection, TOPIC, [0], "bench")
        records = []
        for record in history(events, days=days, end_ms=now_ms, first_offset=held[0].next or 0):
            records.append(record)
            if len(records) == BATCH:
                held = _store(store, records, held, now_ms)
                records = []
        if records:
            _store(store, records, held, now_ms)
        connection.execute("VACUUM ANALYZE")


def measure_queries(database: str, *, events: int, rounds: int) -> list[Figure]:
    """p95 over HTTP of every panel, unfiltered over all time and with one filter over 30 days."""
    figures = []
    with (
        tempfile.TemporaryDirectory(prefix="pa-bench-", dir="/tmp") as folder,
        our_service(
            "producer", {"DATABASE_URL": database, "DATA_DIR": str(Path(folder)), "WORKERS": "1"}
        ) as (_, port),
        connect(database) as connection,
    ):
        unfiltered: list[float] = []
        filtered: list[float] = []
        for name, panel in PANELS.items():
            whole = {"site_id": "bench.example", "date_range": "12mo", **panel}
            part = {
                "site_id": "bench.example",
                "date_range": "30d",
                "filters": [["is", "visit:country", ["DE"]]],
                **panel,
            }
            times = [_ask(port, whole) for _ in range(rounds)]
            unfiltered += times[1:]
            filtered += [_ask(port, part) for _ in range(rounds)][1:]
            figures.append(figure(f"panel {name}, 12 months, {events:,} events", "ms", times[1:]))
            if name in RAW:
                raw = [_raw(connection, RAW[name]) for _ in range(2)]
                figures.append(figure(f"the same of the raw rows: {name}", "ms", raw))
        figures.append(figure("all panels, unfiltered, p95", "ms", [percentile(unfiltered, 0.95)]))
        figures.append(figure("all panels, one filter, 30 days, p95", "ms", [percentile(filtered, 0.95)]))
    return figures


def measure_disk(database: str) -> list[Figure]:
    """Bytes an event of rows, indexes, visits and rollups."""
    with connect(database) as connection:
        row = connection.execute("SELECT count(*) FROM events").fetchone()
        n = row[0] if row else 1
        sizes = connection.execute(
            "SELECT regexp_replace(relname, '_[0-9]{8}$', ''), sum(pg_total_relation_size(oid))::bigint "
            "FROM pg_class WHERE relkind = 'r' AND relnamespace = 'analytics'::regnamespace "
            "AND relname !~ '^bench' GROUP BY 1"
        ).fetchall()
    return [
        figure("disk an event, everything", "bytes", [sum(size for _, size in sizes) / n]),
        *(
            figure(f"disk an event, {name}", "bytes", [size / n])
            for name, size in sorted(sizes, key=lambda entry: -entry[1])
            if size / n >= 1
        ),
    ]


def _store(store: Store, records: list[Any], held: dict[int, Position], now_ms: int) -> dict[int, Position]:
    batch = make_batch(records, TOPIC)
    store.commit(batch, held, now_ms)
    return {0: Position(batch.ends[0], held[0].epoch)}


def _ask(port: int, query: dict[str, Any]) -> float:
    post = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v2/query",
        data=msgspec.json.encode(query),
        headers={"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"},
    )
    began = time.perf_counter()
    with urllib.request.urlopen(post, timeout=60) as answer:
        answer.read()
    return (time.perf_counter() - began) * 1000


def _raw(connection: psycopg.Connection[Any], statement: str) -> float:
    began = time.perf_counter()
    connection.execute(statement.encode()).fetchall()
    return (time.perf_counter() - began) * 1000
