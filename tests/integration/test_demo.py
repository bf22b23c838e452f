"""The demo before the real service: numbers move, and Ctrl-C ends it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from portfolio_analytics.demo.sender import run_demo
from portfolio_analytics.storage.database import connect
from tests.integration.service import ADMIN_TOKEN, RunningService, wait_for


@pytest.fixture
def running(database: str, tmp_path: Path, free_port: int) -> RunningService:
    return RunningService(database, tmp_path, free_port)


def rows(running: RunningService, query: str) -> list[tuple[object, ...]]:
    with connect(running.database_url) as connection:
        return connection.execute(query.encode()).fetchall()


def taken(said: str) -> int:
    found = re.findall(r"([\d,]+) events of [\d,]+ visits were taken\.", said)
    assert found, said
    return int(found[-1].replace(",", ""))


def test_numbers_move(running: RunningService, tmp_path: Path) -> None:
    with running, (tmp_path / "said").open("w") as file:
        console = Console(record=True, file=file, width=100)
        status = run_demo(running.url, ADMIN_TOKEN, "demo.example", 30.0, 1.5, days=2, console=console)
        assert status == 0
        sent = taken(console.export_text())
        assert sent > 500
        wait_for(
            lambda: rows(running, "SELECT count(*) FROM events") == [(sent,)],
            90.0,
            lambda: f"{sent} events, not {rows(running, 'SELECT count(*) FROM events')}",
        )
        assert {kind for (kind,) in rows(running, "SELECT DISTINCT type FROM events")} >= {
            "page_view", "click", "time_spent",
        }  # fmt: skip
        assert len(rows(running, "SELECT DISTINCT day FROM events")) >= 3
        assert len(rows(running, "SELECT DISTINCT country FROM clients WHERE country <> ''")) >= 8
        assert len(rows(running, "SELECT DISTINCT channel FROM origins")) >= 4
        assert rows(running, "SELECT count(*) FROM bad_rows") == [(0,)]

        console = Console(record=True, file=file, width=100)
        assert run_demo(running.url, None, "demo.example", 10.0, 0.5, console=console) == 0
        said = console.export_text()
        assert "Without a token" in said
        assert taken(said) > 0


def test_ctrl_c_ends_it(running: RunningService) -> None:
    with running:
        demo = subprocess.Popen(
            [sys.executable, "-m", "portfolio_analytics", "demo", "--url", running.url, "--rate", "50"],
            env=os.environ | {"ADMIN_TOKEN": ADMIN_TOKEN},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            wait_for(
                lambda: rows(running, "SELECT count(*) > 100 FROM events") == [(True,)],
                90.0,
                lambda: "the demo's events",
            )
            demo.send_signal(signal.SIGINT)
            said, _ = demo.communicate(timeout=20)
        finally:
            demo.kill()
            demo.wait()
        assert demo.returncode == 0, said
        assert taken(said) > 100
        assert "Traceback" not in said


def test_nothing_answers(tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portfolio_analytics.demo.sender.PATIENCE", 0.2)
    with (tmp_path / "said").open("w") as file:
        console = Console(record=True, file=file, width=100)
        assert run_demo(f"http://127.0.0.1:{free_port}", None, "demo", 5.0, 1.0, console=console) == 1
        assert "did not take a batch" in console.export_text()
        assert run_demo("ftp://nowhere", None, "demo", 5.0, 1.0, console=console) == 1
