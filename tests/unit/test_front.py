"""The tracker under a second path."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from portfolio_analytics import front
from portfolio_analytics.settings import Settings
from portfolio_analytics.shared.errors import SettingsError


async def test_the_tracker_has_a_second_path(tmp_path: Path) -> None:
    (tmp_path / "tracker.js").write_text("track()")
    app = httpx.ASGITransport(Starlette(routes=front.routes(tmp_path, "/assets/site.js")))
    async with httpx.AsyncClient(transport=app, base_url="http://test") as client:
        for path in ("/tracker.js", "/assets/site.js"):
            answer = await client.get(path)
            assert answer.text == "track()"
            assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", ["site.js", "/site", "/api/site.js", "//evil/site.js"])
def test_what_is_no_path_of_a_script_is_refused(path: str) -> None:
    with pytest.raises(SettingsError, match="TRACKER_PATH"):
        Settings.load({"TRACKER_PATH": path})
