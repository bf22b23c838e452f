"""Consumers: what lies in Kafka to committed rows, visits and rollups.

Beside a baseline that makes one INSERT an event, and COPY of the same rows inside PostgreSQL. "One consumer"
is the command as it is started: a process a core. A consumer is stopped (SIGSTOP) while its topic is filled,
so that what is measured is a backlog being worked off.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any

import psycopg

from bench.baseline.event import StoredEvent
from bench.figure import Figure, figure, interleaved, ratio
from bench.floor import produce
from bench.history import history
from bench.machine import family, peak_mb, resident_mb
from bench.meter import Meter
from bench.parts import Parts, Scale, now_ms
from bench.service import baseline_consumer, our_consumer
from portfolio_analytics.app.workers import how_many
from portfolio_analytics.settings import Settings
from portfolio_analytics.shared.record import EventRecord, decode_record, log_key
from portfolio_analytics.storage.database import connect

TOPIC = "bench"
BATCH = 5_000
BASELINE_TOPIC = "one-insert-an-event"
PARTITIONS = 12
INSERT_SHARE = 20
"""The baseline gets one in so many events: it is that much slower, and the run is to end."""

DAY_MS = 86_400_000
WAIT_SECONDS = 120.0
POLL_SECONDS = 0.005

_seeds = count(1)


def measure_consumer(parts: Parts, scale: Scale) -> list[Figure]:
    """One consumer, and one process, beside the baseline and COPY; then the cost an event of 1, 2 and 4."""
    whole, single, inserts = (parts.database(name) for name in ("consumer", "process", "inserts"))
    with (
        consumers(parts, whole, TOPIC, 1, workers=None) as (ours,),
        consumers(parts, single, f"{TOPIC}-single", 1) as (alone,),
        connect(whole) as connection,
        connect(single) as second,
        connect(inserts) as third,
    ):
        workers = family(ours)
        idle = [resident_mb(alone), sum(map(resident_mb, workers))]
        backlog = Backlog(parts, connection, [ours], TOPIC, "one consumer")
        process = Backlog(parts, second, [alone], f"{TOPIC}-single", "one process of a consumer")
        with _baseline(parts, inserts, third) as baseline:
            floor = _Copy(connection)
            _, _, _, copies = interleaved(
                scale.rounds,
                _round(backlog, scale.events),
                lambda: baseline.work_off(scale.events // INSERT_SHARE),
                _round(process, scale.events),
                floor.rate,
            )
        used = [peak_mb(alone), sum(map(peak_mb, workers))]
    one, part, theirs = backlog.meter, process.meter, baseline.meter
    return [
        *one.figures(),
        figure("one consumer: CPU with PostgreSQL's", "us/event", one.total),
        *part.figures(),
        figure("one process of a consumer: CPU with PostgreSQL's", "us/event", part.total),
        *theirs.figures(),
        figure("one INSERT an event: CPU with PostgreSQL's", "us/event", theirs.total),
        figure("COPY of the same rows inside PostgreSQL", "events/s", copies),
        ratio("consumer against one INSERT an event, rate", one.rates, theirs.rates),
        ratio("consumer against one INSERT an event, CPU", one.total, theirs.total),
        ratio("one process of a consumer against one INSERT an event, rate", part.rates, theirs.rates),
        ratio("consumer's share of COPY", one.rates, copies),
        figure("memory of a consumer's process, idle", "MB", [idle[0]]),
        figure("memory of a consumer's process, most under load", "MB", [used[0]]),
        figure("memory of a consumer in all, idle", "MB", [idle[1]]),
        figure("memory of a consumer in all, most under load", "MB", [used[1]]),
        *_crowds(parts, scale),
    ]


def measure_growth(parts: Parts, scale: Scale, database: str) -> list[Figure]:
    """Cost an event where little is stored, and in a `database` that holds a long history."""
    empty = parts.database("growth")
    with ExitStack() as stack:
        backlogs = []
        for name, where, topic in (
            ("a consumer where nothing is stored", empty, "growth-empty"),
            (f"a consumer where {scale.stored:,} events are stored", database, "growth-full"),
        ):
            connection = stack.enter_context(connect(where))
            pids = stack.enter_context(consumers(parts, where, topic, 1))
            backlogs.append(Backlog(parts, connection, pids, topic, name))
        interleaved(scale.rounds, *(_round(backlog, scale.events) for backlog in backlogs))
    few, many = (backlog.meter for backlog in backlogs)
    return [
        figure(f"{few.name}: CPU with PostgreSQL's", "us/event", few.total),
        figure(f"{many.name}: CPU with PostgreSQL's", "us/event", many.total),
        ratio("cost an event, long history against none", many.total, few.total),
    ]


def _crowds(parts: Parts, scale: Scale) -> list[Figure]:
    """Cost an event of several consumers, in turn; each crowd has a topic and a database of its own."""
    backlogs = {}
    with ExitStack() as stack:
        for many in (1, 2, 4):
            topic = f"crowd-{many}"
            database = parts.database(f"crowd_{many}")
            pids = stack.enter_context(consumers(parts, database, topic, many))
            connection = stack.enter_context(connect(database))
            name = f"{many} consumer{'s' * (many > 1)} of {PARTITIONS} partitions"
            backlogs[many] = Backlog(parts, connection, pids, topic, name)
        interleaved(min(scale.rounds, 3), *(_round(backlog, scale.events) for backlog in backlogs.values()))
    one = backlogs[1].meter
    return [
        *(figure(backlog.meter.name, "events/s", backlog.meter.rates) for backlog in backlogs.values()),
        *(
            figure(f"{backlog.meter.name}: CPU with PostgreSQL's", "us/event", backlog.meter.total)
            for backlog in backlogs.values()
        ),
        *(
            ratio(f"cost an event, {many} consumers against 1", backlogs[many].meter.total, one.total)
            for many in (2, 4)
        ),
    ]


def _round(backlog: Backlog, events: int) -> Callable[[], float]:
    return lambda: backlog.work_off(events)


class Backlog:
    """Fills a topic while its consumers stand still, and measures how they work it off."""

    def __init__(
        self, parts: Parts, connection: psycopg.Connection[Any], pids: Sequence[int], topic: str, name: str
    ) -> None:
        self.meter = Meter(name, {"consumers": pids, "PostgreSQL": [parts.postgres_pid]})
        self._brokers = parts.kafka.bootstrap
        self._connection = connection
        self._pids = pids
        self._topic = topic

    def work_off(self, events: int) -> float:
        """Events a second, from SIGCONT until a second connection sees the last one's commit."""
        records = [(_key(event), value) for event, value in fresh_events(events)]
        wanted = self._consumed() + len(records)
        with _standing_still(self._pids):
            produce(self._brokers, self._topic, records)

        def load() -> float:
            began = time.perf_counter()
            wait_until(lambda: self._consumed() >= wanted, "the backlog to be worked off")
            return len(records) / (time.perf_counter() - began)

        return self.meter.measure(load)

    def _consumed(self) -> int:
        return _number(self._connection, "SELECT coalesce(sum(next), 0) FROM log_positions")


class _Baseline:
    """The baseline's consumer."""

    def __init__(self, parts: Parts, connection: psycopg.Connection[Any], pid: int) -> None:
        self.meter = Meter("one INSERT an event", {"consumer": [pid], "PostgreSQL": [parts.postgres_pid]})
        self._brokers = parts.kafka.bootstrap
        self._connection = connection
        self._pid = pid

    def work_off(self, events: int) -> float:
        """Events a second."""
        records = [(None, _stored(event)) for event, _ in fresh_events(events)]
        wanted = self._stored() + len(records)
        with _standing_still([self._pid]):
            produce(self._brokers, BASELINE_TOPIC, records, compression="none")

        def load() -> float:
            began = time.perf_counter()
            wait_until(lambda: self._stored() >= wanted, "the baseline's rows")
            return len(records) / (time.perf_counter() - began)

        return self.meter.measure(load)

    def _stored(self) -> int:
        return _number(self._connection, "SELECT count(*) FROM baseline_events")


class _Copy:
    """COPY of rows that the consumer stored, as PostgreSQL wrote them, into a table without indexes."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        connection.execute("CREATE TABLE bare_events (LIKE events)")

    def rate(self) -> float:
        """Events a second; the rows are ready before."""
        with self._connection.cursor() as cursor:
            with cursor.copy("COPY (SELECT * FROM events LIMIT 100000) TO STDOUT (FORMAT binary)") as source:
                pieces = list(source)
            began = time.perf_counter()
            with cursor.copy("COPY bare_events FROM STDIN (FORMAT binary)") as target:
                for piece in pieces:
                    target.write(piece)
            rate = cursor.rowcount / (time.perf_counter() - began)
            cursor.execute("TRUNCATE bare_events")
        return rate


@contextmanager
def consumers(
    parts: Parts, database: str, topic: str, many: int, workers: int | None = 1
) -> Iterator[list[int]]:
    """That many consumers of a topic of PARTITIONS, once they share its partitions; their processes.

    Each has so many workers; without a number as many as it has by itself: one a core.
    """
    parts.topic(topic, PARTITIONS)
    environment = {
        "DATABASE_URL": database,
        "KAFKA_BROKER": parts.kafka.bootstrap,
        "KAFKA_TOPIC": topic,
        "KAFKA_GROUP": topic,
        "WORKERS": str(workers or ""),
    }
    owners = many * how_many(Settings.load(environment))
    statement = (
        "SELECT CASE WHEN count(DISTINCT owner) = %s THEN count(*) ELSE 0 END FROM log_positions "
        "WHERE topic_id = (SELECT topic_id FROM log_positions ORDER BY updated_at DESC LIMIT 1)"
    )
    with ExitStack() as stack, connect(database) as connection:
        pids = [stack.enter_context(our_consumer(environment)).pid for _ in range(many)]
        wait_until(
            lambda: _number(connection, statement, owners) == PARTITIONS, f"{many} consumers to share {topic}"
        )
        yield pids


@contextmanager
def _baseline(parts: Parts, database: str, connection: psycopg.Connection[Any]) -> Iterator[_Baseline]:
    parts.topic(BASELINE_TOPIC, PARTITIONS)
    with baseline_consumer(parts.kafka.bootstrap, BASELINE_TOPIC, database) as process:
        baseline = _Baseline(parts, connection, process.pid)
        wait_until(
            lambda: bool(
                _number(connection, "SELECT count(*) FROM pg_class WHERE relname = 'baseline_events'")
            ),
            "the baseline's consumer",
        )
        baseline.work_off(100)
        baseline.meter.forget()
        yield baseline


@contextmanager
def _standing_still(pids: Sequence[int]) -> Iterator[None]:
    everyone = family(*pids)
    for pid in everyone:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in everyone:
            os.kill(pid, signal.SIGCONT)


def fresh_events(events: int) -> Iterator[tuple[EventRecord, bytes]]:
    """Events of one day that nobody has seen, in the order of their time, with their encoded form."""
    for record in history(events, days=1, end_ms=now_ms() - DAY_MS, seed=next(_seeds)):
        assert record.value is not None
        event = decode_record(record.value)
        assert isinstance(event, EventRecord)
        yield event, record.value


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition` holds. Raises TimeoutError."""
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {WAIT_SECONDS:.0f} s for {what}")
        time.sleep(POLL_SECONDS)


def _key(event: EventRecord) -> bytes:
    return log_key(event.site, event.session, event.visitor, event.visitor_before)


def _stored(event: EventRecord) -> bytes:
    """The same event as the baseline's intake would have put it into its topic."""
    return (
        StoredEvent(
            event_id=event.id,
            event_type=event.type,
            page=event.page,
            timestamp=event.time / 1000,
            site=event.site,
            user_agent=event.user_agent,
            screen_width=event.screen_width,
            referrer=event.referrer,
            title=event.title,
            duration_ms=event.duration_ms,
            visitor=f"{event.visitor & (1 << 64) - 1:064x}",
        )
        .model_dump_json()
        .encode()
    )


def _number(connection: psycopg.Connection[Any], statement: str, *values: object) -> int:
    row = connection.execute(statement.encode(), values or None).fetchone()
    assert row is not None
    return int(row[0])
