"""The threat model names tests that exist, and what it says of outgoing requests is so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOMS = ("producer", "stats", "admin")
CLIENTS = {"urllib.request", "http.client", "httpx", "requests", "urllib3", "aiohttp", "smtplib", "ftplib"}


def test_every_test_that_is_named_exists(repository: Path) -> None:
    named = set(re.findall(r"`(test_\w+)::(test_\w+)`", (repository / "docs/threat-model.md").read_text()))
    written = {
        (path.stem, node.name)
        for path in (repository / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert len(named) > 50
    assert sorted(named - written) == []


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_that_answers_requests_can_make_one(repository: Path, room: str) -> None:
    files = sorted((repository / "src/portfolio_analytics" / room).rglob("*.py"))
    assert files
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            assert not CLIENTS & set(names), path
