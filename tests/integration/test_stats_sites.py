"""All sites side by side, over HTTP, with rows that the consumer stored."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portfolio_analytics.settings import Settings
from portfolio_analytics.shared.access import digest
from portfolio_analytics.shared.record import VISITOR_KNOWN
from portfolio_analytics.stats.reader import fetch
from portfolio_analytics.storage.database import connect
from portfolio_analytics.storage.sql import statement
from tests.integration.stats_client import AUTHORIZED, stats_client
from tests.integration.stats_history import Feeder, Site, at, record

ALPHA = Site("alpha.example", "Asia/Kolkata")
BETA = Site("beta.example", "UTC")
EMPTY = Site("empty.example", "America/New_York")
METRICS = ("visitors", "visits", "pageviews")
MARCH = "2026-03-01,2026-03-03"
READER, SENDER, LINK = "a-reader-of-beta", "a-sender-of-beta", "a-link-to-beta"

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@pytest.fixture
def feeder(database: str) -> Iterator[Feeder]:
    feeder = Feeder(database)
    for site in (ALPHA, BETA, EMPTY):
        feeder.add_site(site)
    yield feeder
    feeder.close()


@pytest.fixture
def history(feeder: Feeder) -> None:
    """At alpha two visitors on its 2 March, one before it; at beta three on 2 March, one of them known."""
    noon = at("2026-03-02T12:00:00")
    feeder.feed(
        [
            record(ALPHA.name, noon, visitor=1),
            record(ALPHA.name, noon + MINUTE, visitor=1, page="/more"),
            record(ALPHA.name, noon, visitor=2),
            # 23:30 of the day before in Kolkata.
            record(ALPHA.name, at("2026-03-01T18:00:00"), visitor=3),
            *(record(BETA.name, noon + hour * HOUR, visitor=hour) for hour in (1, 2, 3)),
            # The same person on two days.
            *(record(BETA.name, noon - day * DAY, visitor=9, flags=VISITOR_KNOWN) for day in (0, 1)),
            # In the period before.
            record(BETA.name, at("2026-02-27T12:00:00"), visitor=4),
        ]
    )


@pytest.fixture
async def client(database: str, history: None) -> AsyncIterator[httpx.AsyncClient]:
    async with stats_client(database) as client:
        yield client


async def ask(client: httpx.AsyncClient, headers: Mapping[str, str] = AUTHORIZED, **given: str | int) -> Any:
    response = await client.get("/api/stats/sites", params=given, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


async def names(client: httpx.AsyncClient, **given: Any) -> list[str]:
    found = await ask(client, date_range=MARCH, **given)
    return [site["site"].removesuffix(".example") for site in found["results"]]


async def test_an_answer(client: httpx.AsyncClient) -> None:
    found = await ask(client, date_range=MARCH)
    assert found == {
        "results": [
            {
                "site": "beta.example",
                "time_zone": "UTC",
                "date_range": ["2026-03-01T00:00:00+00:00", "2026-03-03T23:59:59+00:00"],
                "metrics": {"visitors": 4, "visits": 5, "pageviews": 5},
                "comparison": {
                    "metrics": {"visitors": 1, "visits": 1, "pageviews": 1},
                    "change": {"visitors": 300, "visits": 400, "pageviews": 400},
                },
                "time_unit": "day",
                "series": [1, 4, 0],
                "visitors_now": 0,
            },
            {
                "site": "alpha.example",
                "time_zone": "Asia/Kolkata",
                "date_range": ["2026-03-01T00:00:00+05:30", "2026-03-03T23:59:59+05:30"],
                "metrics": {"visitors": 3, "visits": 3, "pageviews": 4},
                "comparison": {
                    "metrics": {"visitors": 0, "visits": 0, "pageviews": 0},
                    "change": {"visitors": 100, "visits": 100, "pageviews": 100},
                },
                "time_unit": "day",
                "series": [1, 2, 0],
                "visitors_now": 0,
            },
            {
                "site": "empty.example",
                "time_zone": "America/New_York",
                "date_range": ["2026-03-01T00:00:00-05:00", "2026-03-03T23:59:59-05:00"],
                "metrics": {"visitors": 0, "visits": 0, "pageviews": 0},
                "comparison": {
                    "metrics": {"visitors": 0, "visits": 0, "pageviews": 0},
                    "change": {"visitors": 0, "visits": 0, "pageviews": 0},
                },
                "time_unit": "day",
                "series": [0, 0, 0],
                "visitors_now": 0,
            },
        ],
        "meta": {"total_rows": 3, "metric_warnings": found["meta"]["metric_warnings"]},
    }
    assert found["meta"]["metric_warnings"]["visitors"]["code"] == "sum_of_daily_uniques"


async def test_one_day_is_by_hour_and_needs_no_warning(client: httpx.AsyncClient) -> None:
    found = await ask(client, date_range="2026-03-02,2026-03-02")
    assert found["meta"] == {"total_rows": 3}
    beta, alpha, _ = found["results"]
    assert (alpha["time_unit"], len(alpha["series"])) == ("hour", 24)
    assert [(hour, n) for hour, n in enumerate(alpha["series"]) if n] == [(17, 2)]
    assert [(hour, n) for hour, n in enumerate(beta["series"]) if n] == [(12, 1), (13, 1), (14, 1), (15, 1)]


async def test_hours_of_rows_that_were_dropped_are_not_told(client: httpx.AsyncClient, database: str) -> None:
    async with stats_client(database, Settings(retention_days=30)) as brief:
        day = await ask(brief, date_range="2026-03-02,2026-03-02")
        assert [site["series"] for site in day["results"]] == [[], [], []]
        assert [site["metrics"]["visitors"] for site in day["results"]] == [4, 2, 0]
        days = await ask(brief, date_range=MARCH)
        assert days["results"][1]["series"] == [1, 2, 0]


async def test_a_visit_of_days_is_there_on_the_last_of_them(
    client: httpx.AsyncClient, feeder: Feeder
) -> None:
    start = at("2026-04-01T00:00:00")
    for number in range(0, 220, 20):  # to the fifth day, 10:01
        feeder.feed(
            [
                record(BETA.name, start + step * 29 * MINUTE, visitor=9, flags=VISITOR_KNOWN)
                for step in range(number, number + 20)
            ]
        )
    found = (await ask(client, date_range="2026-04-05,2026-04-06"))["results"][0]
    assert (found["metrics"]["visitors"], found["metrics"]["visits"]) == (1, 0)
    assert found["series"] == [1] * 10 + [0] * 38


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["beta", "alpha", "empty"]),
        ({"order": "visitors"}, ["empty", "alpha", "beta"]),
        ({"order": "-pageviews"}, ["beta", "alpha", "empty"]),
        ({"order": "name"}, ["alpha", "beta", "empty"]),
        ({"order": "-name"}, ["empty", "beta", "alpha"]),
        ({"order": "name", "limit": 1, "offset": 1}, ["beta"]),
        ({"offset": 3}, []),
        ({"search": "BETA"}, ["beta"]),
        ({"search": ".exam", "limit": 2}, ["beta", "alpha"]),
        ({"search": "%"}, []),
        ({"search": "a_pha"}, []),
    ],
)
async def test_order_search_and_pages(
    client: httpx.AsyncClient, given: dict[str, Any], expected: list[str]
) -> None:
    assert await names(client, **given) == expected


async def test_the_total_is_that_of_the_search(client: httpx.AsyncClient) -> None:
    assert (await ask(client, limit=1))["meta"]["total_rows"] == 3
    assert (await ask(client, search="eta", limit=1, offset=1))["meta"]["total_rows"] == 1


async def test_everything_begins_with_the_first_day_of_each_site(client: httpx.AsyncClient) -> None:
    found = {site["site"]: site for site in (await ask(client, date_range="all"))["results"]}
    assert found["beta.example"]["date_range"][0] == "2026-02-27T00:00:00+00:00"
    assert found["alpha.example"]["date_range"][0] == "2026-03-01T00:00:00+05:30"
    assert found["beta.example"]["metrics"] == {"visitors": 5, "visits": 6, "pageviews": 6}


async def test_who_is_there_now(client: httpx.AsyncClient, feeder: Feeder) -> None:
    now = int(datetime.now(UTC).timestamp() * 1000)
    feeder.feed(
        [
            *(record(ALPHA.name, now - MINUTE, visitor=visitor) for visitor in (1, 1, 2)),
            record(BETA.name, now - 10 * MINUTE, visitor=3),
        ]
    )
    found = {site["site"]: site["visitors_now"] for site in (await ask(client))["results"]}
    assert found == {"alpha.example": 2, "beta.example": 0, "empty.example": 0}


async def test_one_sees_what_one_may_read(client: httpx.AsyncClient, feeder: Feeder) -> None:
    for name, secret, scope in (("reader", READER, "read"), ("sender", SENDER, "ingest")):
        feeder.connection.execute(
            "INSERT INTO tokens (site_id, name, hash, scopes)"
            " SELECT site_id, %s, %s, ARRAY[%s] FROM sites WHERE name = %s",
            [name, digest(secret), scope, BETA.name],
        )
    feeder.connection.execute(
        "INSERT INTO public_links (site_id, name, hash)"
        " SELECT site_id, 'link', %s FROM sites WHERE name = %s",
        [digest(LINK), BETA.name],
    )
    senders: list[tuple[dict[str, str], dict[str, str]]] = [
        ({"Authorization": f"Bearer {READER}"}, {}),
        ({}, {"share": LINK}),
    ]
    for headers, link in senders:
        own = await ask(client, headers, date_range=MARCH, **link)
        assert [site["site"] for site in own["results"]] == ["beta.example"]
        assert own["meta"]["total_rows"] == 1
        other = await ask(client, headers, search="alpha", **link)
        assert (other["results"], other["meta"]) == ([], {"total_rows": 0})
    nothing = await ask(client, {"Authorization": f"Bearer {SENDER}"})
    assert nothing == {"results": [], "meta": {"total_rows": 0}}
    for stranger in ({}, {"Authorization": "Bearer nobody"}):
        response = await client.get("/api/stats/sites", params={"order": "wrong"}, headers=stranger)
        assert response.status_code == 401


async def test_a_deleted_site_is_gone(client: httpx.AsyncClient, feeder: Feeder) -> None:
    feeder.connection.execute("UPDATE sites SET deleted_at = now() WHERE name = 'alpha.example'")
    assert await names(client) == ["beta", "empty"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("date_range", "fortnight"),
        ("date_range", ""),
        ("date_range", "2026-03-02,2026-03-01"),
        ("date_range", "2026-03-01,2026-03-02,2026-03-03"),
        ("date_range", "2026-03-01T00:00:00Z,2026-03-02T00:00:00Z"),
        ("order", "bounce_rate"),
        ("order", "--name"),
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "ten"),
        ("offset", "-1"),
        ("search", "a\x00b"),
        ("search", "x" * 3000),
    ],
)
async def test_wrong_parameters(client: httpx.AsyncClient, field: str, value: str) -> None:
    response = await client.get("/api/stats/sites", params={field: value}, headers=AUTHORIZED)
    assert response.status_code == 400
    wrong = response.json()
    assert (wrong["error"], wrong["field"].partition("[")[0]) == ("invalid_query", field)


# The same as each site's own query


ZONES = (
    ("UTC", "2026-03-01T00:00:00+00:00"),
    ("Asia/Kathmandu", "2026-03-01T00:00:00+05:45"),
    ("America/New_York", "2026-03-08T00:00:00-05:00"),
    ("Australia/Lord_Howe", "2026-04-05T00:00:00+11:00"),
)
_names = itertools.count()


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """Events as (visitor, flags, time after a midnight), in visits of up to some days around it."""
    events = []
    for visitor in range(1, draw(st.integers(0, 4)) + 1):
        flags = draw(st.sampled_from((0, VISITOR_KNOWN)))
        time = draw(st.integers(-2, 1)) * DAY - draw(st.sampled_from((0, 1, MINUTE, 90 * MINUTE, 20 * HOUR)))
        for _ in range(draw(st.integers(1, 6))):
            events.append((visitor, flags, time))
            time += draw(
                st.sampled_from((0, MINUTE, 29 * MINUTE, 31 * MINUTE, 5 * HOUR, 23 * HOUR, 40 * DAY))
            )
    return events


def test_the_numbers_are_those_of_each_sites_own_query(database: str) -> None:
    feeder = Feeder(database)

    async def compare(sites: list[Site], date_range: str) -> None:
        async with stats_client(database) as client:
            found = {site["site"]: site for site in (await ask(client, date_range=date_range))["results"]}
            for site in sites:
                mine = found[site.name]
                question = {
                    "site_id": site.name,
                    "date_range": date_range.split(",") if "," in date_range else date_range,
                    "metrics": list(METRICS),
                }
                whole = await query(
                    client, {**question, "include": {"comparisons": {"mode": "previous_period"}}}
                )
                (row,) = whole["results"]
                assert list(mine["metrics"].values()) == row["metrics"]
                assert list(mine["comparison"]["metrics"].values()) == row["comparison"]["metrics"]
                assert list(mine["comparison"]["change"].values()) == row["comparison"]["change"]
                assert mine["date_range"] == whole["query"]["date_range"]
                by_time = await query(
                    client,
                    {
                        **question,
                        "metrics": ["visitors"],
                        "dimensions": ["time"],
                        "include": {"time_labels": True},
                    },
                )
                points = {row["dimensions"][0]: row["metrics"][0] for row in by_time["results"]}
                labels = by_time["meta"]["time_labels"]
                assert mine["series"] == [points.get(label, 0) for label in labels]

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def equal(data: st.DataObject) -> None:
        sites, days = [], []
        for _ in range(2):
            zone, midnight = data.draw(st.sampled_from(ZONES))
            site = Site(f"{next(_names)}.example", zone)
            sites.append(site)
            feeder.add_site(site)
            start = at(midnight)
            events = [
                record(site.name, start + time, visitor=visitor, flags=flags)
                for visitor, flags, time in data.draw(histories())
            ]
            days += [datetime.fromtimestamp(event.time / 1000, UTC).date() for event in events]
            half = data.draw(st.integers(0, len(events)))
            feeder.feed(events[:half], 0)
            if data.draw(st.booleans()):
                feeder.close_months()
            feeder.feed(events[half:], 1)
        first = data.draw(st.sampled_from(days)) if days else date(2026, 3, 1)
        last = first + timedelta(data.draw(st.sampled_from((0, 0, 1, 2, 13, 45, 120, 400))))
        spans = [f"{first},{last}", f"{first.replace(day=1)},{last}", "all"]
        asyncio.run(compare(sites, data.draw(st.sampled_from(spans))))

    equal()
    feeder.close()


async def query(client: httpx.AsyncClient, body: dict[str, Any]) -> Any:
    response = await client.post("/api/v2/query", json=body, headers=AUTHORIZED)
    assert response.status_code == 200, response.text
    return response.json()


# How it is read


def test_each_span_is_a_look_up_in_the_primary_key(database: str) -> None:
    """Also where a scan would seem cheap: an estimate of a thousand sites is always far off."""
    params = {
        "keys": [0, 1], "site_ids": [1, 2], "monthly": [False, True], "by_day": False,
        "lows": [date(2026, 3, 1)] * 2, "highs": [date(2026, 3, 31)] * 2,
    }  # fmt: skip
    with connect(database) as connection, connection.transaction():
        connection.execute(
            "INSERT INTO rollups (duration_ms, engaged_ms, site_id, day, visitors, known_visitors, visits,"
            " bounces, pageviews, events, scroll_sum, scroll_visits, dimension, slot, value)"
            " SELECT 0, 0, site, '2026-01-01'::date + day, 1, 0, 1, 0, 1, 1, 0, 0, dimension, 0, 'value'"
            " FROM generate_series(1, 50) site, generate_series(0, 99) day, generate_series(0, 9) dimension"
        )
        connection.execute("ANALYZE rollups")
        plan = connection.execute(f"EXPLAIN {statement('stats_spans')}".encode(), params).fetchall()
    lines = [line for (line,) in plan]
    assert any("using rollups_pkey" in line for line in lines), lines
    assert any("using rollup_months_pkey" in line for line in lines), lines
    assert not any("Seq Scan" in line for line in lines), lines


async def test_more_sites_ask_no_more_statements(
    client: httpx.AsyncClient, feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def counted(cursor: Any, text: Any, params: Any) -> Any:
        asked.append(text)
        return await fetch(cursor, text, params)

    monkeypatch.setattr("portfolio_analytics.stats.portfolio_face.fetch", counted)
    await ask(client, date_range=MARCH)
    few = len(asked)
    for number in range(30):
        feeder.add_site(Site(f"more{number}.example", "Asia/Tokyo"))
    asked.clear()
    found = await ask(client, date_range=MARCH)
    assert (found["meta"]["total_rows"], len(asked)) == (33, few)
