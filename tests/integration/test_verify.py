"""verify finds what was changed by hand, rebuild mends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from portfolio_analytics.cli import proof as commands
from portfolio_analytics.consumer.batch import make_batch
from portfolio_analytics.consumer.positions import claim
from portfolio_analytics.consumer.proof import rebuild as proof
from portfolio_analytics.consumer.proof.rebuild import rebuild
from portfolio_analytics.consumer.proof.verify import Report, verify
from portfolio_analytics.consumer.rollups.months import close_months
from portfolio_analytics.consumer.rollups.rollup import MEASURES
from portfolio_analytics.consumer.transaction import Store
from portfolio_analytics.consumer.visits.store import to_date
from portfolio_analytics.storage import sites, steps
from portfolio_analytics.storage.database import connect
from portfolio_analytics.storage.sites import SiteChange
from tests.records import DAY_MS, NOON, event, in_log

TOPIC = "topic"
MINUTE = 60_000


@pytest.fixture
def filled(database: str) -> Iterator[psycopg.Connection]:
    """A database with 200 events of 20 visitors over two days."""
    with connect(database) as connection:
        store = Store(connection, TOPIC)
        events = [
            event(
                visitor=number % 20,
                time=NOON + number * 9 * MINUTE,
                page=f"/{number % 7}",
                type="click" if number % 5 == 0 else "page_view",
            )
            for number in range(200)
        ]
        store.commit(make_batch(in_log(events), TOPIC), claim(connection, TOPIC, [0], "test"), NOON)
        close_months(connection, to_date(NOON // DAY_MS + 50))
        yield connection


HANDS = {
    "a rollup": "UPDATE rollups SET visits = visits + 1 WHERE dimension = 1 AND value = '/3'",
    "a rollup that is gone": "DELETE FROM rollups WHERE dimension = 16",
    "a rollup that came": "INSERT INTO rollups (site_id, dimension, day, value, slot, "
    f"{', '.join(MEASURES)}) SELECT site_id, dimension, day, value, slot, {', '.join(MEASURES)} "
    "FROM rollups LIMIT 1 "
    "ON CONFLICT (site_id, dimension, day, value, slot) DO UPDATE SET events = rollups.events + 5",
    "a month": "UPDATE rollup_months SET visitors = visitors - 1 WHERE dimension = 0",
    "a total": "UPDATE event_totals SET n = n + 1 WHERE type = 'click'",
    "a visit": "UPDATE visits SET pageviews = pageviews + 1 WHERE visitor = 4",
    "a visit that is gone": "DELETE FROM visits WHERE visitor = 4",
    "a row that is gone": "DELETE FROM events WHERE visitor = 4 AND type = 'page_view'",
    "a row that came": "INSERT INTO events (event_id, time, accepted_at, actor, visitor, page_id, client_id, "
    "log_offset, site_id, day, log_partition, flags, type) "
    "SELECT gen_random_uuid(), time, accepted_at, actor, visitor, page_id, client_id, log_offset, site_id, "
    "day, log_partition, flags, type "
    "FROM events WHERE visitor = 4 LIMIT 1",
}


@pytest.mark.parametrize("hand", HANDS)
def test_verify_finds_and_rebuild_mends(filled: psycopg.Connection, database: str, hand: str) -> None:
    assert verify(filled).clean
    assert filled.execute(HANDS[hand].encode()).rowcount
    report = verify(filled)
    assert report.differences > 0
    assert len(list(report.sentences({}))) == report.differences
    with connect(database) as writer:
        rebuild(filled, Store(writer, TOPIC))
    assert verify(filled).clean


def test_a_new_time_zone_is_a_rebuild(filled: psycopg.Connection, database: str) -> None:
    filled.execute("UPDATE sites SET time_zone = 'Asia/Kathmandu'")
    before = filled.execute("SELECT day, visits FROM rollups WHERE dimension = 0 ORDER BY 1").fetchall()
    assert not verify(filled).clean
    with connect(database) as writer:
        rebuild(filled, Store(writer, TOPIC))
    assert verify(filled).clean
    after = filled.execute("SELECT day, visits FROM rollups WHERE dimension = 0 ORDER BY 1").fetchall()
    assert before != after
    assert sum(visits for _, visits in before) == sum(visits for _, visits in after)


def test_a_time_zone_that_changes_during_a_rebuild_wants_another_one(
    filled: psycopg.Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def set_zone(name: str) -> None:
        steps.run(filled, sites.change("example.com", SiteChange(time_zone=name), "test"))

    def slowly(*arguments: Any) -> Report:
        report = rebuild(*arguments)
        if not steps.run(filled, sites.find("example.com")).time_zone.startswith("Asia"):
            set_zone("Asia/Tokyo")
        return report

    monkeypatch.setattr(proof, "rebuild", slowly)
    monkeypatch.setenv("DATABASE_URL", database)
    set_zone("America/New_York")
    with suppress(SystemExit):  # the check at its end may find days of the new zone
        commands.rebuild()
    assert steps.run(filled, sites.find("example.com")).rebuild_wanted
    commands.rebuild()
    assert not steps.run(filled, sites.find("example.com")).rebuild_wanted
    assert verify(filled).clean
