"""A consumer that is killed, poisoned or overwhelmed; over the journal.

Rows 1, 12, 13 and 29 of the fault table, and what every batch leaves behind.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from portfolio_analytics.consumer import worker
from portfolio_analytics.consumer.worker import TooManyBadRows
from portfolio_analytics.shared.log.journal import JournalReader
from portfolio_analytics.shared.record import EventRecord, encode_record
from portfolio_analytics.storage.database import connect
from tests.faults.journal import append, append_events, make_events
from tests.faults.pipeline import ConsumerThread, count_rows, number, wait_until_stored
from tests.faults.postgres_proxy import CONSUMER, AtStep, PostgresProxy
from tests.faults.process import Process, eventually
from tests.oracle import assert_exactly_once
from tests.records import event

BATCH = 40


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def steps_of_a_batch(proxy: PostgresProxy) -> list[str]:
    """The statements of the last transaction that advanced a position, in their order."""
    texts = [text for application, text in list(proxy.statements) if application == CONSUMER]
    last = max(place for place, text in enumerate(texts) if text.startswith("UPDATE log_positions"))
    begin = max(place for place in range(last) if texts[place] == "BEGIN")
    return texts[begin : texts.index("COMMIT", last) + 1]


def kill_at(proxy: PostgresProxy, consumer: Process, journal: Path, step: int | None) -> list[EventRecord]:
    """Let a consumer be killed when `step` of its batch is on its way to the server."""
    proxy.hold_at(AtStep(step))
    return kill_when_reached(proxy, consumer, journal)


def kill_when_reached(proxy: PostgresProxy, consumer: Process, journal: Path) -> list[EventRecord]:
    sent = make_events(BATCH)
    append_events(journal, sent)
    consumer.start()
    assert proxy.reached.wait(60), consumer.output()
    consumer.kill()
    return sent


def kill_everywhere(database: str, proxy: PostgresProxy, folder: Path, choose: int | None) -> None:
    """Kill a consumer at `choose` steps of a batch (None: at each), at the COMMIT and right after it."""
    journal = folder / "journal.sqlite"
    sent = make_events(BATCH)
    append_events(journal, sent)
    environment = {"DATABASE_URL": proxy.url, "DATA_DIR": str(folder)}
    with Process("consumer", ["consumer"], environment, folder) as consumer, connect(database) as connection:
        wait_until_stored(database, [found.id for found in sent])
        consumer.terminate()
        steps = steps_of_a_batch(proxy)
        assert len(steps) >= 10, steps
        places = list(range(1, len(steps) - 1))
        if choose is not None:
            places = sorted(random.Random(os.environ.get("SEED")).sample(places, choose))
        for step in [*places, None]:
            sent += kill_at(proxy, consumer, journal, step)
            # What was under way is rolled back: nothing of it is there.
            assert count_rows(connection) == BATCH
        proxy.lose_answer_of(AtStep(None))
        sent += kill_when_reached(proxy, consumer, journal)
        assert count_rows(connection) == len(sent)
        consumer.start()
        sent += (last := make_events(BATCH))
        append_events(journal, last)
        wait_until_stored(database, [found.id for found in sent])
        assert consumer.terminate() == 0
        assert count_rows(connection) == len(sent)
    assert_exactly_once(database, [found.id for found in sent])


def test_kill_9_at_some_steps_of_a_batch(database: str, proxy: PostgresProxy, tmp_path: Path) -> None:
    kill_everywhere(database, proxy, tmp_path, choose=4)


@pytest.mark.soak
def test_kill_9_at_each_step_of_a_batch(database: str, proxy: PostgresProxy, tmp_path: Path) -> None:
    kill_everywhere(database, proxy, tmp_path, choose=None)


def test_poison_is_kept_with_its_reason_and_the_batch_goes_on(database: str, journal: Path) -> None:
    sent = make_events(BATCH)
    poison = [
        b"",
        b"not JSON",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"kind":"nobody knows"}',
        encode_record(event(visitor=1 << 70)),
        encode_record(event(day=10**9)),
        encode_record(event(type="x" * 5_000)),
    ]
    values = [encode_record(found) for found in sent]
    for place, value in enumerate(poison):
        values.insert(place * 5, value)
    append(journal, values)
    consumer = ConsumerThread(JournalReader(journal), database)
    wait_until_stored(database, [found.id for found in sent])
    consumer.stop()
    assert consumer.error is None
    assert consumer.worker.tally.rejected == len(poison)
    with connect(database) as connection:
        rows = connection.execute("SELECT reason, detail, value FROM bad_rows ORDER BY log_offset").fetchall()
        assert [row[2] for row in rows] == poison
        assert {row[0] for row in rows} == {"empty", "undecodable", "out_of_range"}
        assert all(row[1] for row in rows)
        assert number(connection, "SELECT next FROM log_positions") == len(values)
    assert_exactly_once(database, [found.id for found in sent])


def test_a_record_that_only_the_database_refuses_stands_alone(database: str, journal: Path) -> None:
    """The batch is halved until the record is alone; the others are stored."""
    with connect(database) as connection:
        connection.execute("ALTER TABLE events ADD CHECK (title IS DISTINCT FROM 'poison')")
    sent = make_events(BATCH)
    bad = event(title="poison", time=sent[0].time, day=sent[0].day)
    append_events(journal, [*sent[:13], bad, *sent[13:]])
    consumer = ConsumerThread(JournalReader(journal), database)
    wait_until_stored(database, [found.id for found in sent])
    consumer.stop()
    with connect(database) as connection:
        rows = connection.execute("SELECT reason, event_id FROM bad_rows").fetchall()
    assert rows == [("unstorable", bad.id)]
    assert_exactly_once(database, [found.id for found in sent])


def test_when_all_is_bad_the_consumer_stops_loudly(database: str, tmp_path: Path, journal: Path) -> None:
    append(journal, [b"bad %d" % place for place in range(worker.MAX_BATCH + 1_000)])
    environment = {"DATABASE_URL": database, "DATA_DIR": str(tmp_path)}
    with Process("consumer", ["consumer"], environment, tmp_path) as consumer:
        assert consumer.wait(60) != 0
        assert "records were all bad" in consumer.output()
        assert "badrows list" in consumer.output()
        assert "Traceback" not in consumer.output()
    with connect(database) as connection:
        kept = number(connection, "SELECT count(*) FROM bad_rows")
        # Every one of them is kept, and it does not run through the whole log.
        assert kept == number(connection, "SELECT next FROM log_positions") == worker.MAX_BATCH


def test_some_bad_among_good_do_not_stop_it(database: str, journal: Path) -> None:
    sent = make_events(3)
    values = [b"bad %d" % place for place in range(2_700)]
    values[899::900] = [encode_record(found) for found in sent]
    append(journal, values)
    consumer = ConsumerThread(JournalReader(journal), database)
    wait_until_stored(database, [found.id for found in sent])
    eventually(lambda: consumer.worker.tally.rejected == 2_697, 30, "all bad rows")
    assert consumer.alive
    consumer.stop()
    assert not isinstance(consumer.error, TooManyBadRows)


def test_a_clock_that_steps_back_leaves_every_sum_right(database: str, journal: Path) -> None:
    """The server's clock jumps two hours back in the middle: times, minutes and batches go on."""
    forwards = make_events(BATCH)
    hours = 2 * 3_600_000
    backwards = [
        event(time=found.time - hours, at=found.at - hours, visitor=found.visitor, page=found.page,
              day=(found.time - hours) // 86_400_000)
        for found in make_events(BATCH)
    ]  # fmt: skip
    shift = 0.0
    consumer = ConsumerThread(JournalReader(journal), database, clock=lambda: time.time() + shift)
    append_events(journal, forwards)
    wait_until_stored(database, [found.id for found in forwards])
    shift = -hours / 1000
    append_events(journal, backwards)
    wait_until_stored(database, [found.id for found in backwards])
    shift = 0.0
    again = make_events(BATCH)
    append_events(journal, again)
    wait_until_stored(database, [found.id for found in again])
    consumer.stop()
    assert consumer.error is None
    sent = [*forwards, *backwards, *again]
    with connect(database) as connection:
        assert number(connection, "SELECT sum(n)::int FROM ledger WHERE kind = 'counted'") == len(sent)
        assert number(connection, "SELECT sum(n)::int FROM latencies") == len(sent)
    assert_exactly_once(database, [found.id for found in sent])


def test_a_backlog_is_stored_chunk_by_chunk_whatever_happens_between(
    database: str, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks are decoded ahead of their commit: duplicates, poison and lost connections between them."""
    monkeypatch.setattr(worker, "MAX_BATCH", 40)
    monkeypatch.setattr(worker, "MAX_POLL", 160)
    sent = make_events(500)
    append_events(journal, [*sent[:200], *sent[190:210]])
    append(journal, [b"poison"])
    append_events(journal, [*sent[210:], *sent[:50]])
    consumer = ConsumerThread(JournalReader(journal), database)
    with connect(database) as connection:
        for _ in range(5):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() "
                "AND backend_type = 'client backend'"
            )
            time.sleep(0.05)
    wait_until_stored(database, [found.id for found in sent])
    with connect(database) as connection:
        read = "SELECT next FROM log_positions"
        eventually(
            lambda: number(connection, read) == 561, 60, lambda: f"561, read {number(connection, read)}"
        )
        assert number(connection, "SELECT count(*) FROM bad_rows") == 1
    consumer.stop()
    assert_exactly_once(database, [found.id for found in sent])
