"""Sites in a real database: names, settings, and what reset and delete leave behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from portfolio_analytics.consumer.site import Site, find_sites, lock_sites
from portfolio_analytics.shared.access import digest
from portfolio_analytics.shared.errors import InvalidValue, NameTaken, UnknownName
from portfolio_analytics.storage import audit, funnels, goals, public_links, sites, tokens
from portfolio_analytics.storage.sites import SiteChange
from portfolio_analytics.storage.steps import Steps, run

WHO = audit.COMMAND_LINE
FUNNEL = funnels.Funnel("Sale", [funnels.Step(page_pattern="/*"), funnels.Step(event_type="paid")])
KEPT = {"suppressions", "sites"}  # tables with a site_id that a reset does not empty, but moves or keeps
MOVED = {"goals", "funnels", "public_links", "site_aliases", "tokens", "audit_log"}


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def fill(connection: psycopg.Connection[Any], site_id: int) -> None:
    """One row of everything a site's events leave behind, so that a reset has something to miss."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS events_all PARTITION OF events DEFAULT;"
        "CREATE TABLE IF NOT EXISTS visits_all PARTITION OF visits DEFAULT"
    )
    for table in emptied(connection):
        columns = connection.execute(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_name = %s AND table_schema = 'analytics' AND is_nullable = 'NO' "
            "AND is_identity = 'NO'",
            [table],
        ).fetchall()
        values = {name: site_id if name == "site_id" else SAMPLES[kind] for name, kind in columns}
        names = ", ".join(values)
        marks = ", ".join(f"%({name})s" for name in values)
        connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING".encode(), values
        )


SAMPLES: dict[str, Any] = {
    "uuid": "0190163d-8694-739b-aea5-966c26f8ad91",
    "timestamp with time zone": "2026-01-01T00:00:00Z",
    "bigint": 1,
    "integer": 1,
    "smallint": 1,
    "date": "2026-01-01",
    "text": "x",
    "boolean": True,
    "bytea": b"x",
}


def emptied(connection: psycopg.Connection[Any]) -> set[str]:
    """Every table with a site_id, but for those that belong to the site itself."""
    rows = connection.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = 'analytics' AND a.attname = 'site_id' AND c.relkind IN ('r', 'p') "
        "AND NOT c.relispartition"
    ).fetchall()
    return {name for (name,) in rows} - KEPT - MOVED


def state_of(connection: psycopg.Connection[Any], name: str) -> Site:
    """What a consumer finds when a record names the site so."""
    site_id = find_sites(connection, [name])[name]
    with connection.transaction(), connection.cursor() as cursor:
        return lock_sites(cursor, [site_id])[site_id]


def count(connection: psycopg.Connection[Any], table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row
    return int(row[0])


def test_add_list_find(connection: psycopg.Connection[Any]) -> None:
    added = run(connection, sites.add(" Example.COM ", "Europe/Berlin", WHO))
    assert (added.name, added.time_zone, added.rebuild_wanted) == ("example.com", "Europe/Berlin", False)
    assert run(connection, sites.find("EXAMPLE.com")) == added
    assert run(connection, sites.list_all()) == [added]


def test_names_that_are_none(connection: psycopg.Connection[Any], subtests: pytest.Subtests) -> None:
    for name in ("", " ", "a b", "a/b", "a?b", "a#b", "a*b", "a,b", "a\0b", "a\nb", "x" * 254):
        with subtests.test(name), pytest.raises(InvalidValue):
            run(connection, sites.add(name, "UTC", WHO))
    assert run(connection, sites.list_all()) == []


def test_time_zones_that_are_none(connection: psycopg.Connection[Any], subtests: pytest.Subtests) -> None:
    for zone in ("", "Mars/Olympus", "../etc/passwd", "Europe", "a\0b", "UTC\n", "/etc/localtime"):
        with subtests.test(zone), pytest.raises(InvalidValue) as caught:
            run(connection, sites.add("example.com", zone, WHO))
        assert caught.value.field == "time_zone"
    assert run(connection, sites.list_all()) == []


def test_a_renamed_site_answers_to_its_former_name(connection: psycopg.Connection[Any]) -> None:
    run(connection, sites.add("old.example", "UTC", WHO))
    run(connection, sites.add("other.example", "UTC", WHO))
    renamed = run(connection, sites.rename("old.example", "new.example", WHO))
    assert (renamed.name, renamed.aliases) == ("new.example", ["old.example"])
    known = find_sites(connection, ["old.example", "new.example", "other.example"])
    assert known["old.example"] == known["new.example"] != known["other.example"]
    for taken in ("old.example", "new.example"):
        with pytest.raises(NameTaken):
            run(connection, sites.add(taken, "UTC", WHO))
        with pytest.raises(NameTaken):
            run(connection, sites.rename("other.example", taken, WHO))
    back = run(connection, sites.rename("new.example", "old.example", WHO))
    assert (back.name, back.aliases) == ("old.example", ["new.example"])


def test_settings_change_one_by_one(connection: psycopg.Connection[Any]) -> None:
    run(connection, sites.add("example.com", "UTC", WHO))
    change = SiteChange(excluded_addresses=["192.0.2.7", " 2001:db8::/32 "], host_names=["WWW.Example.com"])
    changed = run(connection, sites.change("example.com", change, WHO))
    assert changed.excluded_addresses == ["192.0.2.7", "2001:db8::/32"]
    assert changed.host_names == ["www.example.com"]
    changed = run(connection, sites.change("example.com", SiteChange(excluded_paths=["/admin/*"]), WHO))
    assert changed.excluded_addresses == ["192.0.2.7", "2001:db8::/32"]
    assert changed.excluded_paths == ["/admin/*"]
    changed = run(connection, sites.change("example.com", SiteChange(excluded_addresses=[]), WHO))
    assert changed.excluded_addresses == []


REFUSED = [
    (SiteChange(excluded_addresses=["192.0.2.300"]), "excluded_addresses"),
    (SiteChange(excluded_addresses=["localhost"]), "excluded_addresses"),
    (SiteChange(excluded_addresses=["10.0.0.1"] * (sites.MAX_ENTRIES + 1)), "excluded_addresses"),
    (SiteChange(excluded_paths=["admin"]), "excluded_paths"),
    (SiteChange(excluded_paths=["/a\0b"]), "excluded_paths"),
    (SiteChange(excluded_paths=["/" + "x" * sites.MAX_PATTERN]), "excluded_paths"),
    (SiteChange(host_names=["a b"]), "host_names"),
    (SiteChange(time_zone="Nowhere"), "time_zone"),
]


def test_settings_that_are_refused(connection: psycopg.Connection[Any], subtests: pytest.Subtests) -> None:
    before = run(connection, sites.add("example.com", "UTC", WHO))
    for change, field in REFUSED:
        with subtests.test(change=change), pytest.raises(InvalidValue) as caught:
            run(connection, sites.change("example.com", change, WHO))
        assert caught.value.field == field
    assert run(connection, sites.find("example.com")) == before


def test_another_time_zone_wants_a_rebuild_only_where_something_was_counted(
    connection: psycopg.Connection[Any],
) -> None:
    run(connection, sites.add("example.com", "UTC", WHO))
    berlin = SiteChange(time_zone="Europe/Berlin")
    assert not run(connection, sites.change("example.com", berlin, WHO)).rebuild_wanted
    fill(connection, run(connection, sites.site_id_of("example.com")))
    assert not run(connection, sites.change("example.com", berlin, WHO)).rebuild_wanted
    assert run(connection, sites.change("example.com", SiteChange(time_zone="UTC"), WHO)).rebuild_wanted
    run(connection, sites.rebuilt("example.com"))
    assert not run(connection, sites.find("example.com")).rebuild_wanted


def test_reset_empties_one_site_and_keeps_what_belongs_to_it(connection: psycopg.Connection[Any]) -> None:
    for name in ("example.com", "other.example"):
        run(connection, sites.add(name, "UTC", WHO))
    old_id = run(connection, sites.site_id_of("example.com"))
    other_id = run(connection, sites.site_id_of("other.example"))
    fill(connection, old_id)
    fill(connection, other_id)
    connection.execute("INSERT INTO suppressions (site_id, key, until) VALUES (%s, 7, now())", [old_id])
    run(connection, goals.create("example.com", goals.Goal("Signup", event_type="signup"), WHO))
    run(connection, funnels.create("example.com", FUNNEL, WHO))
    run(connection, tokens.create("reader", ["read"], "example.com", WHO))
    run(connection, public_links.create("example.com", "board", WHO))

    run(connection, sites.reset("example.com", WHO))

    new_id = run(connection, sites.site_id_of("example.com"))
    assert new_id != old_id
    for table in emptied(connection):
        rows = connection.execute(f"SELECT site_id FROM {table}".encode()).fetchall()
        assert rows == [(other_id,)], table
    assert connection.execute("SELECT site_id, key FROM suppressions").fetchall() == [(new_id, 7)]
    assert [goal.name for goal in run(connection, goals.list_all("example.com"))] == ["Signup"]
    assert run(connection, funnels.list_all("example.com")) == [FUNNEL]
    assert [link.name for link in run(connection, public_links.list_all("example.com"))] == ["board"]
    assert run(connection, tokens.find("reader")).site == "example.com"
    assert [entry.action for entry in run(connection, audit.entries("example.com"))] == [
        "site.reset",
        "link.create",
        "token.create",
        "funnel.create",
        "goal.create",
        "site.add",
    ]
    state = state_of(connection, "example.com")
    assert (state.site_id, state.deleted) == (new_id, False)
    assert state.counts_from is not None


def test_a_deleted_site_keeps_its_name_from_a_backlog(connection: psycopg.Connection[Any]) -> None:
    run(connection, sites.add("first.example", "UTC", WHO))
    run(connection, sites.rename("first.example", "example.com", WHO))
    old_id = run(connection, sites.site_id_of("example.com"))
    fill(connection, old_id)
    _, secret = run(connection, tokens.create("reader", ["read"], "example.com", WHO))
    run(connection, public_links.create("example.com", "board", WHO))
    run(connection, funnels.create("example.com", FUNNEL, WHO))
    connection.execute("INSERT INTO suppressions (site_id, key, until) VALUES (%s, 7, now())", [old_id])

    run(connection, sites.delete("example.com", WHO))

    for table in (*emptied(connection), "goals", "funnels", "public_links"):
        assert count(connection, table) == 0, table
    assert run(connection, sites.list_all()) == []
    with pytest.raises(UnknownName):
        run(connection, sites.find("first.example"))
    assert run(connection, tokens.lookup(digest(secret.reveal()))) is None
    for name in ("first.example", "example.com"):
        assert state_of(connection, name).deleted, name

    revived = run(connection, sites.add("example.com", "Asia/Tokyo", WHO))
    assert (revived.time_zone, revived.aliases) == ("Asia/Tokyo", ["first.example"])
    state = state_of(connection, "first.example")
    assert not state.deleted
    assert state.counts_from is not None
    assert state.site_id != old_id
    assert connection.execute("SELECT site_id FROM suppressions").fetchall() == [(state.site_id,)]


@pytest.mark.parametrize("act", [sites.reset, sites.delete])
def test_reset_waits_for_a_consumer_at_work(
    connection: psycopg.Connection[Any], database: str, act: Any
) -> None:
    """What a consumer wrote under LOCK_FOR_RECORDS is seen, and taken away, by the act that came second."""
    run(connection, sites.add("example.com", "UTC", WHO))
    site_id = run(connection, sites.site_id_of("example.com"))

    def end_it() -> None:
        with psycopg.connect(database, autocommit=True) as other:
            run(other, act("example.com", WHO))

    with psycopg.connect(database) as consumer, ThreadPoolExecutor(1) as pool:
        assert consumer.execute(sites.LOCK_FOR_RECORDS, {"site_ids": [site_id]}).fetchall()
        ended = pool.submit(end_it)
        while not connection.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
            assert not ended.done()
        consumer.execute("INSERT INTO pages VALUES (%s, 1, '/')", [site_id])
        consumer.commit()
        ended.result(30)
        assert count(connection, "pages") == 0
        after = consumer.execute(sites.LOCK_FOR_RECORDS, {"site_ids": [site_id]}).fetchall()
        assert after == [] if act is sites.reset else after[0][4] is not None


def test_policies_cover_former_and_deleted_names(connection: psycopg.Connection[Any]) -> None:
    run(connection, sites.add("a.example", "UTC", WHO))
    run(connection, sites.rename("a.example", "b.example", WHO))
    run(connection, sites.change("b.example", SiteChange(excluded_paths=["/x"]), WHO))
    run(connection, sites.add("gone.example", "UTC", WHO))
    run(connection, sites.delete("gone.example", WHO))
    found = {policy.name: policy for policy in run(connection, sites.policies())}
    assert {name: (policy.site, policy.excluded_paths, policy.deleted) for name, policy in found.items()} == {
        "a.example": ("b.example", ["/x"], False),
        "b.example": ("b.example", ["/x"], False),
        "gone.example": ("gone.example", [], True),
    }


ABSENT: list[Callable[[], Steps[Any]]] = [
    lambda: sites.rename("none.example", "b.example", WHO),
    lambda: sites.change("none.example", SiteChange(), WHO),
    lambda: sites.reset("none.example", WHO),
    lambda: sites.delete("none.example", WHO),
    lambda: goals.create("none.example", goals.Goal("g", event_type="e"), WHO),
    lambda: funnels.create("none.example", FUNNEL, WHO),
    lambda: funnels.change("none.example", "f", FUNNEL, WHO),
    lambda: funnels.list_all("none.example"),
    lambda: public_links.create("none.example", "x", WHO),
    lambda: tokens.create("t", ["read"], "none.example", WHO),
    lambda: tokens.revoke("none", WHO),
]


def test_what_is_not_there_is_named_and_nothing_is_noted(
    connection: psycopg.Connection[Any], subtests: pytest.Subtests
) -> None:
    for steps in ABSENT:
        with subtests.test(), pytest.raises(UnknownName):
            run(connection, steps())
    assert run(connection, audit.entries()) == []


def test_the_audit_log_holds_no_address(connection: psycopg.Connection[Any]) -> None:
    run(connection, sites.add("example.com", "UTC", WHO))
    run(connection, sites.change("example.com", SiteChange(excluded_addresses=["192.0.2.7"]), WHO))
    newest = run(connection, audit.entries())[0]
    assert (newest.actor, newest.action, newest.detail) == (WHO, "site.set", {"excluded_addresses": 1})
