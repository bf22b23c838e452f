"""Totals, receipts, the ledger, v1 and v2 over HTTP, with rows that the consumer stored."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from portfolio_analytics.settings import Settings
from portfolio_analytics.shared.access import digest
from portfolio_analytics.shared.log.journal_file import JournalFile
from portfolio_analytics.shared.log.spool import Spool
from portfolio_analytics.shared.record import AttestRecord, EventRecord, Target, encode_record
from tests.integration.reference_model import Goal
from tests.integration.stats_client import AUTHORIZED, stats_client
from tests.integration.stats_history import Feeder, Site, at, record

ONE = Site("one.example", "Asia/Kolkata", (Goal("Signup", "signup", None),))
TWO = Site("two.example", "UTC")
TOKEN_OF_TWO = "the-readers-token-of-two"


@pytest.fixture
def feeder(database: str) -> Iterator[Feeder]:
    feeder = Feeder(database)
    for site in (ONE, TWO):
        feeder.add_site(site)
    feeder.connection.execute(
        "INSERT INTO tokens (site_id, name, hash, scopes)"
        " SELECT site_id, 'reader', %s, '{read}' FROM sites WHERE name = 'two.example'",
        [digest(TOKEN_OF_TWO)],
    )
    yield feeder
    feeder.close()


@pytest.fixture
def history(feeder: Feeder) -> None:
    """Two visits on 2026-03-01 and one on 2026-03-02, at a site where days begin at 18:30 UTC."""
    morning, evening = at("2026-03-01T05:00:00"), at("2026-03-01T19:00:00")
    feeder.feed(
        [
            record(ONE.name, morning, page="/", visitor=1, referrer="https://www.google.com/", country="DE"),
            record(ONE.name, morning + 60_000, page="/buy", visitor=1, scroll_depth=40),
            record(ONE.name, morning + 90_000, page="/buy", visitor=1, type="signup", props={"plan": "pro"}),
            record(ONE.name, morning, page="/", visitor=2),
            record(ONE.name, evening, page="/", visitor=3),
            record(TWO.name, morning, page="/secret", visitor=9),
        ]
    )


@pytest.fixture
async def client(database: str, history: None) -> AsyncIterator[httpx.AsyncClient]:
    async with stats_client(database) as client:
        yield client


async def ask(client: httpx.AsyncClient, body: dict[str, Any], status: int = 200) -> Any:
    question = {"site_id": ONE.name, "date_range": ["2026-03-01", "2026-03-02"], **body}
    response = await client.post("/api/v2/query", json=question, headers=AUTHORIZED)
    assert response.status_code == status, response.text
    return response.json()


class TestTotals:
    async def test_all_sites(self, client: httpx.AsyncClient) -> None:
        response = await client.get("/api/stats")
        assert response.json() == {"total_events": 6, "events_by_type": {"page_view": 5, "signup": 1}}

    @pytest.mark.parametrize(
        ("parameters", "total"),
        [
            ({"site": "one.example"}, 5),
            ({"site": "ONE.example"}, 5),
            ({"site": "nobody.example"}, 0),
            ({"site": "one.example", "from": "2026-03-02"}, 1),
            ({"site": "one.example", "to": "2026-03-01"}, 4),
            ({"site": "one.example", "from": "2026-03-01T18:30:00Z"}, 1),
            ({"site": "one.example", "from": "2026-03-01", "to": "2026-03-02"}, 5),
            ({"from": "2027-01-01"}, 0),
        ],
    )
    async def test_by_site_and_local_day(
        self, client: httpx.AsyncClient, parameters: dict[str, str], total: int
    ) -> None:
        response = await client.get("/api/stats", params=parameters)
        assert response.status_code == 200, response.text
        assert response.json()["total_events"] == total

    @pytest.mark.parametrize(
        ("parameters", "field"),
        [
            ({"from": "yesterday"}, "from"),
            ({"to": "2026-02-30"}, "to"),
            ({"from": "2026-03-02", "to": "2026-03-01"}, "to"),
            ({"from": "2026-03-01T10:00:00"}, "from"),
            ({"site": "x" * 300}, "site"),
            ({"site": "a\x00b"}, "site"),
        ],
    )
    async def test_wrong_parameters(
        self, client: httpx.AsyncClient, parameters: dict[str, str], field: str
    ) -> None:
        response = await client.get("/api/stats", params=parameters)
        assert response.status_code == 400
        assert response.json()["field"] == field

    async def test_needs_a_token_where_it_is_not_public(self, database: str, history: None) -> None:
        async with stats_client(database, Settings(public_stats=False)) as client:
            for question in ("", "?from=yesterday", "?to=2026-02-30"):
                assert (await client.get(f"/api/stats{question}")).status_code == 401
            assert (await client.get("/api/stats", headers=AUTHORIZED)).json()["total_events"] == 6
            reader = {"Authorization": f"Bearer {TOKEN_OF_TWO}"}
            own = await client.get("/api/stats?site=two.example", headers=reader)
            assert own.json()["total_events"] == 1
            for other in ("/api/stats", "/api/stats?site=one.example", "/api/stats?site=nobody.example"):
                assert (await client.get(other, headers=reader)).status_code == 403


class TestQuery:
    async def test_an_answer(self, client: httpx.AsyncClient) -> None:
        found = await ask(
            client,
            {
                "metrics": ["visitors", "pageviews", "bounce_rate"],
                "dimensions": ["event:page"],
                "filters": [["is_not", "event:page", ["/nothing"]]],
                "order_by": [["pageviews", "asc"]],
                "include": {"total_rows": True, "imports": True},
                "pagination": {"limit": 1, "offset": 1},
            },
        )
        assert found == {
            "results": [{"dimensions": ["/"], "metrics": [3, 3, 67]}],
            "meta": {
                "source": "rollups",
                "imports_included": True,
                "total_rows": 2,
                "metric_warnings": {"visitors": found["meta"]["metric_warnings"]["visitors"]},
            },
            "query": {
                "site_id": "one.example",
                "metrics": ["visitors", "pageviews", "bounce_rate"],
                "date_range": ["2026-03-01T00:00:00+05:30", "2026-03-02T23:59:59+05:30"],
                "dimensions": ["event:page"],
                "filters": [["is_not", "event:page", ["/nothing"]]],
                "order_by": [["pageviews", "asc"]],
                "include": {"total_rows": True, "imports": True},
                "pagination": {"limit": 1, "offset": 1},
            },
        }
        assert found["meta"]["metric_warnings"]["visitors"]["code"] == "sum_of_daily_uniques"

    async def test_one_day_needs_no_warning(self, client: httpx.AsyncClient) -> None:
        found = await ask(client, {"metrics": ["visitors"], "date_range": ["2026-03-01", "2026-03-01"]})
        assert found["results"] == [{"dimensions": [], "metrics": [2]}]
        assert "metric_warnings" not in found["meta"]

    async def test_total_rows_beyond_the_last_page(self, client: httpx.AsyncClient) -> None:
        body = {"metrics": ["events"], "dimensions": ["event:page"], "include": {"total_rows": True}}
        found = await ask(client, {**body, "pagination": {"offset": 50}})
        assert found["results"] == []
        assert found["meta"]["total_rows"] == 2

    async def test_time_labels_and_comparison(self, client: httpx.AsyncClient) -> None:
        found = await ask(
            client,
            {
                "metrics": ["visitors", "bounce_rate"],
                "date_range": ["2026-03-02", "2026-03-02"],
                "dimensions": ["time:day"],
                "include": {"time_labels": True, "comparisons": {"mode": "previous_period"}},
            },
        )
        assert found["results"] == [
            {
                "dimensions": ["2026-03-02"],
                "metrics": [1, 100],
                "comparison": {"dimensions": ["2026-03-01"], "metrics": [2, 50], "change": [-50, 50]},
            }
        ]
        assert found["meta"]["time_labels"] == ["2026-03-02"]
        assert found["meta"]["comparison_time_labels"] == ["2026-03-01"]
        assert found["query"]["comparison_date_range"][0] == "2026-03-01T00:00:00+05:30"

    async def test_comparison_of_groups_that_were_not_there(self, client: httpx.AsyncClient) -> None:
        found = await ask(
            client,
            {
                "metrics": ["visits", "bounce_rate"],
                "date_range": ["2026-03-01", "2026-03-01"],
                "dimensions": ["visit:source"],
                "include": {"comparisons": {"mode": "custom", "date_range": ["2026-03-02", "2026-03-02"]}},
            },
        )
        assert [(row["dimensions"], row["metrics"], row["comparison"]) for row in found["results"]] == [
            (
                ["Direct / None"],
                [1, 100],
                {"dimensions": ["Direct / None"], "metrics": [1, 100], "change": [0, 0]},
            ),
            (["Google"], [1, 0], {"dimensions": ["Google"], "metrics": [0, None], "change": [100, None]}),
        ]

    async def test_conversions(self, client: httpx.AsyncClient) -> None:
        found = await ask(client, {"metrics": ["visitors", "conversion_rate"], "dimensions": ["event:goal"]})
        assert found["results"] == [{"dimensions": ["Signup"], "metrics": [1, 33.33]}]
        wrong = await ask(client, {"metrics": ["visitors"], "filters": [["is", "event:goal", ["Sale"]]]}, 400)
        assert wrong["field"] == "filters[0][2][0]"

    async def test_the_names_of_properties(self, client: httpx.AsyncClient, feeder: Feeder) -> None:
        evening = at("2026-03-01T19:00:00")
        props = {"plan": "free", "n": 0, "empty": "", "": "nameless"}
        feeder.feed([record(ONE.name, evening + number, visitor=3, props=props) for number in (1, 2)])
        names = {"metrics": ["visitors", "events"], "dimensions": ["event:props"]}
        found = await ask(client, names)
        assert [(row["dimensions"], row["metrics"]) for row in found["results"]] == [
            (["plan"], [2, 3]),
            (["n"], [1, 2]),
        ]
        assert found["meta"]["source"] == "rows"
        one = await ask(client, {**names, "filters": [["is", "visit:source", ["Google"]]]})
        assert one["results"] == [{"dimensions": ["plan"], "metrics": [1, 1]}]
        before = await ask(client, {**names, "date_range": ["2026-02-01", "2026-02-28"]})
        assert before["results"] == []
        wrong = await ask(client, {**names, "filters": [["is", "event:props", ["plan"]]]}, 400)
        assert (wrong["error"], wrong["field"]) == ("invalid_query", "filters[0][1]")

    async def test_a_regular_expression_that_is_none(self, client: httpx.AsyncClient) -> None:
        tree = ["or", [["matches", "visit:city", ["a", "("]]]]
        wrong = await ask(client, {"metrics": ["visits"], "filters": [tree]}, 400)
        assert (wrong["error"], wrong["field"]) == ("invalid_query", "filters[0][1][0][2][1]")

    async def test_text_that_could_be_sql_is_text(self, client: httpx.AsyncClient) -> None:
        for text in ("'; DROP TABLE events; --", "%s", "%(site_id)s", "{}", "\\", '"'):
            for dimension in ("event:page", f"event:props:{text}", "visit:source"):
                body = {"metrics": ["visitors"], "filters": [["contains", dimension, [text]]]}
                found = await ask(client, {**body, "dimensions": [f"event:props:{text}"]})
                assert found["results"] == []

    async def test_a_reader_of_one_site_sees_no_other(self, client: httpx.AsyncClient) -> None:
        reader = {"Authorization": f"Bearer {TOKEN_OF_TWO}"}
        body = {"metrics": ["pageviews"], "date_range": "all", "dimensions": ["event:page"]}
        own = await client.post("/api/v2/query", json={**body, "site_id": "two.example"}, headers=reader)
        assert own.json()["results"] == [{"dimensions": ["/secret"], "metrics": [1]}]
        for other in ("one.example", "nobody.example"):
            response = await client.post("/api/v2/query", json={**body, "site_id": other}, headers=reader)
            assert response.status_code == 403
        assert (
            await client.post("/api/v2/query", json={**body, "site_id": "one.example"})
        ).status_code == 401

    async def test_an_unknown_site(self, client: httpx.AsyncClient) -> None:
        wrong = await ask(client, {"metrics": ["visitors"], "site_id": "nobody.example"}, 400)
        assert (wrong["error"], wrong["field"]) == ("unknown_site", "site_id")

    @pytest.mark.parametrize("body", [b"{}", b"{", b'{"metrics": ["hits"]}', b" " * 70_000])
    async def test_a_stranger_is_not_told_what_is_wrong(self, client: httpx.AsyncClient, body: bytes) -> None:
        for given in ({}, {"Authorization": "Bearer a-token-that-nobody-has"}):
            response = await client.post("/api/v2/query", content=body, headers=given)
            assert (response.status_code, response.json()["error"]) == (401, "unauthorized")
            assert response.headers["WWW-Authenticate"].startswith("Bearer")

    async def test_nor_is_a_token_that_may_not_read(self, client: httpx.AsyncClient, feeder: Feeder) -> None:
        feeder.connection.execute(
            "INSERT INTO tokens (name, hash, scopes) VALUES ('sender', %s, '{ingest}')",
            [digest("the-senders-token")],
        )
        sender = {"Authorization": "Bearer the-senders-token"}
        assert (await client.post("/api/v2/query", json={}, headers=sender)).status_code == 403
        reader = {"Authorization": f"Bearer {TOKEN_OF_TWO}"}
        wrong = await client.post("/api/v2/query", json={}, headers=reader)
        assert (wrong.status_code, wrong.json()["field"]) == (400, "metrics")

    @pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"null", b"[]"])
    async def test_a_body_that_is_no_query(self, client: httpx.AsyncClient, body: bytes) -> None:
        response = await client.post("/api/v2/query", content=body, headers=AUTHORIZED)
        assert response.status_code in (400, 413)

    async def test_a_body_that_is_too_large(self, client: httpx.AsyncClient) -> None:
        response = await client.post("/api/v2/query", content=b" " * 70_000, headers=AUTHORIZED)
        assert response.status_code == 413


class TestFunnel:
    async def ask(self, client: httpx.AsyncClient, status: int = 200, **body: Any) -> Any:
        question = {"site_id": ONE.name, "date_range": ["2026-03-01", "2026-03-02"], **body}
        response = await client.post("/api/v2/funnel", json=question, headers=AUTHORIZED)
        assert response.status_code == status, response.text
        return response.json()

    async def test_an_answer(self, client: httpx.AsyncClient) -> None:
        steps = [
            {"page_pattern": "/"},
            {"page_pattern": "/b*"},
            {"event_type": "signup", "property": "plan", "value": "pro"},
        ]
        found = await self.ask(client, steps=steps, filters=[["is_not", "visit:country", ["FR"]]])
        none = {"share": None, "drop_off": None, "median_seconds": None}
        assert found == {
            "results": [
                {**none, "step": steps[0], "reached": 3, "share": 100},
                {"step": steps[1], "reached": 1, "share": 33.33, "drop_off": 66.67, "median_seconds": 60},
                {"step": steps[2], "reached": 1, "share": 33.33, "drop_off": 0, "median_seconds": 30},
            ],
            "total": 3,
            "entry_rate": 100,
            "meta": {
                "source": "rows",
                "imports_included": True,
                "metric_warnings": {"reached": found["meta"]["metric_warnings"]["reached"]},
            },
            "query": {
                "site_id": "one.example",
                "date_range": ["2026-03-01T00:00:00+05:30", "2026-03-02T23:59:59+05:30"],
                "funnel": None,
                "steps": steps,
                "filters": [["is_not", "visit:country", ["FR"]]],
                "by": "visitor",
            },
        }
        assert found["meta"]["metric_warnings"]["reached"]["code"] == "sum_of_daily_uniques"
        backwards = await self.ask(client, steps=steps[::-1])
        assert [row["reached"] for row in backwards["results"]] == [1, 0, 0]
        assert {name: backwards["results"][2][name] for name in none} == none | {"share": 0}
        nobody = await self.ask(client, steps=steps, date_range=["2026-01-01", "2026-01-01"])
        assert (nobody["total"], nobody["entry_rate"], "metric_warnings" in nobody["meta"]) == (
            0,
            None,
            False,
        )

    async def test_one_that_is_kept(self, client: httpx.AsyncClient, feeder: Feeder) -> None:
        feeder.connection.execute(
            "INSERT INTO funnels (site_id, name, steps)"
            """ SELECT site_id, 'Sale', '[{"page_pattern": "/"}, {"event_type": "signup"}]' FROM sites"""
            " WHERE name = 'one.example'"
        )
        found = await self.ask(client, funnel="Sale", filters=[["is", "visit:source", ["Google"]]])
        assert [row["reached"] for row in found["results"]] == [1, 1]
        assert found["query"]["funnel"] == "Sale"
        other = await self.ask(client, 400, funnel="Sale", site_id="two.example")
        assert (other["error"], other["field"]) == ("invalid_query", "funnel")

    @pytest.mark.parametrize("first", ["signup", "page_view"])
    async def test_events_of_one_instant(self, client: httpx.AsyncClient, feeder: Feeder, first: str) -> None:
        """They count in the order of the steps, whatever came in first, and each does one step."""
        noon = at("2026-03-05T12:00:00")
        kinds = [first, "page_view" if first == "signup" else "signup"]
        feeder.feed([record(ONE.name, noon, type=kind, page="/buy", visitor=7) for kind in kinds])
        days = ["2026-03-05", "2026-03-05"]
        view, signup = {"page_pattern": "/buy"}, {"event_type": "signup"}
        found = await self.ask(client, steps=[view, signup], date_range=days)
        assert [row["reached"] for row in found["results"]] == [1, 1]
        assert found["results"][1]["median_seconds"] == 0
        twice = await self.ask(client, steps=[view, {"page_pattern": "/b*"}], date_range=days)
        assert [row["reached"] for row in twice["results"]] == [1, 0]

    async def test_over_midnight_a_visit_goes_on(self, client: httpx.AsyncClient, feeder: Feeder) -> None:
        """A visitor without a persistent id does not: each day counts it anew."""
        midnight = at("2026-03-06T00:00:00+05:30")
        feeder.feed(
            [
                record(ONE.name, midnight - 60_000, page="/", visitor=8),
                record(ONE.name, midnight + 60_000, type="signup", visitor=8),
            ]
        )
        steps = [{"page_pattern": "/"}, {"event_type": "signup"}]
        for by, reached, total in (("visitor", [1, 0], 2), ("visit", [1, 1], 1)):
            found = await self.ask(client, steps=steps, date_range=["2026-03-05", "2026-03-06"], by=by)
            assert ([row["reached"] for row in found["results"]], found["total"]) == (reached, total), by
            assert ("metric_warnings" in found["meta"]) is (by == "visitor")
        for day, reached in (("2026-03-05", [1, 1]), ("2026-03-06", [0, 0])):
            found = await self.ask(client, steps=steps, date_range=[day, day], by="visit")
            assert [row["reached"] for row in found["results"]] == reached, (
                "a visit is of the day it starts on"
            )

    async def test_text_that_could_be_sql_is_text(self, client: httpx.AsyncClient) -> None:
        for text in ("'; DROP TABLE events; --", "%s", "%(site_id)s", "{}", "\\", '"'):
            steps = [{"page_pattern": text}, {"event_type": text, "property": text, "value": text}]
            assert (await self.ask(client, steps=steps))["total"] == 3
            assert (await self.ask(client, 400, funnel=text))["field"] == "funnel"

    async def test_wrong_filters_are_named(self, client: httpx.AsyncClient) -> None:
        steps = [{"page_pattern": "/"}, {"event_type": "signup"}]
        for condition, field in (
            (["is", "event:goal", ["Sale"]], "filters[0][2][0]"),
            (["matches", "event:page", ["("]], "filters[0][2][0]"),
        ):
            wrong = await self.ask(client, 400, steps=steps, filters=[condition])
            assert (wrong["error"], wrong["field"]) == ("invalid_query", field)

    async def test_a_reader_of_one_site_sees_no_other(self, client: httpx.AsyncClient) -> None:
        reader = {"Authorization": f"Bearer {TOKEN_OF_TWO}"}
        steps = [{"page_pattern": "/secret"}, {"event_type": "signup"}]
        for name, given, status in (
            ("two.example", reader, 200),
            ("one.example", reader, 403),
            ("nobody.example", reader, 403),
            ("one.example", {}, 401),
            ("nobody.example", AUTHORIZED, 400),
        ):
            body = {"site_id": name, "date_range": "all", "steps": steps}
            response = await client.post("/api/v2/funnel", json=body, headers=given)
            assert response.status_code == status, name
        for content in (b"{", b"{}", b" " * 70_000):
            assert (await client.post("/api/v2/funnel", content=content)).status_code == 401

    async def test_rows_that_were_dropped(self, database: str, history: None) -> None:
        steps = [{"page_pattern": "/"}, {"event_type": "signup"}]
        async with stats_client(database, Settings(retention_days=1)) as client:
            found = await self.ask(client, steps=steps)
        assert found["meta"]["metric_warnings"]["reached"]["code"] == "rows_dropped"


class TestV1:
    async def get(self, client: httpx.AsyncClient, call: str, status: int = 200, **given: str) -> Any:
        parameters = {"site_id": ONE.name, "period": "custom", "date": "2026-03-01,2026-03-02", **given}
        response = await client.get(f"/api/v1/stats/{call}", params=parameters, headers=AUTHORIZED)
        assert response.status_code == status, response.text
        return response.json()

    async def test_aggregate(self, client: httpx.AsyncClient) -> None:
        found = await self.get(
            client, "aggregate", metrics="visitors,bounce_rate", period="day", date="2026-03-02",
            compare="previous_period",
        )  # fmt: skip
        assert found == {
            "results": {"visitors": {"value": 1, "change": -50}, "bounce_rate": {"value": 100, "change": 50}}
        }

    async def test_timeseries_has_every_date(self, client: httpx.AsyncClient) -> None:
        found = await self.get(
            client, "timeseries", date="2026-02-28,2026-03-01", metrics="visitors,visit_duration"
        )
        assert found["results"] == [
            {"date": "2026-02-28", "visitors": 0, "visit_duration": None},
            {"date": "2026-03-01", "visitors": 2, "visit_duration": 45},
        ]

    async def test_breakdown_with_filters_and_pages(self, client: httpx.AsyncClient) -> None:
        found = await self.get(client, "breakdown", property="event:page", filters="event:page==/b*|/")
        assert found["results"] == [{"page": "/", "visitors": 3}, {"page": "/buy", "visitors": 1}]
        second = await self.get(client, "breakdown", property="event:page", limit="1", page="2")
        assert second["results"] == [{"page": "/buy", "visitors": 1}]
        props = await self.get(
            client, "breakdown", property="event:props:plan", filters="visit:source==Google", metrics="events"
        )
        assert props["results"] == [{"plan": "pro", "events": 1}]
        names = await self.get(client, "breakdown", property="event:props", metrics="visitors")
        assert names["results"] == [{"props": "plan", "visitors": 1}]

    async def test_visitors_now(self, client: httpx.AsyncClient, feeder: Feeder) -> None:
        assert await self.get(client, "realtime/visitors") == 0
        now = time.time_ns() // 1_000_000
        feeder.feed([record(ONE.name, now - age, visitor=age) for age in (1_000, 2_000, 600_000)])
        assert await self.get(client, "realtime/visitors") == 2

    @pytest.mark.parametrize(
        ("call", "given", "field"),
        [
            ("aggregate", {"period": "fortnight"}, "period"),
            ("aggregate", {"date": "2026-03-01"}, "date"),
            ("aggregate", {"period": "custom", "date": "2026-03-02,2026-03-01"}, "date"),
            ("aggregate", {"metrics": "hits"}, "metrics"),
            ("aggregate", {"filters": "country=DE"}, "filters"),
            ("aggregate", {"compare": "last_year"}, "compare"),
            ("timeseries", {"interval": "second"}, "interval"),
            ("breakdown", {"property": "visit:weather"}, "property"),
            ("breakdown", {}, "property"),
            ("aggregate", {"site_id": ""}, "site_id"),
            ("breakdown", {"property": "time:day"}, "property"),
            ("breakdown", {"property": "event:page", "limit": "0"}, "limit"),
            ("aggregate", {"site_id": "nobody.example"}, "site_id"),
        ],
    )
    async def test_wrong_parameters(
        self, client: httpx.AsyncClient, call: str, given: dict[str, str], field: str
    ) -> None:
        assert (await self.get(client, call, 400, **given))["field"] == field

    async def test_needs_a_token(self, client: httpx.AsyncClient) -> None:
        for call in ("aggregate", "timeseries", "breakdown", "realtime/visitors"):
            for question in ("site_id=one.example&property=event:page", "metrics=hits", ""):
                response = await client.get(f"/api/v1/stats/{call}?{question}")
                assert response.status_code == 401


def uuid7(time_ms: int) -> uuid.UUID:
    return uuid.UUID(int=(time_ms << 80) | (7 << 76) | (2 << 62) | 12345)


class Journal:
    """A real one, with as many records before the test's as the consumer has stored of partition 0."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = JournalFile(folder / "journal.sqlite")

    def append(self, written: EventRecord | AttestRecord) -> int:
        """Its offset."""
        return self._file.append([(b"key", encode_record(written))])

    def open(self, records: int) -> None:
        self._file.open()
        self._file.append([(b"key", b"{}")] * records)

    def trim(self, before: int) -> None:
        assert self._file.trim(before, at("2100-01-01T00:00:00"))

    def close(self) -> None:
        self._file.close()


@pytest.fixture
def journal(history: None, tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path)
    journal.open(6)
    yield journal
    journal.close()


@pytest.fixture
async def logged(database: str, journal: Journal) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service over the journal."""
    async with stats_client(database, Settings(data_dir=journal.folder)) as client:
        yield client


class TestReceipts:
    async def get(self, client: httpx.AsyncClient, path: str, status: int = 200, **headers: str) -> Any:
        response = await client.get(f"/api/receipts/{path}", headers=headers or AUTHORIZED)
        assert response.status_code == status, response.text
        return response.json()

    @pytest.mark.parametrize("sort", ["v7", "v4"])
    async def test_states_of_one_event(
        self, logged: httpx.AsyncClient, journal: Journal, feeder: Feeder, sort: str
    ) -> None:
        moment = at("2026-03-05T12:00:00")
        event_id = uuid7(moment) if sort == "v7" else uuid.uuid4()
        await self.get(logged, str(event_id), 404)
        event = record(ONE.name, moment, id=event_id)
        first, second = journal.append(event), journal.append(event)
        await self.get(logged, str(event_id), 404)
        before = await self.get(logged, f"{event_id}?partition=0&offset={first}")
        assert before == {
            "event_id": str(event_id), "state": "logged", "partition": 0, "offset": first,
            "accepted_at": "2026-03-05T12:00:00Z", "counted_at": None,
        }  # fmt: skip
        feeder.feed([event] * 2)
        counted = await self.get(logged, f"{event_id}?partition=0&offset={first}")
        assert counted == await self.get(logged, str(event_id))
        assert (counted["state"], counted["partition"], counted["offset"]) == ("counted", 0, first)
        assert counted["accepted_at"] == "2026-03-05T12:00:00Z"
        age = datetime.now(UTC) - datetime.fromisoformat(counted["counted_at"])
        assert abs(age.total_seconds()) < 600
        twice = await self.get(logged, f"{event_id}?partition=0&offset={second}")
        assert (twice["state"], twice["offset"]) == ("duplicate", second)
        journal.trim(second + 1)
        assert await self.get(logged, f"{event_id}?partition=0&offset={second}") == twice

    async def test_a_place_that_is_another_events(
        self, logged: httpx.AsyncClient, journal: Journal, feeder: Feeder
    ) -> None:
        moment = at("2026-03-05T12:00:00")
        ours, other = record(ONE.name, moment), record(ONE.name, moment)
        place, of_other = journal.append(ours), journal.append(other)
        attested = journal.append(AttestRecord(worker="w", sequence=1))
        for state in ("logged", "counted"):
            found = await self.get(logged, f"{ours.id}?partition=0&offset={place}")
            assert found["state"] == state
            for elsewhere in (of_other, attested, 99_999_999, (1 << 63) - 1):
                await self.get(logged, f"{ours.id}?partition=0&offset={elsewhere}", 404)
            await self.get(logged, f"{ours.id}?partition=1&offset={place}", 404)
            await self.get(logged, f"{uuid.uuid4()}?partition=0&offset={place}", 404)
            feeder.feed([ours, other])

    async def test_a_reader_of_one_site_is_not_told_what_the_log_has_of_another(
        self, logged: httpx.AsyncClient, journal: Journal
    ) -> None:
        reader = f"Bearer {TOKEN_OF_TWO}"
        moment = at("2026-03-05T12:00:00")
        for site, status in ((TWO, 200), (ONE, 404)):
            event = record(site.name, moment)
            path = f"{event.id}?partition=0&offset={journal.append(event)}"
            assert (await self.get(logged, path))["state"] == "logged"
            await self.get(logged, path, status, Authorization=reader)

    async def test_a_log_that_is_away(self, database: str, history: None, tmp_path: Path) -> None:
        (tmp_path / "journal.sqlite").mkdir()
        async with stats_client(database, Settings(data_dir=tmp_path)) as client:
            path = f"/api/receipts/{uuid.uuid4()}?partition=0&offset=99"
            response = await client.get(path, headers=AUTHORIZED)
        assert (response.status_code, response.json()["error"]) == (503, "log_unavailable")
        assert int(response.headers["Retry-After"]) >= 1

    async def test_a_spooled_event(self, database: str, history: None, tmp_path: Path) -> None:
        spool = Spool(tmp_path / "spool.sqlite")
        await spool.open()
        event_id, other = uuid.uuid4(), uuid.uuid4()
        event = record(ONE.name, at("2026-03-05T12:00:00"), id=event_id, target=Target(id=str(other)))
        await spool.append(b"key", encode_record(event))
        settings = Settings(spool_dir=tmp_path)
        async with stats_client(database, settings) as client:
            found = await self.get(client, str(event_id))
            assert found == {
                "event_id": str(event_id), "state": "spooled", "partition": None, "offset": None,
                "accepted_at": "2026-03-05T12:00:00Z", "counted_at": None,
            }  # fmt: skip
            await self.get(client, str(other), 404)
            await self.get(client, str(event_id), 404, Authorization=f"Bearer {TOKEN_OF_TWO}")
        await spool.close(5)

    async def test_a_rejected_event(self, client: httpx.AsyncClient, feeder: Feeder) -> None:
        event_id = uuid.uuid4()
        feeder.connection.execute(
            "INSERT INTO bad_rows"
            " (topic_id, partition, log_offset, reason, detail, event_id, site, accepted_at)"
            " VALUES ('topic', 0, 77, 'out_of_range', '', %s, 'one.example', '2026-03-05T12:00Z')",
            [event_id],
        )
        found = await self.get(client, str(event_id))
        assert (found["state"], found["offset"], found["counted_at"]) == ("rejected", 77, None)

    async def test_a_reader_of_one_site_sees_no_other(
        self, client: httpx.AsyncClient, feeder: Feeder
    ) -> None:
        reader = f"Bearer {TOKEN_OF_TWO}"
        moment = at("2026-03-05T12:00:00")
        mine, other = uuid7(moment), uuid7(moment + 1)
        feeder.feed([record(TWO.name, moment, id=mine), record(ONE.name, moment, id=other)])
        assert (await self.get(client, str(mine), Authorization=reader))["state"] == "counted"
        await self.get(client, str(other), 404, Authorization=reader)
        await self.get(client, f"{other}?site=one.example", 403, Authorization=reader)

    @pytest.mark.parametrize(
        ("path", "field"),
        [
            ("not-a-uuid", "event_id"),
            (f"{uuid.UUID(int=1)}?partition=1", "offset"),
            (f"{uuid.UUID(int=1)}?partition=1&offset=-1", "offset"),
            (f"{uuid.UUID(int=1)}?partition=99999999999999999999&offset=1", "partition"),
            (f"{uuid.UUID(int=1)}?site=%00", "site"),
        ],
    )
    async def test_wrong_parameters(self, client: httpx.AsyncClient, path: str, field: str) -> None:
        assert (await self.get(client, path, 400))["field"] == field

    async def test_an_id_of_the_year_9999(self, client: httpx.AsyncClient) -> None:
        await self.get(client, str(uuid7((1 << 48) - 1)), 404)

    async def test_needs_a_token(self, client: httpx.AsyncClient) -> None:
        assert (await client.get(f"/api/receipts/{uuid.uuid4()}")).status_code == 401


class TestLedger:
    async def test_balances(self, client: httpx.AsyncClient, feeder: Feeder) -> None:
        entries = [
            ("a", "accepted", "", 10), ("a", "counted", "", 6), ("a", "duplicate", "", 1),
            ("a", "rejected", "spam", 1), ("a", "refused", "invalid", 3), ("a", "ignored", "bot", 2),
            ("b", "accepted", "", 1), ("b", "counted", "", 3), ("b", "rejected", "spam", 1),
            ("c", "counted", "", 2),
        ]  # fmt: skip
        for slot in (0, 1):
            feeder.connection.cursor().executemany(
                "INSERT INTO ledger (minute, slot, worker, kind, reason, n)"
                " VALUES (date_trunc('minute', now()), %s, %s, %s, %s, %s)",
                [(slot, *entry) for entry in entries],
            )
        feeder.connection.execute(
            "INSERT INTO latencies (minute, bucket, slot, n) SELECT date_trunc('minute', now()), b, s, 1"
            " FROM generate_series(0, 99) b, generate_series(0, 1) s"
        )
        found = (await client.get("/api/ledger?minutes=5", headers=AUTHORIZED)).json()
        (minute,) = found["minutes"]
        assert minute.pop("latency_ms") == {
            "p50": round(2 ** (49 / 4), 1), "p95": round(2 ** (94 / 4), 1), "p99": round(2 ** (98 / 4), 1)
        }  # fmt: skip
        assert datetime.fromisoformat(minute.pop("minute")).second == 0
        assert minute == {
            "accepted": 32, "counted": 22, "duplicate": 2, "rejected": {"spam": 4}, "in_flight": 4,
            "refused": {"invalid": 6}, "ignored": {"bot": 4}, "unattested": 10,
        }  # fmt: skip
        assert minute["accepted"] == minute["counted"] + minute["duplicate"] + 4 + minute["in_flight"]

    async def test_minutes_without_events_have_no_latency(
        self, client: httpx.AsyncClient, feeder: Feeder
    ) -> None:
        feeder.connection.execute(
            "INSERT INTO ledger (minute, slot, worker, kind, reason, n)"
            " VALUES (date_trunc('minute', now()), 0, 'a', 'ignored', 'bot', 1)"
        )
        (minute,) = (await client.get("/api/ledger", headers=AUTHORIZED)).json()["minutes"]
        assert minute["latency_ms"] == {"p50": None, "p95": None, "p99": None}
        assert minute["ignored"] == {"bot": 1}

    @pytest.mark.parametrize("minutes", ["0", "-1", "many", "1.5", "999999999"])
    async def test_wrong_parameters(self, client: httpx.AsyncClient, minutes: str) -> None:
        response = await client.get(f"/api/ledger?minutes={minutes}", headers=AUTHORIZED)
        assert (response.status_code, response.json()["field"]) == (400, "minutes")

    async def test_is_not_for_readers_of_one_site(self, client: httpx.AsyncClient) -> None:
        assert (await client.get("/api/ledger")).status_code == 401
        reader = {"Authorization": f"Bearer {TOKEN_OF_TWO}"}
        assert (await client.get("/api/ledger", headers=reader)).status_code == 403
