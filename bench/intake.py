"""Intake over HTTP: rate and CPU of single events and of batches, the latency of an answer, memory.

Beside an empty handler on the same server, the FastAPI baseline, librdkafka alone, and one fsync.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from tempfile import mkdtemp

from bench.figure import Figure, figure, interleaved, percentile, ratio
from bench.floor import fsync_ms, produce
from bench.load import batch_body, closed_loop, event_body, open_loop, request
from bench.machine import peak_mb, resident_mb, worker_of
from bench.meter import Meter
from bench.parts import Parts, Scale
from bench.service import baseline_service, empty_handler, our_service

CONNECTIONS = 256
BATCH_CONNECTIONS = 8
BATCH = 100
RATE = 2_000
PARTITIONS = 6
WARM_SECONDS = 1.0
PATH = "/api/analytics"


def measure_intake(parts: Parts, scale: Scale) -> list[Figure]:
    """With Kafka as the log: ours, the baseline, the floors."""
    brokers = parts.kafka.bootstrap
    broker = {"the broker": parts.kafka.pids}
    baseline_topic, floor_topic = (parts.topic(name, PARTITIONS) for name in ("baseline", "floor"))
    records = [(None, event_body()) for _ in range(int(20_000 * scale.seconds))]
    environment = {**_environment(parts, "intake"), "KAFKA_BROKER": brokers}
    with (
        our_service("producer", environment) as (ours, port),
        baseline_service(brokers, baseline_topic) as (baseline, baseline_port),
        empty_handler() as (floor, floor_port),
    ):
        worker = worker_of(ours.pid)
        idle = resident_mb(worker)
        single = Meter("single events, Kafka", {"the producer": [ours.pid], **broker})
        theirs = Meter("FastAPI and aiokafka", {"its process": [baseline.pid], **broker})
        empty = Meter("empty handler", {"its process": [floor.pid]})
        batches = Meter(f"batches of {BATCH}, Kafka", {"the producer": [ours.pid], **broker})
        _singles(port, scale.warm_up)()
        for other in (baseline_port, floor_port):
            _singles(other, WARM_SECONDS)()
        (_, _, _, _, librdkafka) = interleaved(
            scale.rounds,
            lambda: single.measure(_singles(port, scale.seconds)),
            lambda: theirs.measure(_singles(baseline_port, scale.seconds)),
            lambda: empty.measure(_singles(floor_port, scale.seconds)),
            lambda: batches.measure(_batches(port, scale.seconds), BATCH),
            lambda: produce(brokers, floor_topic, records),
        )
        latencies = _latencies(port, scale)
        loaded = peak_mb(worker)
    return [
        *single.figures(),
        *theirs.figures(),
        *empty.figures("request"),
        ratio(
            "single event against the empty handler, CPU",
            single.cpu["the producer"],
            empty.cpu["its process"],
        ),
        ratio("single events against the baseline, rate", single.rates, theirs.rates),
        ratio(
            "single event against the baseline, CPU", single.cpu["the producer"], theirs.cpu["its process"]
        ),
        *batches.figures(),
        figure("librdkafka alone", "events/s", librdkafka),
        ratio("batches against librdkafka alone, rate", batches.rates, librdkafka),
        *_percentiles("Kafka", latencies),
        figure("memory of a producer worker, idle, Kafka", "MB", [idle]),
        figure("memory of a producer worker, most under load, Kafka", "MB", [loaded]),
    ]


def measure_journal(parts: Parts, scale: Scale) -> list[Figure]:
    """With the journal as the log: ours, an empty handler, one fsync on the journal's disk."""
    environment = _environment(parts, "journal")
    with (
        our_service("producer", environment) as (ours, port),
        empty_handler() as (floor, floor_port),
    ):
        worker = worker_of(ours.pid)
        idle = resident_mb(worker)
        single = Meter("single events, journal", {"the producer": [ours.pid]})
        empty = Meter("empty handler", {"its process": [floor.pid]})
        batches = Meter(f"batches of {BATCH}, journal", {"the producer": [ours.pid]})
        for other in (port, floor_port):
            _singles(other, WARM_SECONDS)()
        interleaved(
            scale.rounds,
            lambda: single.measure(_singles(port, scale.seconds)),
            lambda: empty.measure(_singles(floor_port, scale.seconds)),
            lambda: batches.measure(_batches(port, scale.seconds), BATCH),
        )
        before = fsync_ms(parts.folder)
        latencies = _latencies(port, scale)
        fsyncs = [percentile(before, 0.5), percentile(fsync_ms(parts.folder), 0.5)]
        loaded = peak_mb(worker)
    fsync = sum(fsyncs) / len(fsyncs)
    return [
        *single.figures(),
        ratio(
            "single event against the empty handler, CPU, journal",
            single.cpu["the producer"],
            empty.cpu["its process"],
        ),
        *batches.figures(),
        *_percentiles("journal", latencies),
        figure("one fsync on the journal's disk", "ms", fsyncs),
        figure(
            "p99 with the journal beyond 4 fsyncs",
            "ms",
            [percentile(one, 0.99) - 4 * fsync for one in latencies],
        ),
        figure("memory of a producer worker, idle, journal", "MB", [idle]),
        figure("memory of a producer worker, most under load, journal", "MB", [loaded]),
    ]


def _environment(parts: Parts, name: str) -> dict[str, str]:
    return {"DATABASE_URL": parts.database(name), "DATA_DIR": mkdtemp(dir=parts.folder), "WORKERS": "1"}


def _ask() -> bytes:
    return request(PATH, event_body())


def _singles(port: int, seconds: float) -> Callable[[], float]:
    requests = [request(PATH, event_body()) for _ in range(20_000)]
    return lambda: closed_loop(port, requests, connections=CONNECTIONS, seconds=seconds)


def _batches(port: int, seconds: float) -> Callable[[], float]:
    requests = [request(f"{PATH}/batch", batch_body(BATCH)) for _ in range(200)]
    return lambda: closed_loop(port, requests, connections=BATCH_CONNECTIONS, seconds=seconds)


def _latencies(port: int, scale: Scale) -> list[list[float]]:
    """Latencies in ms, by round."""
    return [
        [answer.latency for answer in open_loop(port, _ask, rate=RATE, seconds=scale.seconds)]
        for _ in range(scale.rounds)
    ]


def _percentiles(log: str, latencies: Sequence[Sequence[float]]) -> list[Figure]:
    return [
        figure(
            f"answer at {RATE:,} requests/s, {log}, p{share * 100:.0f}",
            "ms",
            [percentile(one, share) for one in latencies],
        )
        for share in (0.5, 0.95, 0.99)
    ]
