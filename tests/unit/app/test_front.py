"""The files that browsers get: types, caching, compression, and nothing from outside the folder."""

from __future__ import annotations

import gzip
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from portfolio_analytics.app.front import routes
from portfolio_analytics.shared.http import ApiError, answer_error

SCRIPT = b"console.log('tracker')" * 100


@pytest.fixture
def root(tmp_path: Path) -> Path:
    web = tmp_path / "web"
    (web / "dashboard" / "assets").mkdir(parents=True)
    (web / "tracker.js").write_bytes(SCRIPT)
    (web / "tracker.js.gz").write_bytes(gzip.compress(SCRIPT))
    (web / "dashboard" / "index.html").write_text("<!doctype html>")
    (web / "dashboard" / "assets" / "app-1234.js").write_text("1")
    (tmp_path / "secret.txt").write_text("secret")
    return web


async def get(root: Path, path: str, **headers: str) -> httpx.Response:
    app = Starlette(routes=routes(root), exception_handlers={ApiError: answer_error})
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        sent = {"accept-encoding": "identity"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return await client.get(path, headers=sent)


async def test_the_tracker_is_for_every_origin(root: Path) -> None:
    answer = await get(root, "/tracker.js")
    assert (answer.status_code, answer.content) == (200, SCRIPT)
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    compressed = await get(root, "/tracker.js", accept_encoding="gzip, br")
    assert compressed.headers["content-encoding"] == "gzip"
    assert compressed.content == SCRIPT
    assert "Accept-Encoding" in compressed.headers["vary"]


async def test_what_a_browser_has_is_not_sent_again(root: Path) -> None:
    first = await get(root, "/tracker.js")
    again = await get(root, "/tracker.js", if_none_match=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert (await get(root, "/tracker.js", if_none_match='"another"')).status_code == 200


async def test_the_dashboard_and_its_views(root: Path) -> None:
    assert (await get(root, "/dashboard?site=a")).headers["location"] == "/dashboard/?site=a"
    for path in ("/dashboard/", "/dashboard/sites/a/pages"):
        page = await get(root, path)
        assert (page.status_code, page.text) == (200, "<!doctype html>")
        assert page.headers["cache-control"] == "no-cache"
        assert "default-src" in page.headers["content-security-policy"]
    asset = await get(root, "/dashboard/assets/app-1234.js")
    assert "immutable" in asset.headers["cache-control"]


@pytest.mark.parametrize(
    "path",
    [
        "/dashboard/assets/missing.js",
        "/dashboard/..%2f..%2fsecret.txt",
        "/dashboard/%2e%2e/%2e%2e/secret.txt",
        "/dashboard/assets/../../../secret.txt",
        "/dashboard//etc/hosts.txt",
        "/vitals.js",
        "/dashboard/%00.js",
        f"/dashboard/{'x' * 300}.js",
    ],
)
async def test_nothing_else_is_served(root: Path, path: str) -> None:
    answer = await get(root, path)
    assert answer.status_code == 404
    assert "secret" not in answer.text.replace("secret.txt", "")
