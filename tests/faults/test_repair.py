"""What was changed by hand is found and mended while events come in, and no reader sees it half done."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path

import psycopg
import pytest

from portfolio_analytics.storage.database import connect
from tests.faults.load import Load
from tests.faults.pipeline import ADMIN_TOKEN, count_rows, wait_until_stored
from tests.faults.process import Process, Server, run_command
from tests.faults.reader import Reader, Seen
from tests.oracle import assert_exactly_once, stored_ids
from tests.ports import free_port

RATE = 1_000.0
BATCH = 25
TOO_MANY = 1_000_000

A_CELL = f"""
UPDATE rollups SET pageviews = pageviews + {TOO_MANY} WHERE dimension = 0
    AND (site_id, day, value, slot) = (
        SELECT r.site_id, r.day, r.value, r.slot FROM rollups r JOIN sites s USING (site_id)
        WHERE r.dimension = 0 AND s.name = 'example.com' LIMIT 1)"""
A_ROW_GONE = """
DELETE FROM events WHERE event_id = (
    SELECT event_id FROM events WHERE type = 'page_view' ORDER BY event_id LIMIT 1)
RETURNING event_id, actor"""
A_ROW_ADDED = """
INSERT INTO events (event_id, time, accepted_at, actor, visitor, page_id, client_id, log_offset, site_id, day,
    log_partition, flags, type)
SELECT gen_random_uuid(), time, accepted_at, actor, visitor, page_id, client_id, log_offset, site_id, day,
    log_partition, flags, type
FROM events WHERE type = 'page_view' AND actor <> %s LIMIT 1
RETURNING event_id, actor"""


class Service:
    """A producer and a consumer over a journal, and the commands beside them."""

    def __init__(self, url: str, folder: Path) -> None:
        self.environment = {
            "DATABASE_URL": url,
            "DATA_DIR": str(folder),
            "ADMIN_TOKEN": ADMIN_TOKEN,
            "RATE_LIMIT_ADDRESS": "0",
            "WORKERS": "1",
        }
        self.producer = Server("producer", ["producer"], self.environment, folder, free_port())
        self.consumer = Process("consumer", ["consumer"], self.environment, folder)

    def command(self, *arguments: str) -> tuple[int, str]:
        """A command's exit status and what it printed."""
        return run_command(arguments, self.environment)


@pytest.fixture
def service(database: str, tmp_path: Path) -> Iterator[Service]:
    found = Service(database, tmp_path)
    try:
        Process.start(found.consumer)
        found.producer.start()
        yield found
    finally:
        found.producer.end()
        found.consumer.end()


@pytest.mark.soak
def test_found_and_mended_under_load(service: Service, database: str) -> None:
    with connect(database) as connection, Load([service.producer.port], rate=RATE, batch=BATCH) as load:
        load.grow(3_000)
        wait_until_stored(database, list(load.acknowledged)[:100])
        with Reader(load.balancer, service.producer.port) as reader:
            reader.read_more()
            assert service.command("verify")[0] == 0

            with connection.transaction():
                assert connection.execute(A_CELL.encode()).rowcount == 1
                gone, poorer = one(connection, A_ROW_GONE)
                added, richer = one(connection, A_ROW_ADDED, poorer)
            reader.read_more()
            status, text = service.command("verify")
            assert status == 1
            for sentence in (
                "pageviews 1",
                f"the visit of {poorer} ",
                f"the visit of {richer} ",
            ):
                assert sentence in text, text

            status, text = read_on(reader, load, service, "rebuild")
            assert (status, "differences were mended" in text) == (0, True), text
            assert service.command("verify")[0] == 0

            status, text = read_on(reader, load, service, "replay")
            assert status == 0, text
            assert gone in set(stored_ids(connection))
            assert service.command("verify")[0] == 0

            # The log knows nothing of the row that was added: who added it takes it away.
            connection.execute("DELETE FROM events WHERE event_id = %s", [added])
            assert service.command("verify")[0] == 1
            assert service.command("rebuild")[0] == 0
            reader.read_more()
    wait_until_stored(database, load.acknowledged)
    with connect(database) as connection:
        assert count_rows(connection) == len(load.acknowledged)
    assert_exactly_once(database, load.acknowledged)
    assert load.unanswered == 0
    assert load.statuses.keys() == {201}
    assert not reader.failures
    assert_never_half_made(reader.seen)


def one(connection: psycopg.Connection, statement: str, *values: object) -> tuple[object, object]:
    """The one row that `statement` returns."""
    [row] = connection.execute(statement.encode(), values).fetchall()
    return row[0], row[1]


def read_on(reader: Reader, load: Load, service: Service, command: str) -> tuple[int, str]:
    """A command, under which events come in and numbers are read."""
    seen, acknowledged = len(reader.seen), len(load.acknowledged)
    done = service.command(command)
    assert len(reader.seen) - seen >= 3
    assert len(load.acknowledged) - acknowledged >= RATE / 2
    return done


def assert_never_half_made(readings: list[Seen]) -> None:
    """No number falls by more than was taken away by hand; each is right, or wrong as it was made."""
    for before, after in pairwise(readings):
        for name in ("total", "visits", "events"):
            assert getattr(after, name) >= getattr(before, name) - 2, (name, before, after)
    for seen in readings:
        assert seen.total == sum(seen.by_type.values())
        # Of four events of a stream two are page views.
        pageviews = seen.pageviews % TOO_MANY
        assert abs(pageviews - seen.events / 2) <= BATCH, seen
    wrong = [flag for flag, _ in groupby(seen.pageviews >= TOO_MANY for seen in readings)]
    assert wrong == [False, True, False]
