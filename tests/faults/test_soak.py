"""Random rounds of faults, for as long as asked for: `make soak`, with ROUNDS and SEED from outside.

RATE events a second in requests of BATCH; one to FAULTS faults a round. Ended by SIGTERM or SIGINT, the round
under way is the last one, and is judged with all others.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from portfolio_analytics.storage.database import conninfo
from portfolio_analytics.storage.embedded import EmbeddedPostgres
from tests.faults.pipeline import Pipeline
from tests.faults.postgres_proxy import PostgresProxy
from tests.faults.rounds import Rounds
from tests.kafka.cluster import KafkaCluster
from tests.ports import free_ports

RATE = float(os.environ.get("RATE", "200"))
BATCH = int(os.environ.get("BATCH", "1"))
FAULTS = int(os.environ.get("FAULTS", "3"))


@pytest.fixture
def proxied(own_postgres: EmbeddedPostgres) -> Iterator[PostgresProxy]:
    with PostgresProxy(conninfo(own_postgres.dsn)) as found:
        yield found


@pytest.fixture
def pipeline(kafka_cluster: KafkaCluster, proxied: PostgresProxy, tmp_path: Path) -> Iterator[Pipeline]:
    found = Pipeline(kafka_cluster, proxied.url, tmp_path, ports=free_ports(2), consumers=2)
    found.consumers[0].use({"WORKERS": "2"})
    try:
        found.start()
        yield found
    finally:
        found.end()


@pytest.mark.soak
def test_random_rounds(
    pipeline: Pipeline,
    own_postgres: EmbeddedPostgres,
    proxied: PostgresProxy,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
    rounds = Rounds(pipeline, own_postgres, proxied, conninfo(own_postgres.dsn), seed)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda _number, _frame: rounds.stop())
    with capsys.disabled():
        print(f"\nSEED={seed}", flush=True)
        try:
            rounds.run(int(os.environ.get("ROUNDS") or 10), rate=RATE, faults=FAULTS, batch=BATCH)
        finally:
            print(rounds.figures.table(seed), flush=True)
            for number, handler in before.items():
                signal.signal(number, handler)
    assert (rounds.figures.lost, rounds.figures.doubled) == (0, 0)
    for secret in ("battery", own_postgres.dsn.split(":")[2].split("@")[0]):
        assert secret not in pipeline.outputs()
