"""What producer and consumer may ask of an event log.

The producer appends from an event loop; the consumer reads from a plain thread. A position is
(topic id, partition, offset): the topic id changes when a topic is deleted and made again, so that
a position of the old one is never taken for one of the new.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Appended(NamedTuple):
    """Where an acknowledged record is.

    `offset` is -1 when the log has the record and does not say where: Kafka, after a try of its client
    whose answer was lost and whose repetition it recognised.
    """

    partition: int
    offset: int


class LogRecord(NamedTuple):
    """One record as it was read."""

    partition: int
    offset: int
    timestamp_ms: int  # Unix time in milliseconds, as the log gives it
    key: bytes | None
    value: bytes | None


class LogWriter(Protocol):
    """The producer's side. Every method is called from one event loop's thread."""

    async def open(self) -> None:
        """Connect, make the topic where it is missing. Returns also when the log is away; see `healthy`."""

    def append(self, key: bytes, value: bytes) -> Future[Appended]:
        """Store one record durably.

        The future ends when the log has acknowledged it (Kafka: all in-sync replicas; journal: fsync),
        or raises LogUnavailable, LogUncertain, LogFull or RecordTooLarge. Records that are appended
        concurrently share one commit.
        """

    def append_many(self, records: Sequence[tuple[bytes, bytes]]) -> Future[list[Appended | BaseException]]:
        """Store several (key, value) records; one result a record, in order, a LogError where it failed."""

    async def healthy(self) -> str | None:
        """None when the log takes records now, else one sentence that says why not, without secrets."""

    async def close(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for what was appended, then let go."""


MAX_RECORD_BYTES = 1_000_000
"""What every log takes as one record."""


@dataclass(frozen=True, slots=True)
class Watermarks:
    """The first offset still held and the one after the last, of one partition."""

    low: int
    high: int


Positions = Mapping[int, int | None]
"""Partition -> the next offset to read; None where none is stored (then the earliest is read)."""


class LogReader(Protocol):
    """The consumer's side. Every method is called from one thread.

    `on_assigned(topic_id, partitions)` is called from within `poll` when this reader becomes the owner of
    partitions; it claims them in the database and returns where to go on. `on_revoked(partitions)` is
    called when they go to another owner or are lost; what was read of them and not committed is to be
    dropped. A stored offset that the log no longer holds goes to `on_gap(partition, wanted, resumed)`,
    and reading goes on from the earliest offset held.
    """

    on_assigned: Callable[[str, Sequence[int]], Positions]
    on_revoked: Callable[[Sequence[int]], None]
    on_gap: Callable[[int, int, int], None]

    topic_id: str

    def open(self) -> None:
        """Join. Raises LogUnavailable when the log cannot be reached."""

    def poll(self, max_records: int, timeout: float) -> list[LogRecord]:
        """Up to `max_records` records, waiting at most `timeout` seconds for the first one.

        Within a partition offsets rise. Raises LogUnavailable when the log is away.
        """

    def seek(self, partition: int, offset: int) -> None:
        """Read `partition` from `offset` next; used after a batch was rolled back."""

    def watermarks(self, partition: int) -> Watermarks:
        """What the log holds of `partition` now."""

    def commit(self, positions: Mapping[int, int]) -> None:
        """Tell the log how far the database is, for lag tools and retention; never read back."""

    def close(self) -> None:
        """Leave the group and let go."""
