"""What is wrong with the environment is told all at once, and without secrets."""

from __future__ import annotations

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
