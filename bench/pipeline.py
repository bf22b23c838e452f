"""From the answer to the commit: how long after its acknowledgement an event is visible to others.

An answer names partition and offset, and a consumer's transaction advances the partition's position with the
rows. So an event is visible from the moment at which a second connection reads a position beyond its offset.
"""

from __future__ import annotations

import random
import threading
import time
from bisect import bisect_right
from collections import defaultdict
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, Self

import psycopg

from bench.consumer import PARTITIONS, consumers
from bench.figure import Figure, figure, percentile
from bench.load import PEOPLE, Answered, event_body, open_loop, request
from bench.parts import Parts, Scale
from bench.service import our_service
from portfolio_analytics.storage.database import connect

TOPIC = "pipeline"
RATE = 2_000
LONE = 30
LONE_RATE = 2.0
WATCH_SECONDS = 0.005
DRAIN_SECONDS = 120.0
PATH = "/api/analytics"


def measure_pipeline(parts: Parts, scale: Scale) -> list[Figure]:
    """Ack to visible at a constant rate, and of single events with pauses between them."""
    database = parts.database("pipeline")
    environment = {
        "DATABASE_URL": database,
        "DATA_DIR": mkdtemp(dir=parts.folder),
        "WORKERS": "1",
        "KAFKA_BROKER": parts.kafka.bootstrap,
        "KAFKA_TOPIC": parts.topic(TOPIC, PARTITIONS),
        "TRUSTED_PROXIES": "127.0.0.1",
    }
    with (
        our_service("producer", environment) as (_, port),
        consumers(parts, database, TOPIC, 1, workers=None),
        connect(database) as eye,
        _Watch(eye) as watch,
    ):
        watch.delays(open_loop(port, _ask, rate=RATE, seconds=scale.warm_up))
        steady = [
            watch.delays(open_loop(port, _ask, rate=RATE, seconds=scale.seconds)) for _ in range(scale.rounds)
        ]
        lone = watch.delays(
            open_loop(port, _ask, rate=LONE_RATE, seconds=min(LONE, 5 * scale.rounds) / LONE_RATE)
        )
    with connect(database) as eye:
        _check(eye, watch.answers)
    return [
        *(
            figure(
                f"ack to visible at {RATE:,} events/s, p{share * 100:.0f}",
                "ms",
                [percentile(one, share) for one in steady],
            )
            for share in (0.5, 0.95, 0.99)
        ),
        figure("ack to visible of a lone event, p50", "ms", [percentile(lone, 0.5)]),
        figure("ack to visible of a lone event, p95", "ms", [percentile(lone, 0.95)]),
    ]


def _ask() -> bytes:
    """An event of one of PEOPLE, each behind an address of their own: without, all would be one visitor."""
    person = random.randrange(PEOPLE)
    return request(PATH, event_body(person), f"198.18.{person % 250}.{person // 250}")


class _Watch:
    """Notes, in a thread, when each partition's position was first seen where it is."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.answers = 0
        self._connection = connection
        self._seen: dict[int, list[tuple[int, float]]] = defaultdict(list)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def delays(self, answers: list[Answered]) -> list[float]:
        """Milliseconds from each answer until its event was seen, once all are. Raises TimeoutError."""
        self.answers += len(answers)
        end = time.perf_counter() + DRAIN_SECONDS
        while not all(self._when(answer) for answer in answers):
            if time.perf_counter() > end:
                raise TimeoutError("some events were answered and did not become visible")
            time.sleep(0.05)
        return [max(0.0, (self._when(answer) - answer.at) * 1000) for answer in answers]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _when(self, answer: Answered) -> float:
        """The moment at which the event was first visible; 0 when it is not."""
        seen = self._seen[answer.partition]
        place = bisect_right(seen, answer.offset, key=lambda entry: entry[0])
        return seen[place][1] if place < len(seen) else 0.0

    def _look(self) -> None:
        while not self._stop.is_set():
            rows = self._connection.execute(
                "SELECT partition, next FROM log_positions WHERE next IS NOT NULL"
            )
            found, now = rows.fetchall(), time.perf_counter()
            for partition, position in found:
                seen = self._seen[partition]
                if not seen or seen[-1][0] < position:
                    seen.append((position, now))
            self._stop.wait(WATCH_SECONDS)


def _check(connection: psycopg.Connection[Any], answers: int) -> None:
    """Every answer has its row. Raises RuntimeError."""
    row = connection.execute("SELECT count(*) FROM events").fetchone()
    if row is None or row[0] != answers:
        raise RuntimeError(f"{answers} events were answered, and there are {row[0] if row else 0} rows")
