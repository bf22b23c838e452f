"""What the doctor makes of what it sees."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from portfolio_analytics.doctor.check import Check, exit_status
from portfolio_analytics.doctor.clock import judge_clock
from portfolio_analytics.doctor.database import (
    DatabaseFacts,
    StoredPosition,
    StoreFacts,
    judge_database,
    judge_store,
)
from portfolio_analytics.doctor.disk import GIB, DiskFacts, file_system_of, judge_disk
from portfolio_analytics.doctor.log import LogEnds, judge_kafka, judge_lag
from portfolio_analytics.shared.log.kafka_settings import KafkaSettings
from portfolio_analytics.shared.log.kafka_topic import DAY_MS, TopicFacts
from portfolio_analytics.shared.log.protocol import Watermarks

GOOD_DATABASE = DatabaseFacts(
    version=180003,
    pending=[],
    max_connections=100,
    free_connections=90,
    fsync=True,
    full_page_writes=True,
    synchronous_commit="on",
    read_only=False,
    ahead_seconds=0.0,
)
GOOD_STORE = StoreFacts(gaps=[], bad_rows={}, positions=[], old_salts=[], todays_salt=True)
GOOD_TOPIC = TopicFacts(
    name="events",
    topic_id="abc",
    partitions=6,
    replication=3,
    in_sync=3,
    min_in_sync=2,
    retention_ms=7 * DAY_MS,
    brokers=3,
)
KAFKA = KafkaSettings(brokers="kafka.example:9092", security="SASL_SSL")
GOOD_DISK = DiskFacts(Path("/data"), Path("/data"), True, 50 * GIB, 100 * GIB, "ext4")


def worst(checks: list[Check]) -> str:
    return max((check.status for check in checks), key=["ok", "warn", "fail"].index)


def test_a_good_database() -> None:
    assert worst(judge_database(GOOD_DATABASE)) == "ok"


@pytest.mark.parametrize(
    ("facts", "status", "said"),
    [
        (replace(GOOD_DATABASE, version=130011), "fail", "too old"),
        (replace(GOOD_DATABASE, version=140000), "ok", "PostgreSQL 14"),
        (replace(GOOD_DATABASE, version=190000), "warn", "newer"),
        (replace(GOOD_DATABASE, fsync=False), "fail", "fsync off"),
        (replace(GOOD_DATABASE, full_page_writes=False), "fail", "full_page_writes off"),
        (replace(GOOD_DATABASE, synchronous_commit="off"), "warn", "synchronous_commit"),
        (replace(GOOD_DATABASE, free_connections=4), "fail", "4 of 100"),
        (replace(GOOD_DATABASE, free_connections=-3), "fail", "0 of 100"),
        (replace(GOOD_DATABASE, free_connections=19), "warn", "19 of 100"),
        (replace(GOOD_DATABASE, read_only=True), "fail", "no writes"),
        (replace(GOOD_DATABASE, pending=["0002_trust"]), "fail", "0002_trust"),
    ],
)
def test_databases(facts: DatabaseFacts, status: str, said: str) -> None:
    checks = judge_database(facts)
    assert worst(checks) == status
    assert any(said in check.sentence and check.status == status for check in checks)
    assert all(check.advice for check in checks if check.status != "ok")


@pytest.mark.parametrize(
    ("facts", "status", "said"),
    [
        (GOOD_STORE, "ok", "yesterday and later"),
        (replace(GOOD_STORE, todays_salt=False), "ok", "no salt of today"),
        (replace(GOOD_STORE, gaps=[(1, 10, 30), (4, 0, 5)]), "fail", "25 records of partition 1, 4"),
        (replace(GOOD_STORE, bad_rows={"not_json": 3}), "warn", "3 not_json"),
        (replace(GOOD_STORE, old_salts=[date(2026, 1, 2)]), "fail", "2026-01-02"),
    ],
)
def test_stores(facts: StoreFacts, status: str, said: str) -> None:
    checks = judge_store(facts)
    assert worst(checks) == status
    assert any(said in check.sentence for check in checks)


@pytest.mark.parametrize(
    ("topic", "settings", "status", "said"),
    [
        (GOOD_TOPIC, KAFKA, "ok", "3 broker(s)"),
        (
            replace(GOOD_TOPIC, replication=1, in_sync=1, min_in_sync=1, brokers=1),
            KAFKA,
            "warn",
            "one broker",
        ),
        (replace(GOOD_TOPIC, min_in_sync=1), KAFKA, "warn", "alone"),
        (replace(GOOD_TOPIC, in_sync=2), KAFKA, "warn", "not in sync"),
        (replace(GOOD_TOPIC, in_sync=1), KAFKA, "fail", "takes nothing"),
        (replace(GOOD_TOPIC, partitions=1), KAFKA, "warn", "1 partitions"),
        (replace(GOOD_TOPIC, retention_ms=DAY_MS), KAFKA, "warn", "1.0 days"),
        (replace(GOOD_TOPIC, retention_ms=-1), KAFKA, "ok", ""),
        (GOOD_TOPIC, replace(KAFKA, security="PLAINTEXT"), "warn", "not encrypted"),
    ],
)
def test_topics(topic: TopicFacts, settings: KafkaSettings, status: str, said: str) -> None:
    checks = judge_kafka(topic, settings)
    assert worst(checks) == status
    assert any(said in check.sentence and check.status == status for check in checks)


ENDS = LogEnds("abc", {0: Watermarks(0, 100), 1: Watermarks(20, 50)})


def at(
    first: int | None, second: int | None, age: float = 5.0, topic_id: str = "abc"
) -> list[StoredPosition]:
    return [StoredPosition(topic_id, 0, first, age), StoredPosition(topic_id, 1, second, age)]


@pytest.mark.parametrize(
    ("positions", "status", "said"),
    [
        (at(100, 50), "ok", "Everything"),
        (at(100, 50, age=9999), "ok", "Everything"),
        (at(90, 50), "ok", "10 records behind"),
        (at(90, 50, age=61), "warn", "10 records wait"),
        (at(100, None), "ok", "30 records behind"),
        ([], "warn", "130 records wait"),
        (at(100, 50, topic_id="old"), "warn", "another log"),
        (at(101, 50), "fail", "lost its end"),
    ],
)
def test_lag(positions: list[StoredPosition], status: str, said: str) -> None:
    [check] = judge_lag(ENDS, positions)
    assert (check.status, said in check.sentence) == (status, True)


@pytest.mark.parametrize(
    ("facts", "must_persist", "status", "said"),
    [
        (GOOD_DISK, True, "ok", "50.0 GiB"),
        (replace(GOOD_DISK, file_system="tmpfs"), True, "fail", "in memory"),
        (replace(GOOD_DISK, file_system="tmpfs"), False, "warn", "in memory"),
        (replace(GOOD_DISK, file_system="overlay"), True, "warn", "container"),
        (replace(GOOD_DISK, writable=False), True, "fail", "cannot be written"),
        (replace(GOOD_DISK, free_bytes=GIB), True, "warn", "1.0 GiB"),
        (replace(GOOD_DISK, free_bytes=100 << 20), True, "fail", "full"),
        (replace(GOOD_DISK, free_bytes=4 * GIB), True, "warn", "4.0 GiB"),
    ],
)
def test_disks(facts: DiskFacts, must_persist: bool, status: str, said: str) -> None:
    checks = judge_disk("SPOOL_DIR", facts, must_persist=must_persist)
    assert worst(checks) == status
    assert any(said in check.sentence for check in checks)


MOUNTS = r"""22 1 0:20 / / rw,relatime shared:1 - overlay overlay rw,lowerdir=/l
23 22 8:1 / /data rw - ext4 /dev/sda1 rw
24 23 0:30 / /data/in\040memory rw - tmpfs tmpfs rw
25 22 0:31 / /run rw - tmpfs tmpfs rw
26 25 8:2 / /run rw - xfs /dev/sdb1 rw
nonsense
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "overlay"), ("/database", "overlay"), ("/data", "ext4"), ("/data/a/b", "ext4"),
        ("/data/in memory/spool", "tmpfs"), ("/run/spool", "xfs"),
    ],
)  # fmt: skip
def test_file_systems(path: str, kind: str) -> None:
    assert file_system_of(Path(path), MOUNTS) == kind
    assert file_system_of(Path(path), "") == ""


@pytest.mark.parametrize(
    ("ahead", "status", "said"),
    [
        (0.0, "ok", "agree"),
        (4.9, "ok", "agree"),
        (-60.0, "warn", "60 s ahead of"),
        (400.0, "fail", "400 s behind"),
    ],
)
def test_clocks(ahead: float, status: str, said: str) -> None:
    check = judge_clock("the database", ahead)
    assert (check.status, said in check.sentence) == (status, True)


def test_only_failures_fail() -> None:
    assert exit_status([Check("a", "ok", ""), Check("b", "warn", "")]) == 0
    assert exit_status([Check("a", "ok", ""), Check("b", "fail", "")]) == 1
