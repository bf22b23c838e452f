"""The live view: server-sent events from rows that the consumer stored, shared by all who listen."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any, Self

import msgspec
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette

from portfolio_analytics.shared.access import digest
from portfolio_analytics.stats import realtime_face
from portfolio_analytics.stats.reader import Reader
from portfolio_analytics.stats.realtime_face import Channel
from portfolio_analytics.stats.routes import now
from portfolio_analytics.storage import public_links, sessions, steps, tokens
from portfolio_analytics.storage.database import connect
from portfolio_analytics.storage.steps import Steps
from tests.integration.stats_client import AUTHORIZED, stats_app, stats_client
from tests.integration.stats_history import Feeder, Site, at, record

SITE = Site("live.example", "UTC")
PATIENCE = 30.0


@pytest.fixture
def feeder(database: str) -> Iterator[Feeder]:
    feeder = Feeder(database)
    feeder.add_site(SITE)
    yield feeder
    feeder.close()


class Listener:
    """A client of a stream, at the level of ASGI: it reads while the answer is under way, and can leave."""

    def __init__(
        self,
        app: Starlette,
        path: str,
        last_event_id: str | None = None,
        *,
        credential: tuple[bytes, bytes] = (b"authorization", AUTHORIZED["Authorization"].encode()),
    ) -> None:
        headers = [credential, (b"host", b"localhost")]
        if last_event_id is not None:
            headers.append((b"last-event-id", last_event_id.encode()))
        path, _, query = path.partition("?")
        self._scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": "GET", "scheme": "http", "path": path, "query_string": query.encode(), "root_path": "",
            "headers": headers, "client": ("127.0.0.1", 1), "server": None, "state": {},
        }  # fmt: skip
        self._app = app
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self._gone = asyncio.Event()
        self.headers: dict[bytes, bytes] = {}

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._app(self._scope, self._receive, self._send))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._gone.set()
        await asyncio.wait_for(self._task, PATIENCE)

    async def event(self) -> tuple[str, str, dict[str, Any]]:
        """The next event: its id, its kind, its data."""
        while True:
            piece = await asyncio.wait_for(self.pieces.get(), PATIENCE)
            if piece.startswith(b":"):
                continue
            fields = dict(line.split(b": ", 1) for line in piece.strip().split(b"\n"))
            return fields[b"id"].decode(), fields[b"event"].decode(), msgspec.json.decode(fields[b"data"])

    async def until(self, event_id: str) -> tuple[str, str, dict[str, Any]]:
        """The first message that shows the event `event_id`."""
        while True:
            message = await self.event()
            if any(event["id"] == event_id for event in message[2]["events"]):
                return message

    async def ended(self) -> None:
        """Wait until the server ends the stream by itself."""
        await asyncio.wait_for(asyncio.shield(self._task), PATIENCE)

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.headers = dict(message["headers"])
        elif message.get("body"):
            self.pieces.put_nowait(message["body"])


@pytest.fixture
async def app(database: str, feeder: Feeder) -> AsyncIterator[Starlette]:
    async with stats_app(database) as app:
        yield app


def happen(feeder: Feeder, **fields: Any) -> str:
    """An event a moment ago; returns its id."""
    (event,) = feeder.feed([record(SITE.name, time.time_ns() // 1_000_000 - 50, **fields)])
    return event.id


async def test_a_listener_sees_what_happens(app: Starlette, feeder: Feeder) -> None:
    first = happen(feeder, page="/", visitor=11, country="DE")
    async with Listener(app, "/api/realtime?site=live.example") as listener:
        _, kind, data = await listener.event()
        assert listener.headers[b"content-type"].startswith(b"text/event-stream")
        assert kind == "snapshot"
        assert data["visitors"] == 1
        assert len(data["minutes"]) == 30
        assert sum(minute["pageviews"] for minute in data["minutes"]) == 1
        (shown,) = data["events"]
        assert (shown["id"], shown["page"], shown["country"]) == (first, "/", "DE")
        second = happen(feeder, page="/next", visitor=12, type="click")
        _, kind, data = await listener.until(second)
        assert kind == "update"
        assert data["visitors"] == 2
        assert [event["id"] for event in data["events"]] == [second]


async def test_nothing_tells_whose_an_event_is(app: Starlette, feeder: Feeder) -> None:
    happen(feeder, visitor=8_765_432_101, session="session-of-someone")
    async with Listener(app, "/api/realtime?site=live.example") as listener:
        data = (await listener.event())[2]
    assert set(data["events"][0]) <= {
        "id", "site", "time", "type", "page", "source", "country", "browser", "device"
    }  # fmt: skip
    assert "8765432101" not in str(data)


async def test_an_event_says_where_its_visit_came_from(database: str, feeder: Feeder) -> None:
    """Also one without a referrer of its own, and across midnight."""
    midnight = at("2026-11-02T00:00:00")
    feeder.feed(
        [
            record(SITE.name, midnight - 600_000, page="/1", referrer="https://www.google.com/", session="s"),
            record(SITE.name, midnight + 300_000, page="/2", session="s"),
            record(SITE.name, midnight + 400_000, page="/3", visitor=2),
            record(SITE.name, midnight + 500_000, page="/4?utm_medium=email", visitor=3),
        ]
    )
    moment = datetime.fromtimestamp(midnight / 1000 + 600, UTC)
    async with (
        AsyncConnectionPool(database, min_size=1, max_size=2, open=False) as pool,
        contextlib.aclosing(Channel(Reader(pool, at_once=1), lambda: moment, None).listen(None)) as messages,
    ):
        message = await asyncio.wait_for(anext(messages), PATIENCE)
    data = msgspec.json.decode(message.partition(b"data: ")[2])
    shown = [(event["page"], event["source"]) for event in data["events"]]
    assert shown == [("/4", None), ("/3", None), ("/2", "Google"), ("/1", "Google")]


async def test_a_listener_that_comes_back_is_told_what_it_missed(app: Starlette, feeder: Feeder) -> None:
    async with Listener(app, "/api/realtime?site=live.example") as steady:
        async with Listener(app, "/api/realtime?site=live.example") as listener:
            heard = (await listener.until(happen(feeder)))[0]
        missed = happen(feeder)
        await steady.until(missed)
        async with Listener(app, "/api/realtime?site=live.example", heard) as listener:
            _, kind, data = await listener.event()
            assert kind == "update"
            assert [event["id"] for event in data["events"]] == [missed]
        async with Listener(app, "/api/realtime?site=live.example", "another-7") as listener:
            assert (await listener.event())[1] == "snapshot"


async def test_one_site_shows_nothing_of_another(app: Starlette, feeder: Feeder) -> None:
    feeder.add_site(Site("quiet.example", "UTC"))
    happen(feeder)
    async with Listener(app, "/api/realtime?site=quiet.example") as listener:
        data = (await listener.event())[2]
        assert (data["visitors"], data["events"]) == (0, [])
    async with Listener(app, "/api/realtime") as listener:
        assert len((await listener.event())[2]["events"]) == 1


async def test_access(database: str, feeder: Feeder) -> None:
    async with stats_client(database) as client:
        assert (await client.get("/api/realtime?site=live.example")).status_code == 401
        unknown = await client.get("/api/realtime?site=nobody.example", headers=AUTHORIZED)
        assert (unknown.status_code, unknown.json()["field"]) == (400, "site")
        head = await client.head("/api/realtime?site=live.example", headers=AUTHORIZED)
        assert head.headers["content-type"].startswith("text/event-stream")


class CountingReader(Reader):
    """Counts how often it is asked."""

    asked = 0

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[Any]:
        self.asked += 1
        async with super().reading() as cursor:
            yield cursor


async def test_a_thousand_listeners_cost_one_query_a_look(
    database: str, feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime_face, "EVERY", 0.2)
    async with AsyncConnectionPool(database, min_size=1, max_size=2, open=False) as pool:
        reader = CountingReader(pool, at_once=2)
        channel = Channel(reader, now, None)
        heard = asyncio.Event()
        enough = asyncio.Event()
        told = 0

        async def listen() -> None:
            nonlocal told
            async with contextlib.aclosing(channel.listen(None)) as messages:
                async for _ in messages:
                    told += 1
                    heard.set()
                    if told >= 2_000:
                        enough.set()

        listeners = [asyncio.create_task(listen()) for _ in range(1_000)]
        await asyncio.wait_for(heard.wait(), PATIENCE)
        asked, started = reader.asked, time.monotonic()
        happen(feeder)
        await asyncio.wait_for(enough.wait(), PATIENCE)
        looks = (time.monotonic() - started) / 0.2
        assert reader.asked - asked <= looks + 2
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
        assert channel.listeners == 0
        after = reader.asked
        await asyncio.sleep(0.7)
        assert reader.asked == after, "nobody listens, nothing is read"


async def test_quiet_listeners_hear_a_heartbeat(
    database: str, feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime_face, "HEARTBEAT", 0.05)
    async with (
        AsyncConnectionPool(database, min_size=1, max_size=2, open=False) as pool,
        contextlib.aclosing(Channel(Reader(pool, at_once=2), now, None).listen(None)) as messages,
    ):
        while await asyncio.wait_for(anext(messages), PATIENCE) != b": still here\n\n":
            pass


@pytest.mark.parametrize("kind", ["token", "session", "link"])
async def test_a_stream_ends_with_its_token_session_or_link(
    kind: str, app: Starlette, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One on which nothing happens, within a heartbeat; that of somebody else goes on."""
    monkeypatch.setattr(realtime_face, "HEARTBEAT", 0.05)
    monkeypatch.setattr(realtime_face, "CHECK_EVERY", 0.1)
    path = f"/api/realtime?site={SITE.name}"
    with connect(database) as connection:
        mine, end = credential(connection, kind)
        share = f"&share={mine[1].decode()}" if kind == "link" else ""
        async with Listener(app, path + share, credential=mine) as listener, Listener(app, path) as another:
            for each in (listener, another):
                assert (await each.event())[1] == "snapshot"
            steps.run(connection, end)
            await listener.ended()
            for _ in range(20):  # heartbeats, each of them after a look at its access
                assert await asyncio.wait_for(another.pieces.get(), PATIENCE)


def credential(connection: psycopg.Connection, kind: str) -> tuple[tuple[bytes, bytes], Steps[None]]:
    """The header with a new credential that reads SITE, and what ends it. A link goes into the query."""
    if kind == "link":
        _, link = steps.run(connection, public_links.create(SITE.name, "link", "test"))
        return (b"x-link", link.reveal().encode()), public_links.revoke(SITE.name, "link", "test")
    _, token = steps.run(connection, tokens.create("reader", ["read"], SITE.name, "test"))
    if kind == "token":
        header = (b"authorization", f"Bearer {token.reveal()}".encode())
        return header, tokens.revoke("reader", "test")
    principal = steps.run(connection, tokens.lookup(digest(token.reveal())))
    assert principal is not None
    session = steps.run(connection, sessions.start(principal, None)).reveal()
    return (b"cookie", f"portfolio_session={session}".encode()), sessions.end(session, None)
