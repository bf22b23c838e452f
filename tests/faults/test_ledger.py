"""The ledger balances when traffic stops, whatever the log was sent twice."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from portfolio_analytics.storage.database import connect
from portfolio_analytics.storage.sql import statement
from tests.faults.load import Load
from tests.faults.pipeline import Pipeline, assert_counted
from tests.faults.process import eventually
from tests.kafka.cluster import KafkaCluster
from tests.ports import free_ports


def ledger(url: str) -> Counter[str]:
    """The last hour's ledger, summed up."""
    now = datetime.now(UTC)
    with connect(url) as connection:
        rows = connection.execute(
            statement("stats_ledger"), {"after": now - timedelta(hours=1), "until": now}
        ).fetchall()
    sums: Counter[str] = Counter()
    for _, accepted, counted, duplicate, rejected, in_flight, _, _, unattested in rows:
        sums.update(
            accepted=accepted,
            counted=counted,
            duplicate=duplicate,
            rejected=sum(rejected.values()),
            in_flight=in_flight,
            unattested=unattested,
        )
    return sums


def test_what_a_broker_that_hung_took_twice_is_attested(
    kafka: KafkaCluster, database: str, tmp_path: Path
) -> None:
    """What it had in its connections when it hung is in the log, and in the spool as well."""
    pipeline = Pipeline(kafka, database, tmp_path, ports=free_ports(1), consumers=1)
    try:
        pipeline.start()
        with Load(pipeline.ports, rate=100.0) as load:
            load.grow(50)
            kafka.pause(1)
            paused = time.monotonic()
            try:
                load.grow(100)
                eventually(lambda: time.monotonic() - paused > 3.0, 10, "the pause")
            finally:
                kafka.resume(1)
            load.grow(50)
        assert load.statuses.keys() == {201, 202}
        assert not load.given_up
        assert_counted(database, load)
        # Ended, it attests at once what it has not attested yet.
        assert pipeline.producers[0].terminate() == 0
        # On a slow machine the attestation may be in the spool, which the next start drains.
        pipeline.producers[0].start()
        acknowledged = len(load.acknowledged)
        eventually(
            lambda: ledger(database)["unattested"] == 0,
            60,
            lambda: f"{acknowledged} acknowledged; {ledger(database)}",
        )
        found = ledger(database)
        assert found["counted"] == acknowledged
        assert found["duplicate"] > 0, "nothing stands in the log twice: the test shows nothing"
        assert (found["in_flight"], found["unattested"], found["rejected"]) == (0, 0, 0)
        assert found["accepted"] == acknowledged + found["duplicate"]
    finally:
        pipeline.end()
