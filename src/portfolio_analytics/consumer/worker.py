"""The consumer's loop: poll, store in one transaction a batch, next.

Synchronous on purpose: one batch at a time is what makes a position mean something. Of a backlog the next
batch is decoded while PostgreSQL works on the one before. Many consumers run side by side as processes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any

import psycopg

from portfolio_analytics.consumer.bad_rows.table import POLICY_REASONS
from portfolio_analytics.consumer.batch import Batch, make_batch
from portfolio_analytics.consumer.beside import nothing
from portfolio_analytics.consumer.decode import Rejected
from portfolio_analytics.consumer.figures import Figures
from portfolio_analytics.consumer.maintenance import Maintenance
from portfolio_analytics.consumer.positions import (
    Position,
    begin,
    claim,
    read_positions,
    record_gap,
    set_back,
)
from portfolio_analytics.consumer.transaction import UNSTORABLE, Outcome, Store
from portfolio_analytics.shared.errors import AnalyticsError, Fenced, LogError, StorageUnavailable
from portfolio_analytics.shared.log.protocol import LogReader, LogRecord, Positions
from portfolio_analytics.storage.database import describe

logger = logging.getLogger(__name__)

MAX_BATCH = 5_000
MAX_POLL = 3 * MAX_BATCH
POLL_S = 0.5
# Under steady load a batch is gathered for this long, so that a commit is shared; a lone event never waits.
CYCLE_S = 0.04
CYCLE_FROM = 8
BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
BAD_LIMIT = 1_000
# InternalError: among others a session that was ended since it hung within its transaction, and a server
# that takes no writes yet after a failover.
PASSING = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
    StorageUnavailable,
    LogError,
)


class TooManyBadRows(AnalyticsError):
    """Nothing but bad rows for a long while: something else is wrong than a record."""


@dataclass(slots=True)
class Tally:
    """What a worker has done since it started."""

    batches: int = 0
    counted: int = 0
    duplicate: int = 0
    rejected: int = 0
    fenced: int = 0


class Worker:
    """One consumer. `connect` gives a new connection in autocommit mode or raises StorageUnavailable.

    `committed` is told of each batch that was, and how many seconds that took.
    """

    def __init__(
        self,
        reader: LogReader,
        connect: Callable[[], psycopg.Connection[Any]],
        *,
        owner: str,
        horizon_days: int | None = None,
        maintenance: Maintenance | None = None,
        clock: Callable[[], float] = time.time,
        figures: Figures | None = None,
        committed: Callable[[Batch, float], None] | None = None,
    ) -> None:
        self._reader = reader
        self._connect = connect
        self._owner = owner
        self._horizon_days = horizon_days
        self._maintenance = maintenance
        self._clock = clock
        self._stop = threading.Event()
        self._store: Store | None = None
        self._connection: psycopg.Connection[Any] | None = None
        self._held: dict[int, Position] = {}
        self._dropped: set[int] = set()  # fenced, and ours as far as the log has told
        self._ahead: tuple[Sequence[LogRecord], Batch] | None = None
        self._bad_in_a_row = 0
        self._last_flush = 0.0
        self.tally = Tally()
        self._figures = figures or Figures()
        self._when_committed = committed
        reader.on_assigned = self._assigned
        reader.on_revoked = self._revoked
        reader.on_gap = self._gap

    def stop(self) -> None:
        """Ask the loop to end after the batch under way. May be called from a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Consume until `stop`. Raises TooManyBadRows; waits for a log or a database that is away."""
        self._patiently(self._reader.open)
        self._figures.opened()
        try:
            while not self._stop.is_set():
                self._step()
        finally:
            self._finish()

    def _step(self) -> None:
        began = time.monotonic()
        self._figures.turned()
        dropped = set(self._dropped)
        try:
            records = self._reader.poll(MAX_POLL, POLL_S)
        except LogError as error:
            logger.warning("The log is away: %s", error)
            self._figures.waits(str(error))
            self._stop.wait(1.0)
            return
        self._figures.goes_on()
        if records:
            self._take(records)
        # The poll took none of them away. What was dropped is read again now: no record may follow for long.
        if dropped := dropped & self._dropped:
            self._claim_again(dropped)
        self._house_keep(idle=not records)
        if CYCLE_FROM <= len(records) < MAX_BATCH:
            self._stop.wait(max(0.0, CYCLE_S - (time.monotonic() - began)))

    def _take(self, records: Sequence[LogRecord]) -> None:
        mine = [record for record in records if record.partition in self._held]
        if len(mine) < len(records):
            self._claim_again({record.partition for record in records} - self._held.keys())
        try:
            self._commit_all([mine[start : start + MAX_BATCH] for start in range(0, len(mine), MAX_BATCH)])
        except Fenced as error:
            self._fenced(error, {record.partition for record in mine})

    def _commit_all(self, chunks: Sequence[Sequence[LogRecord]]) -> None:
        """Store one chunk after the other, until asked to stop: what was not stored is read again."""
        for chunk, following in zip_longest(chunks, chunks[1:], fillvalue=()):
            if not self._patiently(partial(self._commit, chunk, following)):
                return
            if self._stop.is_set():
                return

    def _commit(self, records: Sequence[LogRecord], following: Sequence[LogRecord] = ()) -> None:
        """Store `records`; where a record cannot be stored, halve until it stands alone.

        `following` will be next, and is decoded meanwhile.
        """
        store = self._connected()
        left = [record for record in records if not self._is_done(record)]
        if not left:
            return
        batch = self._decoded(records if len(left) == len(records) else left)
        records = left
        began = time.monotonic()
        try:
            ahead = partial(self._decode_ahead, following) if following else nothing
            outcome = store.commit(batch, self._held, self._now_ms(), ahead)
        except UNSTORABLE as error:
            if len(records) > 1:
                middle = len(records) // 2
                self._commit(records[:middle])
                self._commit(records[middle:])
                return
            batch = _bad_batch(batch, records[0], error)
            _log_bad(batch.rejected[0])
            outcome = store.commit(batch, self._held, self._now_ms())
        self._committed(store, batch, outcome, time.monotonic() - began)

    def _decoded(self, records: Sequence[LogRecord]) -> Batch:
        # Once: a transaction that failed may have changed whose an event is.
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] is records:
            return ahead[1]
        return make_batch(records, self._reader.topic_id)

    def _decode_ahead(self, records: Sequence[LogRecord]) -> None:
        self._ahead = (records, make_batch(records, self._reader.topic_id))

    def _committed(self, store: Store, batch: Batch, outcome: Outcome, seconds: float) -> None:
        for partition, end in batch.ends.items():
            self._held[partition] = Position(end, self._held[partition].epoch)
        now_ms = self._now_ms()
        store.note_latencies(outcome.counted, now_ms)
        self._figures.committed(outcome, seconds, now_ms)
        if self._when_committed is not None:
            self._when_committed(batch, seconds)
        self.tally.batches += 1
        self.tally.counted += len(outcome.counted)
        self.tally.duplicate += outcome.duplicate
        self.tally.rejected += sum(outcome.rejected.values())
        self._reader.commit(batch.ends)
        self._watch_bad_rows(outcome)

    def _watch_bad_rows(self, outcome: Outcome) -> None:
        bad = Counter({reason: n for reason, n in outcome.rejected.items() if reason not in POLICY_REASONS})
        if outcome.counted or outcome.duplicate or not bad:
            self._bad_in_a_row = 0
            if not bad:
                return
        else:
            self._bad_in_a_row += sum(bad.values())
        logger.warning("Bad rows kept: %s", ", ".join(f"{n} {reason}" for reason, n in sorted(bad.items())))
        if self._bad_in_a_row >= BAD_LIMIT:
            raise TooManyBadRows(
                f"The last {self._bad_in_a_row} records were all bad, so something else is wrong: look at "
                "`portfolio-analytics badrows list`, then start the consumer again."
            )

    def _is_done(self, record: LogRecord) -> bool:
        position = self._held[record.partition]
        return position.next is not None and record.offset < position.next

    def _patiently(self, action: Callable[[], None]) -> bool:
        """Do `action`, waiting out a database or log that is away; False when asked to stop before that."""
        for attempt in range(1_000_000):
            try:
                action()
            except PASSING as error:
                reason = describe(error) if isinstance(error, psycopg.Error) else str(error)
                logger.warning("Waiting, nothing is lost: %s", reason)
                self._figures.waits(reason)
                if self._stop.wait(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)]):
                    break
                self._recover()
            else:
                self._figures.goes_on()
                return True
        return False

    def _recover(self) -> None:
        """After a failure: a live connection, and the positions that really hold.

        A COMMIT whose answer was lost may have happened; the stored position tells.
        """
        try:
            if self._connection is None or self._connection.broken or self._connection.closed:
                self._disconnect()
                store = self._connected()
            elif self._store is None:
                return
            else:
                store = self._store
            assert self._connection is not None
            stored = read_positions(self._connection, store.topic_id)
        except (psycopg.Error, StorageUnavailable):
            return
        for partition, position in self._held.items():
            found = stored.get(partition)
            # A database that went back, as to a standby that lagged, wants what lies between once more: the
            # next batch is fenced, and the partition is read from where the database is.
            if found is not None and found.epoch == position.epoch and _reaches(found, position):
                self._held[partition] = found

    def _connected(self) -> Store:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
            self._store = None
        if self._store is None:
            self._store = Store(self._connection, self._reader.topic_id, horizon_days=self._horizon_days)
        return self._store

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._store = None

    def _assigned(self, topic_id: str, partitions: Sequence[int]) -> Positions:
        """Called by the reader when partitions become ours: claim them, say where to go on."""
        if self._store is not None and self._store.topic_id != topic_id:
            # One that was made before the topic was known says nothing about it.
            if self._store.topic_id:
                logger.warning("The topic was made anew (id %s): reading it from its beginning.", topic_id)
            self._store = None
        claimed: dict[int, Position] = {}

        def take() -> None:
            self._connected()
            assert self._connection is not None
            claimed.update(claim(self._connection, topic_id, partitions, self._owner))
            lows = self._lows([number for number, position in claimed.items() if position.next is None])
            claimed.update(begin(self._connection, topic_id, claimed, lows))

        self._patiently(take)
        self._held.update(claimed)
        self._dropped.difference_update(claimed)
        logger.info("Partitions %s are ours.", sorted(partitions))
        return {partition: position.next for partition, position in claimed.items()}

    def _lows(self, partitions: Sequence[int]) -> dict[int, int]:
        """The first offset of each partition that can be asked; one without a leader holds up no other."""
        lows = {}
        for partition in partitions:
            with suppress(LogError):
                lows[partition] = self._reader.watermarks(partition).low
        return lows

    def _revoked(self, partitions: Sequence[int]) -> None:
        for partition in partitions:
            self._held.pop(partition, None)
        self._dropped.difference_update(partitions)
        logger.info("Partitions %s went to another consumer.", sorted(partitions))

    def _gap(self, partition: int, wanted: int, resumed: int) -> None:
        ids = {"partition": partition, "offset": wanted}
        if resumed > wanted:
            message = "Partition %d: offsets %d to %d are gone from the log; going on from %d."
            logger.error(message, partition, wanted, resumed - 1, resumed, extra=ids)
        else:
            message = "Partition %d: the log ends before offset %d; reading it again from %d."
            logger.error(message, partition, wanted, resumed, extra=ids)

        def write() -> None:
            self._connected()
            assert self._connection is not None
            with self._connection.transaction():
                record_gap(self._connection, self._reader.topic_id, partition, wanted, resumed)
                if back is not None:
                    set_back(self._connection, self._reader.topic_id, partition, back)

        held = self._held.get(partition)
        # Offsets that the log gives anew are of other records, which are not done.
        back = Position(resumed, held.epoch) if held is not None and resumed < wanted else None
        if self._patiently(write) and back is not None:
            self._held[partition] = back

    def _fenced(self, error: Fenced, partitions: set[int]) -> None:
        self.tally.fenced += 1
        self._figures.fenced()
        logger.warning("Fenced, this batch was dropped: %s", error)
        for partition in partitions:
            self._held.pop(partition, None)
        self._dropped |= partitions

    def _claim_again(self, partitions: set[int]) -> None:
        """Partitions that we do not hold and that the group says are ours."""
        self._stop.wait(1.0)
        for partition, offset in self._assigned(self._reader.topic_id, sorted(partitions)).items():
            self._patiently(partial(self._read_from, partition, offset))

    def _read_from(self, partition: int, offset: int | None) -> None:
        self._reader.seek(partition, self._reader.watermarks(partition).low if offset is None else offset)

    def _house_keep(self, *, idle: bool) -> None:
        now = time.monotonic()
        if idle or now - self._last_flush > 5.0:
            self._last_flush = now
            if self._store is not None and self._held:
                self._quietly(lambda: self._connected().flush_latencies(min(self._held)))
        if self._maintenance is not None and self._maintenance.due(now):
            maintenance = self._maintenance
            self._quietly(
                lambda: maintenance.run(self._connect, self._reader, dict(self._held), self._clock())
            )

    def _quietly(self, action: Callable[[], None]) -> None:
        """Do what can as well be done later."""
        try:
            action()
        except (psycopg.Error, StorageUnavailable, LogError) as error:
            logger.warning("Put off: %s", describe(error) if isinstance(error, psycopg.Error) else error)
            if self._connection is not None and self._connection.broken:
                self._disconnect()

    def _finish(self) -> None:
        if self._store is not None and self._held:
            self._quietly(lambda: self._connected().flush_latencies(min(self._held)))
        self._reader.close()
        self._disconnect()

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _reaches(found: Position, held: Position) -> bool:
    return held.next is None or (found.next is not None and found.next >= held.next)


def _log_bad(rejected: Rejected) -> None:
    record = rejected.record
    ids: dict[str, object] = {"partition": record.partition, "offset": record.offset}
    if rejected.event is not None:
        ids["event_id"] = rejected.event.id
    logger.warning("A record cannot be stored and is kept as a bad row.", extra=ids)


def _bad_batch(batch: Batch, record: LogRecord, error: Exception) -> Batch:
    """The batch of one record that could not be stored, as a bad row."""
    event = batch.items[0].event if batch.items else None
    detail = describe(error) if isinstance(error, psycopg.Error) else f"{type(error).__name__}: {error}"
    rejected = Rejected(record, "unstorable", detail[:500], event)
    return Batch([], [], [rejected], {record.partition: record.offset + 1})
