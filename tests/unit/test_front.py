"""The tracker under a second path."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from portfolio_analytics import front
from portfolio_analytics.settings import Settings
from portfolio_analytics.shared.errors import SettingsError


def test_the_tracker_has_a_second_path(tmp_path: Path) -> None:
    (tmp_path / "tracker.js").write_text("track()")
    client = TestClient(Starlette(routes=front.routes(tmp_path, "/assets/site.js")))
    for path in ("/tracker.js", "/assets/site.js"):
        answer = client.get(path)
        assert answer.text == "track()"
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", ["site.js", "/site", "/api/site.js", "//evil/site.js"])
def test_what_is_no_path_of_a_script_is_refused(path: str) -> None:
    with pytest.raises(SettingsError, match="TRACKER_PATH"):
        Settings.load({"TRACKER_PATH": path})
