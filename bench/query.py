"""The dashboard's panels over a long history, beside the same questions asked of the raw rows."""

from __future__ import annotations

import gc
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import islice
from multiprocessing import get_context
from statistics import fmean, median
from typing import Any

import msgspec
import psycopg

from bench.consumer import BATCH, TOPIC
from bench.figure import Figure, figure, interleaved, percentile, ratio
from bench.history import PAGES, SITE, history
from bench.service import ADMIN_TOKEN, our_service
from portfolio_analytics.consumer.batch import make_batch
from portfolio_analytics.consumer.maintenance import LEDGER_DAYS
from portfolio_analytics.consumer.positions import Position, claim
from portfolio_analytics.consumer.rollups.months import close_months
from portfolio_analytics.consumer.transaction import Store
from portfolio_analytics.storage.database import connect

Ask = Callable[[dict[str, Any]], float]

HEADLINE = ["visitors", "visits", "pageviews", "views_per_visit", "bounce_rate", "visit_duration"]
BREAKDOWNS = {
    "top pages": "event:page",
    "entry pages": "visit:entry_page",
    "exit pages": "visit:exit_page",
    "sources": "visit:source",
    "channels": "visit:channel",
    "campaigns": "visit:utm_campaign",
    "countries": "visit:country",
    "cities": "visit:city",
    "devices": "visit:device",
    "browsers": "visit:browser",
    "operating systems": "visit:os",
}
PANELS: dict[str, dict[str, Any]] = {
    "totals with comparison": {"metrics": HEADLINE, "include": {"comparisons": {"mode": "previous_period"}}},
    "main chart": {"metrics": ["visitors"], "dimensions": ["time:day"]},
    **{
        name: {"metrics": ["visitors", "visits"], "dimensions": [dimension], "pagination": {"limit": 9}}
        for name, dimension in BREAKDOWNS.items()
    },
    "goals": {"metrics": ["visitors", "events", "conversion_rate"], "dimensions": ["event:goal"]},
}
FILTERS: dict[str, list[Any]] = {
    "country": ["is", "visit:country", ["DE"]],
    "page": ["is", "event:page", [PAGES[20]]],
    "source": ["is", "visit:source", ["Google"]],
    "goal": ["is", "event:goal", ["Signup"]],
    "property": ["is", "event:props:plan", ["pro"]],
}
FUNNEL = [{"page_pattern": "/"}, {"page_pattern": "/docs*"}, {"event_type": "signup"}]
LOG_DAYS = 7
"""LOG_RETENTION_DAYS, unless it is set."""
GOALS = {"Signup": "signup", "Click": "click"}

# What the panels show, asked of the events alone: a visit is a visitor's day.
_FIRST = (
    "SELECT {0}, count(DISTINCT v.visitor) FROM (SELECT DISTINCT ON (visitor) visitor, page_id, origin_id"
    " FROM events WHERE type = 'page_view' AND day BETWEEN %(first)s AND %(last)s"
    " ORDER BY visitor, time{1}) v {2} GROUP BY 1 ORDER BY 2 DESC LIMIT 9"
)
_OF_CLIENT = (
    "SELECT {0}, count(DISTINCT e.visitor) FROM events e JOIN clients d USING (site_id, client_id)"
    " WHERE e.day BETWEEN %(first)s AND %(last)s GROUP BY 1 ORDER BY 2 DESC LIMIT 9"
)
_JOIN_PAGE = "JOIN pages d ON d.page_id = v.page_id"
_JOIN_ORIGIN = "LEFT JOIN origins d ON d.origin_id = v.origin_id"
_COUNT = (
    "SELECT {0}, count(DISTINCT visitor), count(*) FROM events"
    " WHERE day BETWEEN %(first)s AND %(last)s{1} GROUP BY 1"
)
RAW = {
    "totals with comparison": (
        "SELECT day >= %(first)s, count(DISTINCT visitor), count(*) FILTER (WHERE type = 'page_view')"
        " FROM events WHERE day BETWEEN %(before)s AND %(last)s GROUP BY 1"
    ),
    "main chart": _COUNT.format("date_trunc('day', time)", ""),
    "top pages": (
        "SELECT d.path, count(DISTINCT e.visitor) FROM events e JOIN pages d USING (site_id, page_id)"
        " WHERE e.day BETWEEN %(first)s AND %(last)s GROUP BY 1 ORDER BY 2 DESC LIMIT 9"
    ),
    "entry pages": _FIRST.format("d.path", "", _JOIN_PAGE),
    "exit pages": _FIRST.format("d.path", " DESC", _JOIN_PAGE),
    "sources": _FIRST.format("d.source", "", _JOIN_ORIGIN),
    "channels": _FIRST.format("d.channel", "", _JOIN_ORIGIN),
    "campaigns": _FIRST.format("d.utm_campaign", "", _JOIN_ORIGIN),
    "countries": _OF_CLIENT.format("d.country"),
    "cities": _OF_CLIENT.format("d.city"),
    "devices": _OF_CLIENT.format("d.device"),
    "browsers": _OF_CLIENT.format("d.browser"),
    "operating systems": _OF_CLIENT.format("d.os"),
    "goals": _COUNT.format("type", " AND type IN ('signup', 'click')"),
}


def fill(database: str, now_ms: int, *, events: int, days: int, workers: int = 1, batch: int = BATCH) -> None:
    """Store a history through the consumer's own transaction.

    `workers` processes share it, each with days and a partition of its own, as that many consumers would.
    """
    share = -(-days // workers)
    spans = [range(first, min(first + share, days)) for first in range(0, days, share)]
    arguments = [(database, now_ms, events, days, batch, *numbered) for numbered in enumerate(spans)]
    if len(arguments) == 1:
        _consume(*arguments[0])
    else:
        with get_context("spawn").Pool(len(arguments)) as pool:
            pool.starmap(_consume, arguments)
    with connect(database) as connection:
        for name, kind in GOALS.items():
            connection.execute(
                "INSERT INTO goals (site_id, name, event_type) SELECT site_id, %s, %s FROM sites"
                " ON CONFLICT DO NOTHING",
                [name, kind],
            )
        # Had the history come day by day, maintenance would have taken these away meanwhile.
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        connection.execute(
            "DELETE FROM visitors k WHERE NOT EXISTS (SELECT FROM visits v"
            " WHERE v.site_id = k.site_id AND v.visitor = k.key AND v.day >= %s)",
            [now.date() - timedelta(days=LOG_DAYS + 8)],
        )
        connection.execute("DELETE FROM ledger WHERE minute < %s", [now - timedelta(days=LEDGER_DAYS)])
        close_months(connection, now.date())
        connection.execute("VACUUM (FULL) visitors, ledger")
        connection.execute("VACUUM (ANALYZE)")


def _consume(
    database: str, now_ms: int, events: int, days: int, batch: int, partition: int, span: range
) -> None:
    gc.disable()  # the records of a batch make no cycles, and looking for them takes longer than the work
    with connect(database) as connection:
        connection.execute("SET synchronous_commit = off")
        store = Store(connection, TOPIC)
        held = claim(connection, TOPIC, [partition], "bench")
        found = history(
            events,
            days=days,
            end_ms=now_ms,
            first_offset=held[partition].next or 0,
            partition=partition,
            only=span,
        )
        while records := list(islice(found, batch)):
            made = make_batch(records, TOPIC)
            store.commit(made, held, now_ms)
            held = {partition: Position(made.ends[partition], held[partition].epoch)}


def measure_queries(database: str, *, events: int, rounds: int, smaller: str | None = None) -> list[Figure]:
    """Every panel over HTTP: unfiltered over a year and over 30 days, and with one filter over 30 days.

    Each time other days are asked about. Beside it the same of the raw rows, as a ratio. `smaller`: a
    database with a tenth of the events, for how the times grow.
    """
    with ExitStack() as stack:
        ask = stack.enter_context(_asker(database))
        connection = stack.enter_context(connect(database))
        figures, unfiltered, first = [], [], []
        for title, days in (("12 months", 365), ("30 days", 30)):
            for name, panel in PANELS.items():
                cold, *times = [ask(_question(panel, days, number)) for number in range(2 * rounds + 1)]
                unfiltered += times
                first.append(cold)
                figures.append(figure(f"{name}, {title}, {events:,} events", "ms", times))
                if days == 365:
                    raw = [_raw(connection, RAW[name], _days(days, 0))]
                    figures.append(ratio(f"{name}, {title}: raw rows against ours", raw, [median(times)]))
        times = [ask(_question({"steps": FUNNEL}, 30, number)) for number in range(2 * rounds)]
        figures.append(figure(f"funnel of {len(FUNNEL)} steps, 30 days, {events:,} events", "ms", times))
        filtered = []
        for name, condition in FILTERS.items():
            times = [
                ask(_filtered(_question(panel, 30, number), condition))
                for panel in PANELS.values()
                for number in range(rounds)
            ]
            filtered += times
            figures.append(_p95(f"all panels, filtered by {name}, 30 days, p95", times))
        figures.append(_p95("all panels, unfiltered, first asked, p95", first))
        figures.append(_p95("all panels, unfiltered, p95", unfiltered))
        figures.append(_p95("all panels, one filter, 30 days, p95", filtered))
        if smaller is not None:
            few = stack.enter_context(_asker(smaller))
            questions = [
                _question(panel, days, number)
                for panel in PANELS.values()
                for days in (365, 30)
                for number in range(rounds)
            ]
            larger, small = interleaved(2, lambda: _mean(ask, questions), lambda: _mean(few, questions))
            figures.append(ratio("unfiltered panels, against a tenth of the events", larger, small))
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


@contextmanager
def _asker(database: str) -> Iterator[Ask]:
    with (
        tempfile.TemporaryDirectory(prefix="pa-bench-", dir="/tmp") as folder,
        our_service("producer", {"DATABASE_URL": database, "DATA_DIR": folder, "WORKERS": "1"}) as (_, port),
    ):
        yield partial(_ask, port)


def _ask(port: int, query: dict[str, Any]) -> float:
    path = "funnel" if "steps" in query else "query"
    post = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v2/{path}",
        data=msgspec.json.encode(query),
        headers={"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"},
    )
    began = time.perf_counter()
    with urllib.request.urlopen(post, timeout=60) as answer:
        answer.read()
    return (time.perf_counter() - began) * 1000


def _mean(ask: Ask, questions: Sequence[dict[str, Any]]) -> float:
    return fmean(map(ask, questions))


def _question(panel: dict[str, Any], days: int, number: int) -> dict[str, Any]:
    """The `number`th time the panel is asked for, about other days than before."""
    first, last = _days(days, number)
    return {"site_id": SITE, "date_range": [first.isoformat(), last.isoformat()], **panel}


def _filtered(question: dict[str, Any], condition: list[Any]) -> dict[str, Any]:
    """The question with one filter; what is known of whole visits alone does not go with one on events."""
    metrics = question["metrics"]
    if condition[1].startswith("event:") and metrics is HEADLINE:
        metrics = HEADLINE[:3]
    return {**question, "metrics": metrics, "filters": [condition]}


def _days(days: int, number: int) -> tuple[date, date]:
    last = datetime.now(UTC).date() - timedelta(days=3 * number)
    return last - timedelta(days=days - 1), last


def _raw(connection: psycopg.Connection[Any], statement: str, days: tuple[date, date]) -> float:
    first, last = days
    began = time.perf_counter()
    connection.execute(
        statement.encode(), {"first": first, "last": last, "before": first - (last - first)}
    ).fetchall()
    return (time.perf_counter() - began) * 1000


def _p95(name: str, times: Sequence[float]) -> Figure:
    return Figure(name, percentile(times, 0.95), "ms", min(times), max(times), len(times))


def main(arguments: Sequence[str]) -> None:
    """Measure databases that were filled before: DSN [DSN of a tenth]."""
    large, *small = arguments
    with connect(large) as connection:
        row = connection.execute("SELECT sum(n)::bigint FROM event_totals").fetchone()
    events = row[0] if row else 0
    figures = measure_queries(large, events=events, rounds=5, smaller=small[0] if small else None)
    for found in [*figures, *measure_disk(large)]:
        print(f"{found.name:<62} {found.value:>10.1f} {found.unit}  ({found.low:.1f} to {found.high:.1f})")


if __name__ == "__main__":
    main(sys.argv[1:])
