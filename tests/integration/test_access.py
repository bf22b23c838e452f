"""Who gets in: the real application over a real database, by token, cookie and link."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, Self

import httpx
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.middleware import Middleware

from portfolio_analytics.admin import docs, operations, routes
from portfolio_analytics.settings import Secret, Settings
from portfolio_analytics.shared.access import Access
from portfolio_analytics.shared.context import Context
from portfolio_analytics.shared.http import ApiError, answer_error
from portfolio_analytics.shared.rate_limit_headers import RateLimitHeaders
from portfolio_analytics.shared.ratelimit import Limiter, Rate
from portfolio_analytics.storage import audit, sessions, sites, tokens
from portfolio_analytics.storage.directory import StoredDirectory
from portfolio_analytics.storage.steps import run

ADMIN = "an-admin-token-for-tests"
BASE = "http://127.0.0.1:8080"
SAME = {"Sec-Fetch-Site": "same-origin"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Service:
    """The administration over one database."""

    def __init__(self, dsn: str, admin_token: str | None = ADMIN, limiter: Limiter | None = None) -> None:
        self.pool: Any = AsyncConnectionPool(dsn, min_size=1, max_size=4, open=False, timeout=2)
        self.clock = 0.0
        self.directory = StoredDirectory(self.pool, lambda: self.clock)
        self.access = Access(Secret(admin_token) if admin_token else None, self.directory, limiter)
        self.database = psycopg.connect(dsn, autocommit=True)

        async def healthy() -> str | None:
            return None

        context = Context(Settings(), self.pool, self.access, healthy)
        self.app = Starlette(
            routes=[*routes.routes(context), *docs.routes(operations.OPERATIONS)],
            middleware=[Middleware(RateLimitHeaders)],
            exception_handlers={ApiError: answer_error},
        )

    def client(self, base: str = BASE) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=base)

    def token(self, name: str, *scopes: str, site: str | None = None) -> str:
        _, secret = run(self.database, tokens.create(name, list(scopes), site, audit.COMMAND_LINE))
        return secret.reveal()

    async def __aenter__(self) -> Self:
        await self.pool.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.database.close()
        await self.pool.close()


@pytest.fixture
async def service(database: str) -> AsyncIterator[Service]:
    async with Service(database) as service:
        for name in ("one.example", "two.example"):
            run(service.database, sites.add(name, "UTC", audit.COMMAND_LINE))
        yield service


# ---- tokens


HEADERS: list[tuple[dict[str, str], int]] = [
    ({}, 401),
    ({"Authorization": "Bearer"}, 401),
    ({"Authorization": "Bearer "}, 401),
    ({"Authorization": "Basic YTpi"}, 401),
    ({"Authorization": f"Basic {ADMIN}"}, 401),
    ({"Authorization": f"Bearer {ADMIN}x"}, 401),
    ({"Authorization": f"Bearer {ADMIN[:-1]}"}, 401),
    ({"Authorization": "Bearer " + "x" * 10_000}, 401),
    ({"Authorization": f"bearer  {ADMIN} "}, 200),
    ({"Authorization": f"Bearer {ADMIN}"}, 200),
]


async def test_the_authorization_header(service: Service, subtests: pytest.Subtests) -> None:
    async with service.client() as client:
        for headers, status in HEADERS:
            with subtests.test(headers=headers):
                answer = await client.get("/api/tokens", headers=headers)
                assert answer.status_code == status
                assert answer.json().get("error") == (None if status == 200 else "unauthorized")
                assert ("WWW-Authenticate" in answer.headers) is (status == 401)


ALLOWED: list[tuple[list[str], str | None, set[str]]] = [
    (["ingest"], None, {"GET /api/sites"}),
    (["import"], None, {"GET /api/sites"}),
    (["read"], None, {"GET /api/sites", "GET one goals", "GET two goals"}),
    (["read"], "one.example", {"GET /api/sites", "GET one goals"}),
    (
        ["admin"],
        "one.example",
        {"GET /api/sites", "GET one goals", "GET one", "GET one tokens", "GET one audit"},
    ),
    (
        ["admin"],
        None,
        {
            "GET /api/sites",
            "GET one goals",
            "GET two goals",
            "GET one",
            "GET two",
            "GET one tokens",
            "GET tokens",
            "GET audit",
            "GET one audit",
        },
    ),
]


async def test_scopes_and_sites(service: Service, subtests: pytest.Subtests) -> None:
    paths = {
        "GET /api/sites": "/api/sites",
        "GET one goals": "/api/sites/one.example/goals",
        "GET two goals": "/api/sites/two.example/goals",
        "GET one": "/api/sites/one.example",
        "GET two": "/api/sites/two.example",
        "GET tokens": "/api/tokens",
        "GET one tokens": "/api/tokens?site=one.example",
        "GET audit": "/api/audit",
        "GET one audit": "/api/audit?site=one.example",
    }
    async with service.client() as client:
        for number, (scopes, site, allowed) in enumerate(ALLOWED):
            headers = bearer(service.token(f"t{number}", *scopes, site=site))
            with subtests.test(scopes=scopes, site=site):
                statuses = {
                    name: (await client.get(path, headers=headers)).status_code
                    for name, path in paths.items()
                }
                assert {name for name, status in statuses.items() if status == 200} == allowed
                assert {status for name, status in statuses.items() if name not in allowed} <= {403}


async def test_a_reader_of_one_site_learns_nothing_of_another(service: Service) -> None:
    reader = bearer(service.token("r", "read", site="one.example"))
    async with service.client() as client:
        listed = (await client.get("/api/sites", headers=reader)).json()
        who = (await client.get("/api/session", headers=reader)).json()
        real = await client.get("/api/sites/two.example/goals", headers=reader)
        made_up = await client.get("/api/sites/never.example/goals", headers=reader)
    assert [site["name"] for site in listed["sites"]] == ["one.example"]
    assert [site["name"] for site in who["sites"]] == ["one.example"]
    assert (real.status_code, real.content) == (made_up.status_code, made_up.content) == (403, real.content)


async def test_who_administers_one_site_cannot_reach_beyond_it(service: Service) -> None:
    own = bearer(service.token("own", "admin", site="one.example"))
    service.token("other", "read", site="two.example")
    attempts: list[tuple[str, str, Any]] = [
        ("POST", "/api/sites", {"name": "three.example"}),
        ("PATCH", "/api/sites/two.example", {"time_zone": "UTC"}),
        ("POST", "/api/sites/two.example/rename", {"name": "mine.example"}),
        ("POST", "/api/sites/two.example/reset", None),
        ("DELETE", "/api/sites/two.example", None),
        ("POST", "/api/sites/two.example/goals", {"name": "g", "event_type": "e"}),
        ("PUT", "/api/sites/two.example/funnels/f", {"name": "f", "steps": [{"event_type": "e"}] * 2}),
        ("POST", "/api/sites/two.example/links", {"name": "l"}),
        ("POST", "/api/tokens", {"name": "x", "scopes": ["admin"]}),
        ("POST", "/api/tokens", {"name": "x", "scopes": ["read"], "site": "two.example"}),
        ("DELETE", "/api/tokens/other", None),
        ("DELETE", "/api/sessions", None),
    ]
    async with service.client() as client:
        for method, path, body in attempts:
            answer = await client.request(method, path, json=body, headers=own)
            assert answer.status_code in (403, 404), (method, path)
        made = await client.post(
            "/api/tokens", json={"name": "x", "scopes": ["read"], "site": "one.example"}, headers=own
        )
        assert made.status_code == 201
    assert [site.name for site in run(service.database, sites.list_all())] == ["one.example", "two.example"]
    assert run(service.database, tokens.find("other")).revoked_at is None


async def test_a_revoked_token_is_out_at_once(service: Service) -> None:
    token = service.token("t", "admin")
    async with service.client() as client:
        assert (await client.get("/api/sites", headers=bearer(token))).status_code == 200
        assert (await client.delete("/api/tokens/t", headers=bearer(ADMIN))).status_code == 200
        assert (await client.get("/api/sites", headers=bearer(token))).status_code == 401


async def test_intake_remembers_a_token_shortly_and_longer_without_a_database(service: Service) -> None:
    header = f"Bearer {service.token('t', 'ingest')}"
    assert await service.access.principal(header)
    run(service.database, tokens.revoke("t", audit.COMMAND_LINE))
    service.clock += 9
    assert await service.access.principal(header)
    service.clock += 2
    with pytest.raises(ApiError) as caught:
        await service.access.principal(header)
    assert caught.value.status == 401

    header = f"Bearer {service.token('t', 'ingest')}"
    assert await service.access.principal(header)
    await service.pool.close()
    service.clock += 3000
    assert await service.access.principal(header)
    service.clock += 601
    with pytest.raises(ApiError) as caught:
        await service.access.principal(header)
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "5")


@pytest.mark.parametrize("headers", [{}, bearer("whatever-it-is")])
async def test_without_any_token_administration_is_disabled(database: str, headers: dict[str, str]) -> None:
    async with Service(database, admin_token=None) as service, service.client() as client:
        for path in ("/api/tokens", "/api/sites", "/api/session"):
            answer = await client.get(path, headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (403, "admin_disabled"), path
        token = service.token("made-on-the-command-line", "read")
        assert (await client.get("/api/sites", headers=bearer(token))).status_code == 200
        assert (await client.get("/api/sites", headers=bearer("wrong"))).status_code == 401
        assert (await client.get("/signin?code=x")).json()["error"] == "admin_disabled"


# ---- wrong tokens


async def test_wrong_tokens_wait_and_right_ones_do_not(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("portfolio_analytics.shared.access.asyncio.sleep", note)
    async with service.client() as client:
        for _ in range(12):
            assert (await client.get("/api/sites", headers=bearer("wrong"))).status_code == 401
        delayed = list(waits)
        assert delayed == sorted(delayed)
        assert delayed[-1] == 1.0
        assert (await client.get("/api/sites", headers=bearer(ADMIN))).status_code == 200
        assert (await client.get("/api/sites")).status_code == 401  # no token is no guess
        assert waits == delayed
        assert (await client.get("/api/sites?share=wrong")).status_code == 401
        assert (await client.post("/api/session", json={"token": "wrong"})).status_code == 401
        assert (await client.get("/signin?code=wrong")).status_code == 401
        assert len(waits) == len(delayed) + 3


# ---- sessions


async def sign_in(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/api/session", json={"token": token}, headers=SAME)


COOKIES: list[tuple[str, dict[str, str], str, bool]] = [
    ("http://127.0.0.1:8080", {}, "portfolio_session", False),
    ("http://localhost:8080", {}, "portfolio_session", False),
    ("https://stats.example", {}, "__Host-portfolio_session", True),
    ("http://stats.example", {}, "__Host-portfolio_session", True),
    ("http://127.0.0.1:8080", {"X-Forwarded-Proto": "https"}, "__Host-portfolio_session", True),
]


async def test_the_cookie(service: Service, subtests: pytest.Subtests) -> None:
    for base, headers, name, secure in COOKIES:
        with subtests.test(base=base, headers=headers):
            async with service.client(base) as client:
                answer = await client.post("/api/session", json={"token": ADMIN}, headers={**SAME, **headers})
            assert answer.status_code == 200
            [cookie] = answer.headers.get_list("Set-Cookie")
            flags = {part.strip().lower() for part in cookie.split(";")[1:]}
            assert cookie.startswith(f"{name}=")
            assert {"httponly", "samesite=strict", "path=/"} <= flags
            assert ("secure" in flags) is secure
            assert not [flag for flag in flags if flag.startswith("domain")]
            assert answer.headers["Cache-Control"] == "no-store"
            assert ADMIN not in cookie


async def test_a_browser_signs_in_and_out(service: Service) -> None:
    async with service.client() as client:
        answer = await sign_in(client, service.token("me", "read", site="one.example"))
        assert answer.json() == {
            "name": "me",
            "scopes": ["read"],
            "site": "one.example",
            "admin": False,
            "sites": [{"name": "one.example", "time_zone": "UTC"}],
        }
        assert (await client.get("/api/session")).json() == answer.json()
        kept = {"Cookie": f"portfolio_session={client.cookies['portfolio_session']}"}
        assert (await client.get("/api/session", headers=kept)).status_code == 200
        assert (await client.delete("/api/session", headers=SAME)).status_code == 200
        assert not client.cookies
        assert (await client.get("/api/session", headers=kept)).status_code == 401


SENDERS: list[tuple[dict[str, str], int]] = [
    ({"Sec-Fetch-Site": "same-origin"}, 201),
    ({"Origin": BASE}, 201),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403),
    ({"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:9999"}, 403),
    ({"Origin": "http://127.0.0.1:9999"}, 403),
    ({"Origin": "null"}, 403),
    ({}, 403),
]


async def test_a_cookie_acts_for_our_own_page_alone(service: Service, subtests: pytest.Subtests) -> None:
    for number, (headers, status) in enumerate(SENDERS):
        name = f"new{number}.example"
        with subtests.test(headers=headers):
            async with service.client() as client:
                await sign_in(client, ADMIN)
                answer = await client.post("/api/sites", json={"name": name}, headers=headers)
                assert answer.status_code == status
                gone = await client.delete("/api/session", headers=headers)
                assert gone.status_code == (200 if status == 201 else 403)
            names = [site.name for site in run(service.database, sites.list_all())]
            assert (name in names) is (status == 201)


async def test_no_foreign_page_signs_a_browser_in(service: Service) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        async with service.client() as client:
            answer = await client.post("/api/session", json={"token": ADMIN}, headers=headers)
            assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)


async def test_a_token_that_cannot_read_signs_nobody_in(service: Service) -> None:
    async with service.client() as client:
        answer = await sign_in(client, service.token("t", "ingest", "import"))
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)


async def test_sessions_end_with_the_token_and_all_at_once(service: Service) -> None:
    async with service.client() as one, service.client() as two:
        await sign_in(one, service.token("t", "read"))
        await sign_in(two, ADMIN)
        assert (await two.delete("/api/tokens/t", headers=SAME)).status_code == 200
        assert (await one.get("/api/session")).status_code == 401
        assert (await two.delete("/api/sessions", headers=SAME)).status_code == 200
        assert (await two.get("/api/session")).status_code == 401


async def test_a_header_counts_before_a_cookie(service: Service) -> None:
    async with service.client() as client:
        await sign_in(client, ADMIN)
        assert (await client.get("/api/tokens", headers=bearer("wrong"))).status_code == 401
        reader = bearer(service.token("t", "read"))
        assert (await client.get("/api/tokens", headers=reader)).status_code == 403


async def test_the_sign_in_link_works_once(service: Service) -> None:
    assert service.access.admin_digest
    code = run(service.database, sessions.make_code(service.access.admin_digest)).reveal()
    async with service.client() as client:
        answer = await client.get(f"/signin?code={code}")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/dashboard")
        assert (await client.get("/api/session")).json()["name"] == "ADMIN_TOKEN"
    async with service.client() as client:
        answer = await client.get(f"/signin?code={code}")
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (401, False)
        # It looks like the other pages, which the policy must allow.
        assert 'href="/docs.css"' in answer.text
        assert "style-src 'self'" in answer.headers["Content-Security-Policy"]
        assert (await client.get("/api/session")).status_code == 401


# ---- public links


async def test_a_public_link_reads_one_site(service: Service) -> None:
    async with service.client() as client:
        made = (
            await client.post("/api/sites/one.example/links", json={"name": "x"}, headers=bearer(ADMIN))
        ).json()
        share = f"?share={made['secret']}"
        assert made["path"] == f"/dashboard{share}"
        who = (await client.get(f"/api/session{share}")).json()
        assert (who["scopes"], who["site"], who["admin"]) == (["read"], "one.example", False)
        assert (await client.get(f"/api/sites/one.example/goals{share}")).status_code == 200
        for method, path in [
            ("GET", "/api/sites/two.example/goals"),
            ("GET", "/api/sites/one.example"),
            ("GET", "/api/sites/one.example/links"),
            ("GET", "/api/tokens"),
            ("GET", "/api/audit"),
            ("POST", "/api/sites/one.example/reset"),
            ("DELETE", "/api/sites/one.example"),
            ("POST", "/api/tokens"),
        ]:
            answer = await client.request(method, f"{path}{share}", headers=SAME)
            assert answer.status_code == 403, (method, path)
        await sign_in(client, ADMIN)  # the link in the address counts before the cookie
        assert (await client.get(f"/api/session{share}")).json()["admin"] is False
        await client.delete("/api/sites/one.example/links/x", headers=bearer(ADMIN))
        assert (await client.get(f"/api/session{share}")).status_code == 401


# ---- limits


async def test_one_principal_is_limited_with_the_standard_headers(database: str) -> None:
    limiter = Limiter(Rate("token", 0.001, 3))
    async with Service(database, limiter=limiter) as service, service.client() as client:
        answers = [await client.get("/api/sites", headers=bearer(ADMIN)) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        left = [re.findall(r";r=(\d+);", answer.headers["RateLimit"]) for answer in answers]
        assert left == [["2"], ["1"], ["0"], ["0"]]
        assert answers[0].headers["RateLimit-Policy"] == '"token";q=3;w=3000'
        assert int(answers[3].headers["Retry-After"]) > 900
        other = bearer(service.token("other", "read"))
        assert (await client.get("/api/sites", headers=other)).status_code == 200


# ---- what is done over HTTP


async def test_administration_from_end_to_end(service: Service) -> None:
    async with service.client() as client:
        client.headers.update(bearer(ADMIN))

        async def call(method: str, path: str, body: Any = None, status: int = 200) -> Any:
            answer = await client.request(method, path, json=body)
            assert answer.status_code == status, answer.text
            return answer.json()

        site = await call("POST", "/api/sites", {"name": "Shop.example", "time_zone": "Asia/Tokyo"}, 201)
        assert (site["name"], site["time_zone"]) == ("shop.example", "Asia/Tokyo")
        changed = await call("PATCH", "/api/sites/shop.example", {"excluded_paths": ["/admin/*"]})
        assert (changed["excluded_paths"], changed["time_zone"]) == (["/admin/*"], "Asia/Tokyo")
        goal = {"name": "Paid", "page_pattern": "/thanks*", "event_type": None}
        assert await call("POST", "/api/sites/shop.example/goals", goal, 201) == goal
        await call("POST", "/api/sites/shop.example/goals", goal, 409)
        assert (await call("GET", "/api/sites/shop.example/goals"))["goals"] == [goal]
        funnel = {"name": "Sale", "steps": [{"page_pattern": "/*"}, {"event_type": "paid"}]}
        assert await call("POST", "/api/sites/shop.example/funnels", funnel, 201) == funnel
        await call("POST", "/api/sites/shop.example/funnels", funnel, 409)
        other = {
            "name": "All/of it",
            "steps": [*funnel["steps"], {"event_type": "a", "property": "b", "value": "c"}],
        }
        await call("POST", "/api/sites/shop.example/funnels", {**other, "name": "Other"}, 201)
        await call("PUT", "/api/sites/shop.example/funnels/Sale", {**other, "name": "Other"}, 409)
        assert await call("PUT", "/api/sites/shop.example/funnels/Sale", other) == other
        await call("PUT", "/api/sites/shop.example/funnels/Sale", other, 404)
        assert await call("PUT", "/api/sites/shop.example/funnels/All/of it", other) == other
        await call("DELETE", "/api/sites/shop.example/funnels/Other")
        assert (await call("GET", "/api/sites/shop.example/funnels"))["funnels"] == [other]
        renamed = await call("POST", "/api/sites/shop.example/rename", {"name": "store.example"})
        assert renamed["aliases"] == ["shop.example"]
        await call("DELETE", "/api/sites/store.example/goals/Paid")
        await call("DELETE", "/api/sites/store.example/goals/Paid", status=404)
        await call("DELETE", "/api/sites/store.example/funnels/All%2Fof%20it")
        await call("DELETE", "/api/sites/store.example/funnels/All%2Fof%20it", status=404)
        made = await call(
            "POST", "/api/tokens", {"name": "ci", "scopes": ["ingest"], "site": "shop.example"}, 201
        )
        assert made["token"]["site"] == "store.example"
        listed = (await call("GET", "/api/tokens"))["tokens"]
        assert [token["name"] for token in listed] == ["ci"]
        assert made["secret"] not in str(listed)
        await call("POST", "/api/sites/store.example/reset")
        await call("DELETE", "/api/sites/store.example")
        await call("GET", "/api/sites/store.example", status=404)
        acts = await call("GET", "/api/audit?limit=3")
        assert [entry["action"] for entry in acts["entries"]] == ["site.delete", "site.reset", "token.create"]
        assert {entry["actor"] for entry in acts["entries"]} == {"ADMIN_TOKEN"}
        older = await call("GET", f"/api/audit?before={acts['next']}&limit=500")
        assert older["next"] is None
        assert made["secret"] not in str(older)
        acts = [
            entry["action"] for entry in reversed(older["entries"]) if entry["action"].startswith("funnel")
        ]
        assert acts == [
            f"funnel.{act}" for act in ("create", "create", "change", "change", "delete", "delete")
        ]


STEPS_OF = b'{"name":"f","steps":[{"event_type":"a"},{"page_pattern":"/*"}]}'

WRONG: list[tuple[str, str, bytes, int, str | None]] = [
    ("POST", "/api/sites", b"", 400, None),
    ("POST", "/api/sites", b"{", 400, None),
    ("POST", "/api/sites", b'{"name":"\xff"}', 400, None),
    ("POST", "/api/sites", b'{"name":NaN}', 400, None),
    ("POST", "/api/sites", b"[]", 422, None),
    ("POST", "/api/sites", b"{}", 422, "name"),
    ("POST", "/api/sites", b'{"name":1}', 422, "name"),
    ("POST", "/api/sites", b'{"name":"a b"}', 422, "name"),
    ("POST", "/api/sites", rb'{"name":"a\u0000b"}', 422, "name"),
    ("POST", "/api/sites", b'{"name":"a.example","is_admin":true}', 422, "is_admin"),
    ("POST", "/api/sites", b'{"name":"a.example","time_zone":"Mars"}', 422, "time_zone"),
    ("POST", "/api/sites", b'{"name":"one.example"}', 409, "name"),
    ("POST", "/api/sites", b'{"name":"' + b"x" * 70_000 + b'"}', 413, None),
    ("PATCH", "/api/sites/one.example", b'{"site_id":7}', 422, "site_id"),
    ("PATCH", "/api/sites/one.example", b'{"excluded_addresses":["x"]}', 422, "excluded_addresses"),
    ("POST", "/api/tokens", b'{"name":"t","scopes":[]}', 422, "scopes"),
    ("POST", "/api/tokens", b'{"name":"t","scopes":["root"]}', 422, "scopes"),
    ("POST", "/api/tokens", b'{"name":"t","scopes":["read"],"site":"no.example"}', 404, "site"),
    ("POST", "/api/sites/one.example/goals", b'{"name":"g"}', 422, "event_type"),
    ("POST", "/api/sites/one.example/goals", rb'{"name":"\u0000","event_type":"e"}', 422, "name"),
    ("POST", "/api/sites/one.example/funnels", b'{"name":"f","steps":[]}', 422, "steps"),
    ("POST", "/api/sites/one.example/funnels", b'{"name":"f","steps":[{},{}]}', 422, "steps[0]"),
    ("POST", "/api/sites/one.example/funnels", b'{"name":"f","steps":[{"goal":"g"},{}]}', 422, "steps"),
    ("PUT", "/api/sites/one.example/funnels/f", STEPS_OF.replace(b"f", b" ", 1), 422, "name"),
    ("PUT", "/api/sites/one.example/funnels/none", STEPS_OF, 404, "name"),
    ("DELETE", "/api/sites/one.example/funnels/%00", b"", 422, None),
    ("GET", "/api/sites/none.example", b"", 404, "site"),
    ("GET", "/api/sites/%00", b"", 422, None),
    ("GET", "/api/sites/%ff", b"", 404, "site"),
    ("DELETE", "/api/tokens/%00", b"", 422, None),
    ("DELETE", "/api/sites/one.example/goals/%00", b"", 422, None),
    ("DELETE", "/api/sites/one.example/links/%00", b"", 422, None),
    ("GET", "/api/tokens?site=%00", b"", 422, None),
    ("GET", "/api/audit?site=%00", b"", 422, None),
    ("GET", "/api/audit?limit=0", b"", 422, "limit"),
    ("GET", "/api/audit?limit=x", b"", 422, "limit"),
    ("GET", "/api/audit?before=null", b"", 422, "before"),
    ("GET", "/api/audit?before=99999999999999999999", b"", 422, "before"),
    ("GET", "/api/sites/' OR 1=1 --", b"", 404, "site"),
]


async def test_what_is_wrong_is_said(service: Service, subtests: pytest.Subtests) -> None:
    async with service.client() as client:
        for method, path, body, status, field in WRONG:
            with subtests.test(method=method, path=path, body=body[:60]):
                answer = await client.request(method, path, content=body, headers=bearer(ADMIN))
                assert answer.status_code == status, answer.text
                assert answer.json().get("field") == field
                assert answer.json()["status"] == "error"


async def test_without_a_database_the_answer_is_503(service: Service) -> None:
    await service.pool.close()
    async with service.client() as client:
        for path in ("/api/sites", "/api/tokens", "/api/sites/one.example/goals"):
            for token in (ADMIN, "of-the-database"):
                answer = await client.get(path, headers=bearer(token))
                assert (answer.status_code, answer.json()["error"]) == (503, "storage_unavailable")
                assert answer.headers["Retry-After"] == "5"
