"""Every operation of the running service against whoever should not get in; none can be forgotten."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance
from starlette.routing import Route

from portfolio_analytics.app.http import HttpApp
from portfolio_analytics.app.interface import OPERATIONS
from portfolio_analytics.settings import Secret, Settings
from portfolio_analytics.shared.openapi import ANYONE_KNOWN, PUBLIC, Operation, document
from portfolio_analytics.storage import audit, funnels, goals, public_links, sites, tokens
from portfolio_analytics.storage.steps import run
from tests.databases import new_database
from tests.integration.service import ADMIN_TOKEN, RunningService, wait_for

HIDDEN = "hidden-marker.example"
OWN = "own.example"

# What anybody may call. Whoever adds to this list has decided so.
OPEN = {
    "GET /",
    "GET /api/health",
    "GET /api/health/live",
    "GET /api/health/ready",
    "GET /api/stats",
    "POST /api/analytics",
    "POST /api/analytics/batch",
    "GET /pixel.gif",
    "POST /api/session",
    "DELETE /api/session",
    "GET /signin",
    "GET /openapi.json",
    "GET /docs",
    "GET /docs.css",
    "GET /tracker.js",
    "GET /vitals.js",
    "GET /dashboard",
    "GET /dashboard/{name}",
}

# What pages of other origins may read.
SHARED = {
    "/api/stats",
    "/api/health",
    "/api/health/live",
    "/api/health/ready",
    "/tracker.js",
    "/vitals.js",
}

_networks = itertools.count(1)


def title(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


ENDLESS = {"/api/realtime"}
GUARDED = [operation for operation in OPERATIONS if operation.access != PUBLIC]


def test_the_document_lists_exactly_what_the_service_answers(database: str, tmp_path: Path) -> None:
    given = Settings(database_url=Secret(database), data_dir=tmp_path)
    service = HttpApp(given, tmp_path / "metrics")
    answered = {
        f"{method} {route.path.replace(':path}', '}')}"
        for route in service._bridge._app.routes  # type: ignore[attr-defined]
        for method in (route.methods or set()) - {"HEAD"}
        if isinstance(route, Route)
    }
    answered |= {f"{'GET' if path.endswith('.gif') else 'POST'} {path}" for path in service._handlers}
    assert answered == {title(operation) for operation in OPERATIONS}
    assert len(OPERATIONS) == len(answered)


def test_what_is_open_was_decided() -> None:
    assert {title(operation) for operation in OPERATIONS if operation.access == PUBLIC} == OPEN


@dataclass
class Town:
    """A service with a site to hide, one of the caller's own, and whoever may ask about the latter."""

    url: str
    database: psycopg.Connection[Any]
    hidden_event: str
    strangers: dict[str, dict[str, Any]]

    def call(self, operation: Operation, **sender: Any) -> httpx.Response:
        """Call with the hidden site wherever the operation takes one, as a client behind a proxy."""
        path = operation.path.format(
            site=HIDDEN, name=f"marker-{operation.tag.split()[-1]}", event_id=self.hidden_event
        )
        params = dict(sender.pop("params", {}))
        for parameter in operation.parameters:
            if parameter.name in QUERY:
                params[parameter.name] = QUERY[parameter.name]
        headers = {
            "X-Forwarded-For": "203.0.113.9",
            "Sec-Fetch-Site": "same-origin",
            **sender.pop("headers", {}),
        }
        body = BODIES.get(title(operation)) if operation.body is not None else None
        # A network of its own for each call: wrong tokens of one network are made to wait.
        tens, ones = divmod(next(_networks), 250)
        transport = httpx.HTTPTransport(local_address=f"127.{tens + 1}.{ones}.1")
        with httpx.Client(base_url=self.url, transport=transport, timeout=30) as client:
            return client.request(operation.method, path, params=params, headers=headers, json=body)

    def state(self) -> list[Any]:
        """All that a stranger could have changed."""
        tables = (
            "sites",
            "goals",
            "funnels",
            "public_links",
            "site_aliases",
            "suppressions",
            "audit_log",
            "sessions",
        )
        return [
            self.database.execute(f"SELECT t::text FROM {table} t ORDER BY 1".encode()).fetchall()
            for table in tables
        ] + self.database.execute("SELECT name, revoked_at FROM tokens ORDER BY 1").fetchall()


STEPS = [{"event_type": "marker"}, {"page_pattern": "/marker"}]
FUNNEL = {"name": "new", "steps": STEPS}
QUERY = {"site": HIDDEN, "site_id": HIDDEN, "property": "event:page"}
BODIES: dict[str, Any] = {
    "POST /api/sites": {"name": "new.example"},
    "PATCH /api/sites/{site}": {"time_zone": "Asia/Tokyo"},
    "POST /api/sites/{site}/rename": {"name": "taken.example"},
    "POST /api/sites/{site}/goals": {"name": "new", "event_type": "new"},
    "POST /api/sites/{site}/funnels": FUNNEL,
    "PUT /api/sites/{site}/funnels/{name}": FUNNEL,
    "POST /api/sites/{site}/links": {"name": "new"},
    "POST /api/tokens": {"name": "new", "scopes": ["read"], "site": HIDDEN},
    "POST /api/v2/query": {"site_id": HIDDEN, "metrics": ["visitors"], "date_range": "7d"},
    "POST /api/v2/funnel": {"site_id": HIDDEN, "date_range": "7d", "funnel": "marker-funnels"},
}


@pytest.fixture(scope="module")
def own_database(postgres_url: str, migrated_template: str) -> Iterator[str]:
    with new_database(postgres_url, migrated_template) as address:
        yield address


@pytest.fixture(scope="module")
def town(own_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (
        RunningService(own_database, tmp_path_factory.mktemp("service"), port) as service,
        psycopg.connect(own_database, autocommit=True) as database,
    ):
        who = audit.COMMAND_LINE
        for name in (HIDDEN, OWN):
            run(database, sites.add(name, "UTC", who))
        run(database, goals.create(HIDDEN, goals.Goal("marker-goals", event_type="marker"), who))
        run(database, funnels.create(HIDDEN, funnels.Funnel("marker-funnels", funnels.steps_of(STEPS)), who))
        run(database, public_links.create(HIDDEN, "marker-links", who))
        run(database, tokens.create("marker-tokens", ["read"], HIDDEN, who))
        event = {"event_type": "marker-event", "page": "/marker", "site": HIDDEN}
        sent = httpx.post(f"{service.url}/api/analytics", json=event)
        assert sent.status_code == 201
        wait_for(
            lambda: bool(database.execute("SELECT FROM events WHERE type = 'marker-event'").fetchall()),
            60,
            lambda: f"the event to be counted:\n{service.output()}",
        )
        strangers: dict[str, dict[str, Any]] = {}
        for scope in ("ingest", "import", "read", "admin"):
            _, secret = run(database, tokens.create(f"own-{scope}", [scope], OWN, who))
            strangers[scope] = {"headers": {"Authorization": f"Bearer {secret.reveal()}"}}
        _, secret = run(database, public_links.create(OWN, "own", who))
        strangers["link"] = {"params": {"share": secret.reveal()}}
        yield Town(service.url, database, sent.json()["event_id"], strangers)


@pytest.mark.parametrize("operation", GUARDED, ids=title)
def test_nobody_without_a_right_token(town: Town, operation: Operation) -> None:
    before = town.state()
    for sender in (
        {},
        {"headers": {"Authorization": "Bearer wrong"}},
        {"headers": {"Authorization": f"Bearer {ADMIN_TOKEN}0"}},
        {"headers": {"Cookie": "portfolio_session=wrong; __Host-portfolio_session=wrong"}},
        {"params": {"share": "wrong"}},
    ):
        answer = town.call(operation, **sender)
        assert answer.status_code == 401, (sender, answer.text)
        assert answer.json()["error"] == "unauthorized"
        assert "marker" not in answer.text
        assert "www-authenticate" in answer.headers
    assert town.state() == before


@pytest.mark.parametrize("operation", GUARDED, ids=title)
def test_nothing_of_another_site(town: Town, operation: Operation) -> None:
    before = town.state()
    for name, sender in town.strangers.items():
        answer = town.call(operation, **sender)
        if operation.access == ANYONE_KNOWN:
            assert answer.status_code == 200, (name, answer.text)
        else:
            assert answer.status_code in (403, 404), (name, answer.text)
            assert answer.json()["status"] == "error"
        assert "marker" not in answer.text.replace("'marker-tokens'", ""), name
    assert town.state() == before


def test_the_administrator_may(town: Town) -> None:
    """The calls above are refused for who makes them, not for what they say."""
    sender = {"headers": {"Authorization": f"Bearer {ADMIN_TOKEN}"}}
    for operation in GUARDED:
        if operation.method == "GET" and operation.path not in ENDLESS:
            answer = town.call(operation, **sender)
            assert answer.status_code == 200, title(operation)
            assert answer.headers["ratelimit-policy"] == '"token";q=5000;w=10', title(operation)
        elif operation.path.startswith("/api/v2/"):
            assert town.call(operation, **sender).status_code == 200, title(operation)


@pytest.mark.parametrize("operation", [op for op in OPERATIONS if op.tag != "events"], ids=title)
def test_no_answer_lets_a_browser_be_misled(town: Town, operation: Operation) -> None:
    answer = town.call(operation)
    policy = answer.headers["content-security-policy"]
    assert "'none'" in policy
    assert "frame-ancestors 'none'" in policy
    for exception in ("unsafe", "*", "http:", "https:", "blob:"):
        assert exception not in policy
    assert "data:" not in policy.replace("img-src 'self' data:", "")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "set-cookie" not in answer.headers
    foreign = town.call(operation, headers={"Origin": "https://evil.example"})
    readable = operation.path in SHARED
    assert (foreign.headers.get("access-control-allow-origin") == "*") is readable
    assert "access-control-allow-credentials" not in foreign.headers


DESCRIBED = schemathesis.openapi.from_dict(document(OPERATIONS, "0"))


@pytest.mark.parametrize("operation", [op for op in OPERATIONS if op.path not in ENDLESS], ids=title)
def test_the_service_does_as_the_document_says(town: Town, operation: Operation) -> None:
    """No answer that is not described, no answer of another shape, nothing invalid taken, no 5xx.

    What is valid by the schema may still be refused: a time zone must exist, a site's name have no space.
    Who is let in is shown above.
    """
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "X-Forwarded-For": "203.0.113.9"}
    described = DESCRIBED[operation.path][operation.method]
    valid = described.as_strategy(generation_mode=GenerationMode.POSITIVE)
    invalid = described.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    varied = bool(operation.parameters or operation.body or "{" in operation.path)

    @settings(
        max_examples=8 if varied else 1,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(case=st.one_of(valid, invalid) if varied else valid)
    def answers_as_described(case: Any) -> None:
        case.call_and_validate(
            base_url=town.url, headers=headers, excluded_checks=[positive_data_acceptance, ignored_auth]
        )

    answers_as_described()
