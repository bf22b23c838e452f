"""What the commands say of themselves, and where they look when nobody tells them."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from cyclopts import App
from rich.console import Console

from portfolio_analytics.cli import app
from portfolio_analytics.cli.shell import list_table
from portfolio_analytics.settings import Settings, local_url


def commands(under: App, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in under:
        if not name.startswith("-"):
            yield (*path, name)
            yield from commands(under[name], (*path, name))


@pytest.mark.parametrize("path", sorted(commands(app)), ids=" ".join)
def test_every_command_has_help_with_an_example_of_itself(path: tuple[str, ...]) -> None:
    printed = io.StringIO()
    app.help_print(list(path), console=Console(file=printed, width=300))
    assert f"portfolio-analytics {' '.join(path)}" in printed.getvalue().partition("Example: ")[2]


def test_the_contracts_commands_are_there() -> None:
    serving = {"run", "producer", "consumer", "migrate", "doctor"}
    looking_after = {"sites", "tokens", "badrows", "verify", "rebuild", "replay"}
    moving = {"import", "export", "erase", "demo"}
    assert {(name,) for name in serving | looking_after | moving} <= set(commands(app))


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"PORT": "18080"}, "http://127.0.0.1:18080"),
        ({"HOST": "0.0.0.0", "PORT": "80"}, "http://127.0.0.1:80"),
        ({"HOST": "::1"}, "http://[::1]:8080"),
        ({"HOST": "analytics.internal"}, "http://analytics.internal:8080"),
    ],
)
def test_the_service_is_looked_for_where_it_listens(environ: dict[str, str], url: str) -> None:
    assert local_url(Settings.load(environ)) == url


def test_what_other_commands_are_given_is_listed_whole() -> None:
    printed = io.StringIO()
    table = list_table("name", "scopes", "site", "created", "last used", "revoked")
    name = "a-name-that-is-longer-than-any-column-of-it-would-be"
    table.add_row(name, "ingest, import, read, admin", "analytics.example.com", "2026-01-01 10:00", "", "")
    Console(file=printed, width=80).print(table)
    assert name in printed.getvalue()


def test_an_offset_alone_names_no_record(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        app(["replay", "--offset", "5"])
    assert ended.value.code == 2
    assert "--offset needs --partition" in capfd.readouterr().err
