"""Dead letters: bad rows, published to a topic for those who watch topics.

The table is the truth and the outbox at once. A row is published after the commit that made it, by a thread
beside the consumer's loop, so that a topic that is away holds no event up; it is then marked. What ends the
process between the two makes a letter come twice, and never not.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import psycopg

from portfolio_analytics.shared.errors import LogError, RecordTooLarge, StorageUnavailable
from portfolio_analytics.shared.log.kafka_dead_letters import Letter
from portfolio_analytics.storage.database import describe

BATCH = 100
PAUSE = 1.0
LONGEST_PAUSE = 30.0
STOP_SECONDS = 10.0

logger = logging.getLogger(__name__)

# One consumer publishes at a time. No row is locked meanwhile: retrying and deleting go on.
_TURN = "SELECT pg_try_advisory_xact_lock(hashtext('portfolio_analytics.dead_letters'))"
_UNPUBLISHED = """
SELECT bad_row_id, topic_id, partition, log_offset, reason, detail, site, key, value
FROM bad_rows WHERE published_at IS NULL ORDER BY bad_row_id LIMIT %s
"""
_PUBLISHED = "UPDATE bad_rows SET published_at = now() WHERE bad_row_id = ANY(%s)"


class Topic(Protocol):
    """Where letters go."""

    def publish(self, letters: Sequence[Letter]) -> list[LogError | None]:
        """Append letters; for each None, or why not. Raises LogError when none can be appended."""

    def close(self) -> None:
        """Let go."""


class DeadLetters:
    """Publishes bad rows to `topic`, while it is entered. `source` is the topic that the records are from."""

    def __init__(self, topic: Topic, connect: Callable[[], psycopg.Connection[Any]], source: str) -> None:
        self._topic = topic
        self._connect = connect
        self._source = source
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dead-letters", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        pause = PAUSE
        while not self._stop.wait(pause):
            try:
                with self._connect() as connection:
                    while not self._stop.is_set():
                        if self._send(connection) < BATCH:
                            pause = PAUSE
                            self._stop.wait(pause)
            except (psycopg.Error, StorageUnavailable, LogError) as error:
                reason = describe(error) if isinstance(error, psycopg.Error) else str(error)
                logger.warning("Dead letters wait in the table: %s", reason)
                pause = min(2 * pause, LONGEST_PAUSE)
        self._topic.close()

    def _send(self, connection: psycopg.Connection[Any]) -> int:
        """Publish the oldest bad rows that were not; how many. Raises LogError when some are left."""
        with connection.transaction():
            turn = connection.execute(_TURN).fetchone()
            rows = connection.execute(_UNPUBLISHED, [BATCH]).fetchall() if turn and turn[0] else []
            if not rows:
                return 0
            results = self._topic.publish([self._letter(*row) for row in rows])
            done, failure = [], None
            for row, result in zip(rows, results, strict=True):
                if isinstance(result, RecordTooLarge):
                    logger.error("Bad row %d stays in the table alone: %s", row[0], result)
                elif result is not None:
                    failure = result
                    continue
                done.append(row[0])
            connection.execute(_PUBLISHED, [done])
        if failure is not None:
            raise failure
        return len(done)

    def _letter(
        self,
        number: int,
        topic_id: str,
        partition: int,
        offset: int,
        reason: str,
        detail: str,
        site: str | None,
        key: bytes | None,
        value: bytes | None,
    ) -> Letter:
        headers = {
            "bad_row": str(number),
            "reason": reason,
            "detail": detail,
            "topic": self._source,
            "topic_id": topic_id,
            "partition": str(partition),
            "offset": str(offset),
        }
        if site is not None:
            headers["site"] = site
        return Letter(key, value, [(name, text.encode()) for name, text in headers.items()])
