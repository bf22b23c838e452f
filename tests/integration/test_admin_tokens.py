"""Tokens, sessions and links in a real database: what is kept, what lets in, and what ends it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from portfolio_analytics.settings import Secret
from portfolio_analytics.shared.access import ADMINISTRATOR, Principal, digest
from portfolio_analytics.shared.errors import InvalidValue, NameTaken, SettingsError, UnknownName
from portfolio_analytics.storage import admin_token, audit, public_links, sessions, sites, tokens
from portfolio_analytics.storage.steps import run

WHO = audit.COMMAND_LINE
ADMIN = digest("an admin token of some length")


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as connection:
        run(connection, sites.add("example.com", "UTC", WHO))
        yield connection


def everything(connection: psycopg.Connection[Any]) -> str:
    """Whatever the tables of trust hold, as text."""
    held = []
    for table in ("tokens", "sessions", "signin_codes", "public_links", "audit_log"):
        held += [str(row) for row in connection.execute(f"SELECT t::text FROM {table} t".encode()).fetchall()]
    return "\n".join(held)


def test_a_token_lets_in_until_it_is_revoked(connection: psycopg.Connection[Any]) -> None:
    token, secret = run(connection, tokens.create("ci", ["read", "ingest", "read"], "example.com", WHO))
    assert (token.scopes, token.site, token.last_used_at) == (["ingest", "read"], "example.com", None)
    principal = run(connection, tokens.lookup(digest(secret.reveal())))
    assert principal is not None
    assert (principal.name, principal.scopes, principal.site) == (
        "ci",
        frozenset({"read", "ingest"}),
        "example.com",
    )
    assert run(connection, tokens.lookup(digest(secret.reveal() + "x"))) is None
    used = run(connection, tokens.find("ci")).last_used_at
    assert used is not None
    assert (used.second, used.microsecond) == (0, 0)
    run(connection, tokens.revoke("ci", WHO))
    assert run(connection, tokens.lookup(digest(secret.reveal()))) is None
    assert run(connection, tokens.list_all())[0].revoked_at is not None
    with pytest.raises(UnknownName):
        run(connection, tokens.revoke("ci", WHO))
    run(connection, tokens.create("ci", ["read"], None, WHO))  # the name is free again


REFUSED: list[tuple[str, list[str], str]] = [
    ("", ["read"], "name"),
    ("a\0b", ["read"], "name"),
    ("x" * 101, ["read"], "name"),
    ("ok", [], "scopes"),
    ("ok", ["root"], "scopes"),
    ("ok", ["read", "ADMIN"], "scopes"),
]


def test_tokens_that_are_refused(connection: psycopg.Connection[Any], subtests: pytest.Subtests) -> None:
    for name, scopes, field in REFUSED:
        with subtests.test(name=name, scopes=scopes), pytest.raises(InvalidValue) as caught:
            run(connection, tokens.create(name, scopes, None, WHO))
        assert caught.value.field == field


def test_two_live_tokens_never_share_a_name(connection: psycopg.Connection[Any]) -> None:
    run(connection, tokens.create("ci", ["read"], None, WHO))
    with pytest.raises(NameTaken):
        run(connection, tokens.create("ci", ["admin"], None, WHO))


def test_no_secret_is_kept_anywhere(connection: psycopg.Connection[Any]) -> None:
    _, token = run(connection, tokens.create("ci", ["read"], None, WHO))
    principal = run(connection, tokens.lookup(digest(token.reveal())))
    assert principal
    _, link = run(connection, public_links.create("example.com", "board", WHO))
    secrets = [
        token,
        link,
        run(connection, sessions.start(principal, ADMIN)),
        run(connection, sessions.start(ADMINISTRATOR, ADMIN)),
        run(connection, sessions.make_code(ADMIN)),
    ]
    held = everything(connection)
    assert held.count("\\\\x") >= len(secrets)  # the hashes are there
    for secret in secrets:
        assert secret.reveal() not in held
        assert secret.reveal().encode().hex() not in held
        assert secret.reveal() not in repr(secret)


def test_a_session_ends_with_its_token(connection: psycopg.Connection[Any]) -> None:
    _, secret = run(connection, tokens.create("me", ["read"], "example.com", WHO))
    principal = run(connection, tokens.lookup(digest(secret.reveal())))
    assert principal
    session = run(connection, sessions.start(principal, None)).reveal()
    for admin in (None, ADMIN):  # an ADMIN_TOKEN that comes and goes is none of its business
        assert run(connection, sessions.lookup(session, admin)) == principal
    run(connection, tokens.revoke("me", WHO))
    assert run(connection, sessions.lookup(session, None)) is None


def test_a_session_of_the_administrator_ends_with_the_admin_token(
    connection: psycopg.Connection[Any],
) -> None:
    session = run(connection, sessions.start(ADMINISTRATOR, ADMIN)).reveal()
    assert run(connection, sessions.lookup(session, ADMIN)) == ADMINISTRATOR
    assert run(connection, sessions.lookup(session, digest("another one"))) is None
    assert run(connection, sessions.lookup(session, None)) is None
    run(connection, sessions.end(session, ADMIN))
    assert run(connection, sessions.lookup(session, ADMIN)) is None


def test_sessions_expire_and_end_together(connection: psycopg.Connection[Any]) -> None:
    first = run(connection, sessions.start(ADMINISTRATOR, ADMIN)).reveal()
    connection.execute("UPDATE sessions SET expires_at = now() - interval '1 second'")
    assert run(connection, sessions.lookup(first, ADMIN)) is None
    second = run(connection, sessions.start(ADMINISTRATOR, ADMIN)).reveal()
    assert connection.execute("SELECT count(*) FROM sessions").fetchone() == (1,)  # the old one was swept
    run(connection, sessions.end_all(WHO))
    assert run(connection, sessions.lookup(second, ADMIN)) is None


def test_a_code_is_good_once(connection: psycopg.Connection[Any], database: str) -> None:
    code = run(connection, sessions.make_code(ADMIN)).reveal()

    def use(_: int) -> bool:
        with psycopg.connect(database, autocommit=True) as own:
            return run(own, sessions.use_code(code, ADMIN))

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(use, range(8))) == [False] * 7 + [True]


@pytest.mark.parametrize(
    ("spoil", "key"),
    [
        ("UPDATE signin_codes SET expires_at = now() - interval '1 second'", ADMIN),
        ("SELECT 1", digest("another admin token")),
    ],
)
def test_a_code_that_is_not_good(connection: psycopg.Connection[Any], spoil: str, key: bytes) -> None:
    code = run(connection, sessions.make_code(ADMIN)).reveal()
    connection.execute(spoil.encode())
    assert not run(connection, sessions.use_code(code, key))
    assert not run(connection, sessions.use_code("no such code", ADMIN))


def test_a_link_reads_one_site_until_it_is_revoked(connection: psycopg.Connection[Any]) -> None:
    _, secret = run(connection, public_links.create("example.com", "board", WHO))
    reader = run(connection, public_links.lookup(digest(secret.reveal())))
    assert reader == Principal("public link", frozenset({"read"}), "example.com")
    assert reader is not None
    assert not reader.may("read", "other.example")
    assert not reader.may("read", None)
    assert not reader.may("admin", "example.com")
    with pytest.raises(NameTaken):
        run(connection, public_links.create("example.com", "board", WHO))
    run(connection, public_links.revoke("example.com", "board", WHO))
    assert run(connection, public_links.lookup(digest(secret.reveal()))) is None
    with pytest.raises(UnknownName):
        run(connection, public_links.revoke("example.com", "board", WHO))


def test_the_admin_token_is_made_once_and_private(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: admin_token.load_or_create(tmp_path), range(8)))
    assert len(made) == 1
    file = tmp_path / admin_token.FILE_NAME
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [admin_token.FILE_NAME]
    file.chmod(0o644)
    assert admin_token.load_or_create(tmp_path) in made
    assert file.stat().st_mode & 0o777 == 0o600


def test_an_admin_token_that_is_none_is_reported(tmp_path: Path) -> None:
    (tmp_path / admin_token.FILE_NAME).write_text("short\n")
    with pytest.raises(SettingsError, match="delete it"):
        admin_token.load_or_create(tmp_path)
    assert isinstance(admin_token.load_or_create(make(tmp_path / "new")), Secret)


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder
