"""How much of the log is not counted yet: its end, and the positions that consumers have stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from portfolio_analytics.app.log import kafka_settings
from portfolio_analytics.settings import Settings, journal_path
from portfolio_analytics.shared.log.journal_file import PARTITION, JournalFile

Stored = Mapping[tuple[str, int], int | None]
"""(topic id, partition) -> the next offset to read."""

ANSWER_S = 2.0


class Backlog(NamedTuple):
    """One partition's records that are not counted: how many, and whether one is older than was asked."""

    lag: int
    overdue: bool


class LogEnds(Protocol):
    """Asked by one thread at a time."""

    def backlog(self, stored: Stored, before_ms: int) -> dict[int, Backlog]:
        """By partition, what lies beyond `stored`; overdue are records from before `before_ms` (Unix time).

        Blocks for a few seconds at most. Raises LogError when the log is away.
        """


def log_ends(settings: Settings) -> LogEnds:
    """Of Kafka where KAFKA_BROKER is set, else of the journal in DATA_DIR."""
    if settings.kafka_broker:
        # librdkafka is a few megabytes that a small server need not load.
        from portfolio_analytics.app.kafka_ends import KafkaEnds  # noqa: PLC0415

        return KafkaEnds(kafka_settings(settings))
    return JournalEnds(journal_path(settings))


class OpenedJournal:
    """The journal at `path`, opened when it is looked into for the first time; for one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: JournalFile | None = None

    @contextmanager
    def look(self) -> Iterator[JournalFile | None]:
        """The journal, for reading alone; None where there is none yet: looking makes none."""
        if not self._path.exists():
            yield None
            return
        try:
            if self._file is not None and self._file.is_replaced():
                self._file.close()
            if self._file is None:
                self._file = JournalFile(self._path)
            self._file.open()
            yield self._file
        except BaseException:
            # Removed, or damaged: the next look opens what is there then.
            file, self._file = self._file, None
            if file is not None:
                with suppress(OSError):
                    file.close()
            raise


class JournalEnds:
    """Looks into the journal at `path`."""

    def __init__(self, path: Path) -> None:
        self._journal = OpenedJournal(path)

    def backlog(self, stored: Stored, before_ms: int) -> dict[int, Backlog]:
        """See LogEnds. A journal that is not there yet has nothing."""
        with self._journal.look() as file:
            if file is None:
                return {}
            held = file.watermarks()
            position = stored.get((file.topic_id, PARTITION))
            first = max(held.low, position or 0)
            oldest = file.read(first, 1) if held.high > first else []
        overdue = any(record.timestamp_ms < before_ms for record in oldest)
        return {PARTITION: Backlog(max(held.high - first, 0), overdue)}
