"""One consumer: records to committed rows, visits and rollups; beside COPY alone and one INSERT an event."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import psycopg

from bench.figure import Figure, figure, interleaved, ratio
from bench.history import history
from bench.machine import cpu_seconds
from portfolio_analytics.consumer.batch import Item, make_batch
from portfolio_analytics.consumer.event_row import COLUMNS, pack_event
from portfolio_analytics.consumer.positions import Position, claim
from portfolio_analytics.consumer.transaction import Store
from portfolio_analytics.shared.log.protocol import LogRecord
from portfolio_analytics.storage.binary_copy import copy_rows
from portfolio_analytics.storage.database import connect

TOPIC = "bench"
BATCH = 5_000


def measure_consumer(
    database: str, server_pid: int, now_ms: int, *, events: int, rounds: int
) -> list[Figure]:
    """Rates in events a second and CPU in microseconds an event, PostgreSQL's included."""
    with connect(database) as connection:
        consumer = _Consumer(connection, now_ms)
        floor = _Floor(connection)
        cpu: list[float] = []

        def consume() -> float:
            records = consumer.fresh(events)
            before = _cpu(server_pid)
            rate = consumer.take(records)
            cpu.append((_cpu(server_pid) - before) / len(records) * 1e6)
            return rate

        rates, copies, inserts = interleaved(
            rounds,
            consume,
            lambda: floor.copy(consumer.items(events)),
            lambda: floor.insert(consumer.items(max(events // 40, 200))),
        )
    return [
        figure("consumer, all features, committed rows", "events/s", rates),
        figure("consumer, CPU with PostgreSQL's", "us/event", cpu),
        figure("COPY of the same rows into a bare table", "events/s", copies),
        figure("one INSERT and COMMIT an event", "events/s", inserts),
        ratio("consumer against one INSERT an event", rates, inserts),
        ratio("consumer against COPY alone", rates, copies),
    ]


class _Consumer:
    def __init__(self, connection: psycopg.Connection[Any], now_ms: int) -> None:
        self._store = Store(connection, TOPIC)
        self._held = claim(connection, TOPIC, [0], "bench")
        self._now_ms = now_ms
        self._seed = 0
        self._offset = self._held[0].next or 0

    def fresh(self, events: int) -> list[LogRecord]:
        """New records that nobody has seen."""
        self._seed += 1
        records = list(
            history(events, days=1, end_ms=self._now_ms, seed=self._seed, first_offset=self._offset)
        )
        self._offset += len(records)
        return records

    def items(self, events: int) -> list[Item]:
        """Events enriched as for the database."""
        self._seed += 1
        return make_batch(list(history(events, days=1, end_ms=self._now_ms, seed=self._seed)), TOPIC).items

    def take(self, records: Sequence[LogRecord]) -> float:
        """Store `records` in batches; events a second."""
        began = time.perf_counter()
        for start in range(0, len(records), BATCH):
            batch = make_batch(records[start : start + BATCH], TOPIC)
            self._store.commit(batch, self._held, self._now_ms)
            self._held = {0: Position(batch.ends[0], self._held[0].epoch)}
        return len(records) / (time.perf_counter() - began)


class _Floor:
    """The same rows without visits, rollups or a key."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        connection.execute("CREATE TABLE IF NOT EXISTS bench_events (LIKE events)")

    def copy(self, items: Sequence[Item]) -> float:
        began = time.perf_counter()
        with self._connection.transaction(), self._connection.cursor() as cursor:
            copy_rows(cursor, "bench_events", COLUMNS, (_row(item) for item in items))
        return len(items) / (time.perf_counter() - began)

    def insert(self, items: Sequence[Item]) -> float:
        statement = (
            "INSERT INTO bench_events (event_id, time, accepted_at, actor, visitor, page_id, client_id, "
            "log_offset, site_id, day, log_partition, flags, type) "
            "VALUES (%s, now(), now(), %s, %s, %s, %s, %s, 1, now(), 0, 0, %s)"
        )
        began = time.perf_counter()
        for item in items:
            self._connection.execute(
                statement,
                [
                    item.event.id,
                    item.actor,
                    item.visitor,
                    item.page_id,
                    item.client_id,
                    item.offset,
                    item.event.type,
                ],
            )
        return len(items) / (time.perf_counter() - began)


def _row(item: Item) -> bytes:
    return pack_event(
        item.event, item.actor, item.visitor, 1, item.page_id, item.client_id, item.origin_id, 0, item.offset
    )


def _cpu(server_pid: int) -> float:
    return cpu_seconds(server_pid, os.getpid())
