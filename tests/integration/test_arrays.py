"""Arrays as parameters: PostgreSQL reads what was written."""

from __future__ import annotations

import psycopg
from hypothesis import given
from hypothesis import strategies as st

from portfolio_analytics.storage.arrays import Numbers, Texts, numbers, texts

# PostgreSQL's text holds neither NUL nor half a surrogate pair; nothing else is special to it.
a_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(st.lists(a_text | st.sampled_from(["", "NULL", "null", '"', "\\", "{}", "a,b", " ", '\\"'])))
def test_texts(postgres_url: str, values: list[str]) -> None:
    assert _read(postgres_url, "SELECT %s::text[]", texts(values)) == values


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1)))
def test_numbers(postgres_url: str, values: list[int]) -> None:
    assert _read(postgres_url, "SELECT %s::bigint[]", numbers(values)) == values


def _read(url: str, statement: str, value: Numbers | Texts) -> list[object]:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement.encode(), [value]).fetchone()
    assert row is not None
    found: list[object] = row[0]
    return found
