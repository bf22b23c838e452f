"""Replay, wired: the log from a place on, through the consumer's transaction, without its positions."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from portfolio_analytics.app.log import kafka_settings
from portfolio_analytics.consumer.batch import make_batch
from portfolio_analytics.consumer.transaction import UNSTORABLE, Store
from portfolio_analytics.settings import Settings, journal_path
from portfolio_analytics.shared.log.journal_file import JournalFile
from portfolio_analytics.shared.log.kafka import KafkaReader
from portfolio_analytics.shared.log.protocol import LogRecord, Positions, Watermarks
from portfolio_analytics.storage.database import connect

logger = logging.getLogger(__name__)

BATCH = 5_000
SILENCE_S = 10.0


@dataclass(slots=True)
class Replayed:
    """How many records were read, and how many of them had no row."""

    read: int = 0
    stored: int = 0


def replay_log(
    settings: Settings,
    address: str,
    *,
    since_ms: int | None = None,
    partition: int | None = None,
    offset: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Replayed:
    """Read the log up to its present end and store what is missing.

    since_ms: only records of this Unix time or later; partition, offset: only these. `on_progress` is given
    records done and in all. Raises LogUnavailable, StorageUnavailable.
    """
    outcome = Replayed()
    with connect(address, "portfolio-analytics replay") as connection:
        batches = _kafka(settings) if settings.kafka_broker else _journal(settings)
        store: Store | None = None
        for topic_id, total, records in batches:
            if store is None:
                store = Store(connection, topic_id, horizon_days=settings.retention_days)
            outcome.read += len(records)
            wanted = [
                record
                for record in records
                if (since_ms is None or record.timestamp_ms >= since_ms)
                and (partition is None or record.partition == partition)
                and (offset is None or record.offset >= offset)
            ]
            outcome.stored += _store(store, wanted)
            on_progress(outcome.read, total)
    return outcome


def _store(store: Store, records: list[LogRecord]) -> int:
    """How many rows of `records` were missing. A record that cannot be stored is found by halving and left
    out, as the consumer left it out.
    """
    try:
        return store.replay(make_batch(records, store.topic_id), int(time.time() * 1000))
    except UNSTORABLE:
        if len(records) > 1:
            middle = len(records) // 2
            return _store(store, records[:middle]) + _store(store, records[middle:])
        ids = {"partition": records[0].partition, "offset": records[0].offset}
        logger.warning("A record cannot be stored and is left out.", extra=ids)
        return 0


Batches = Iterator[tuple[str, int, list[LogRecord]]]
"""The topic's id, how many records there are in all, and the next of them."""


def _journal(settings: Settings) -> Batches:
    """Beside the consumer, which alone may be the journal's reader."""
    file = JournalFile(journal_path(settings))
    file.open()
    try:
        held = file.watermarks()
        position = held.low
        while position < held.high:
            records = [r for r in file.read(position, BATCH) if r.offset < held.high]
            if not records:
                return
            position = records[-1].offset + 1
            yield file.topic_id, held.high - held.low, records
    finally:
        file.close()


def _kafka(settings: Settings) -> Batches:
    """As a group of its own, which nobody else is in."""
    reader = KafkaReader(
        kafka_settings(settings), group=f"{settings.kafka_group}-replay-{uuid.uuid4().hex[:8]}"
    )
    ends: dict[int, Watermarks] = {}
    owned: list[int] = []
    nexts: dict[int, int] = {}

    def assigned(_topic_id: str, partitions: Sequence[int]) -> Positions:
        owned.extend(partitions)
        return dict.fromkeys(partitions)

    reader.on_assigned = assigned
    reader.open()
    try:
        heard = time.monotonic()
        while time.monotonic() - heard < SILENCE_S and not _is_done(ends, nexts):
            records = reader.poll(BATCH, 0.5)
            for number in owned:
                if number not in ends:
                    ends[number] = reader.watermarks(number)
                    nexts[number] = ends[number].low
            kept = [r for r in records if r.partition in ends and r.offset < ends[r.partition].high]
            if kept:
                nexts.update({record.partition: record.offset + 1 for record in kept})
                yield reader.topic_id, sum(mark.high - mark.low for mark in ends.values()), kept
                heard = time.monotonic()  # what was done with them since was no silence
    finally:
        reader.close()


def _is_done(ends: Mapping[int, Watermarks], nexts: Mapping[int, int]) -> bool:
    return bool(ends) and all(nexts[number] >= mark.high for number, mark in ends.items())
