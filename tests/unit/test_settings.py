"""What is wrong with the environment is told all at once, and without secrets."""

from __future__ import annotations

import traceback

import pytest

from portfolio_analytics.settings import Settings
from portfolio_analytics.shared.errors import SettingsError

SECRETS = {
    "DATABASE_URL": "mysql://user:hunter2-database@host/x",
    "KAFKA_PASSWORD": "hunter2-kafka",
    "ADMIN_TOKEN": "hunter2-admin",
}
WRONG = {
    "KAFKA_BROKER": "kafka, other:99999",
    "PORT": "eighty",
    "PUBLIC_STATS": "maybe",
    "CONSENT": "yes",
    "ALLOWED_ORIGINS": "https://a.example/path, ftp://b.example, *",
    "SITES": "a b, c/d, e.example",
    "TRUSTED_PROXIES": "10.0.0.0/8, 1.2.3.4/99, proxy",
}


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ)
    return caught.value.problems


def test_every_mistake_is_told_and_no_secret() -> None:
    found = problems(SECRETS | WRONG)
    for name in WRONG.keys() | {"DATABASE_URL", "ADMIN_TOKEN", "KAFKA_USER"}:
        assert sum(sentence.startswith(name) for sentence in found) == 1, (name, found)
    assert "hunter2" not in " ".join(found)


@pytest.mark.parametrize(
    ("name", "items"),
    [
        ("KAFKA_BROKER", ["'kafka'", "'other:99999'"]),
        ("ALLOWED_ORIGINS", ["'https://a.example/path'", "'ftp://b.example'"]),
        ("SITES", ["'a b'", "'c/d'"]),
        ("TRUSTED_PROXIES", ["'1.2.3.4/99'", "'proxy'"]),
    ],
)
def test_every_wrong_item_of_a_list_is_told(name: str, items: list[str]) -> None:
    [sentence] = problems({name: WRONG[name]})
    assert [item for item in items if item in sentence] == items
    assert "e.example" not in sentence
    assert "10.0.0.0/8, " not in sentence


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://user:hunter2%zz@host/x",
        "postgresql://user:hunter2\u2100@host/x",
        "postgresql://user:hunter2@[::1/x",
        "host=host password='hunter2",
        "host=host hunter2=1",
    ],
)
def test_an_address_that_cannot_be_read_is_not_shown(address: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load({"DATABASE_URL": address})
    assert "DATABASE_URL: cannot be read as a PostgreSQL address" in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in shown


def test_addresses_that_can_be_read() -> None:
    for address in (
        "postgresql://user:a%25b@host/x",
        "postgres://h1:5432,h2/x?sslmode=require",
        "host=h user=u",
    ):
        assert Settings.load({"DATABASE_URL": address}).database_url is not None
