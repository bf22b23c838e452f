"""A PostgreSQL that restarts, vanishes, hangs, is slow or full. Rows 7 and 8 of the fault table."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from portfolio_analytics.app.log_ends import JournalEnds
from portfolio_analytics.app.watch import look
from portfolio_analytics.shared.log.journal import JournalReader
from portfolio_analytics.storage.database import connect, conninfo
from portfolio_analytics.storage.embedded import EmbeddedPostgres
from tests.faults.journal import append_events, make_events
from tests.faults.pipeline import ConsumerThread, count_rows, number, wait_until_stored
from tests.faults.postgres_proxy import AtStep, PostgresProxy
from tests.faults.process import Process, end_postgres, eventually
from tests.oracle import assert_exactly_once


class Feeder:
    """Puts events into a journal without pause, and remembers their ids."""

    def __init__(self, journal: Path) -> None:
        self.ids: list[uuid.UUID] = []
        self._journal = journal
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _feed(self) -> None:
        while not self._stop.wait(0.05):
            events = make_events(5)
            append_events(self._journal, events)
            self.ids += [found.id for found in events]


@contextmanager
def running(consumer: ConsumerThread) -> Iterator[ConsumerThread]:
    """`consumer`, stopped in the end, which nothing may have ended before."""
    try:
        yield consumer
    finally:
        consumer.stop()
    assert consumer.error is None, consumer.error


def test_a_lost_answer_to_commit_counts_once(database: str, proxy: PostgresProxy, tmp_path: Path) -> None:
    """The consumer reads the position first: what happened is not done a second time, and what did not is."""
    journal = tmp_path / "journal.sqlite"
    consumer = ConsumerThread(JournalReader(journal), proxy.url)
    sent = make_events(30)
    append_events(journal, sent)
    wait_until_stored(database, [found.id for found in sent])
    for happens in (True, False, True):
        (proxy.lose_answer_of if happens else proxy.hold_at)(AtStep(None))
        sent += (more := make_events(30))
        append_events(journal, more)
        assert proxy.reached.wait(30)
        proxy.cut()
        wait_until_stored(database, [found.id for found in sent])
    consumer.stop()
    assert consumer.error is None
    assert consumer.worker.tally.fenced == 0
    with connect(database) as connection:
        assert number(connection, "SELECT sum(n)::int FROM ledger WHERE kind = 'counted'") == len(sent)
        assert number(connection, "SELECT count(*) FROM ledger WHERE kind = 'duplicate'") == 0
    assert_exactly_once(database, [found.id for found in sent])


def test_a_consumer_that_hangs_within_its_transaction_holds_nobody_up(database: str, tmp_path: Path) -> None:
    """PostgreSQL ends its session, so that its locks are free; continued, it does the batch again."""
    journal = tmp_path / "journal.sqlite"
    sent = make_events(30)
    append_events(journal, sent)
    environment = {"DATABASE_URL": database, "DATA_DIR": str(tmp_path)}
    with (
        Process("consumer", ["consumer"], environment, tmp_path) as consumer,
        connect(database) as connection,
    ):
        wait_until_stored(database, [found.id for found in sent])
        sent += (more := make_events(30))
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        held = (
            "SELECT count(*) FROM pg_locks WHERE relation = 'log_positions'::regclass AND mode LIKE 'RowEx%'"
        )
        with connect(database) as other, other.transaction():
            other.execute("SELECT FROM log_positions FOR UPDATE")
            append_events(journal, more)
            eventually(lambda: number(connection, waiting) > 0, 30, "the consumer to wait for the lock")
            consumer.pause()
        assert number(connection, held) > 0
        eventually(lambda: number(connection, held) == 0, 40, "PostgreSQL to end the session")
        consumer.resume()
        wait_until_stored(database, [found.id for found in sent])
        assert consumer.terminate() == 0
        assert "Traceback" not in consumer.output(), consumer.output()
    assert_exactly_once(database, [found.id for found in sent])


def test_a_connection_that_is_cut_slow_deaf_or_refused(
    database: str, proxy: PostgresProxy, tmp_path: Path
) -> None:
    journal = tmp_path / "journal.sqlite"
    consumer = ConsumerThread(JournalReader(journal), proxy.url)
    feeder = Feeder(journal)
    with connect(database) as connection:

        def goes_on() -> None:
            before = count_rows(connection)
            eventually(lambda: count_rows(connection) > before + 20, 60, "events to be counted again")

        goes_on()
        for _ in range(5):
            proxy.cut()
            time.sleep(0.1)
        goes_on()
        proxy.delay = 0.02
        goes_on()
        proxy.delay = 0.0
        proxy.deafen()
        eventually(lambda: len(feeder.ids) > count_rows(connection) + 30, 30, "a backlog")
        proxy.hear()
        goes_on()
        proxy.deafen()
        proxy.go_away()
        proxy.hear()
        eventually(lambda: len(feeder.ids) > count_rows(connection) + 30, 30, "a backlog")
        proxy.come_back()
        goes_on()
    feeder.stop()
    wait_until_stored(database, feeder.ids)
    consumer.stop()
    assert consumer.error is None
    assert_exactly_once(database, feeder.ids)


def test_a_postgresql_that_restarts_under_load(own_postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    """In order, and by kill -9 of all of its processes."""
    journal = tmp_path / "journal.sqlite"
    url = conninfo(own_postgres.dsn)
    with running(ConsumerThread(JournalReader(journal), url)) as consumer:
        feeder = Feeder(journal)
        for how in (signal.SIGINT, signal.SIGKILL):
            batches, sent = consumer.worker.tally.batches, len(feeder.ids)
            eventually(lambda: consumer.worker.tally.batches > batches, 30, "a batch")  # noqa: B023
            end_postgres(own_postgres, how)
            eventually(lambda: len(feeder.ids) > sent + 20, 30, "a backlog")  # noqa: B023
            own_postgres.start()
        feeder.stop()
        wait_until_stored(url, feeder.ids)
    assert_exactly_once(url, feeder.ids)


@pytest.fixture
def full_disk(own_postgres: EmbeddedPostgres) -> Iterator[Path]:
    """The server's tables on a file system of 96 MiB; where to write the ballast that fills it."""
    place = Path("/tmp") / f"pa-small-{os.getpid()}"
    place.mkdir(mode=0o755)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m,mode=0755", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        place.rmdir()
        pytest.skip("only root can mount a small disk")
    own_postgres.stop()
    tables = own_postgres.directory / "base"
    subprocess.run(["cp", "-a", str(tables), str(place)], check=True)
    tables.rename(own_postgres.directory / "base.before")
    tables.symlink_to(place / "base")
    own_postgres.start()
    yield place / "ballast"
    own_postgres.stop()
    subprocess.run(["umount", str(place)], check=True)
    place.rmdir()


def test_a_full_disk_is_waited_out(
    own_postgres: EmbeddedPostgres, full_disk: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, nothing is stored and no position moves; with room again everything is counted."""
    url = conninfo(own_postgres.dsn)
    journal = tmp_path / "journal.sqlite"
    sent = make_events(500)
    append_events(journal, sent)
    with running(ConsumerThread(JournalReader(journal), url)) as consumer, connect(url) as connection:
        wait_until_stored(url, [found.id for found in sent])
        fill(full_disk)
        sent += (more := make_events(4_000))
        append_events(journal, more)
        eventually(lambda: caplog.text.count("No space left on device") >= 3, 60, lambda: caplog.text)
        stored, position = count_rows(connection), number(connection, "SELECT next FROM log_positions")
        assert consumer.alive
        states: list[str] = []
        eventually(lambda: watch(states, connection, journal) == "waiting", 60, lambda: str(states))
        full_disk.unlink()
        # What still had room may be stored; never a position without its rows.
        assert stored == position < len(sent)
        wait_until_stored(url, [found.id for found in sent])
    assert_exactly_once(url, [found.id for found in sent])


def watch(states: list[str], connection: psycopg.Connection, journal: Path) -> str:
    """What health says of the consumers now; noted in `states`."""
    states.append(look(connection, JournalEnds(journal))[0].state)
    return states[-1]


def fill(ballast: Path) -> None:
    """Take what room there is."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 16)) == 1 << 16:
                pass
        except OSError:
            return
