"""What is cut before it is stored, and what is kept exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_analytics.producer.clean import (
    MAX_PAGE_BYTES,
    clean_link,
    clean_page,
    clean_referrer,
    cut_bytes,
    origin_host,
)

PAGES = [
    ("/", (None, "/")),
    ("/blog/post", (None, "/blog/post")),
    ("/blog?secret=1", (None, "/blog")),
    ("/blog?utm_source=x&secret=1&utm_medium=y", (None, "/blog?utm_source=x&utm_medium=y")),
    ("/?ref=a&source=b&Ref=c&reference=d", (None, "/?ref=a&source=b&Ref=c")),
    ("/?q=shoes&page=2", (None, "/?page=2")),
    ("/#token", (None, "/")),
    ("/a#/b?utm_source=x", (None, "/a")),
    ("/a?utm_source=x#utm_medium=y", (None, "/a?utm_source=x")),
    ("/a?", (None, "/a")),
    ("/a?&&utm_id", (None, "/a?utm_id")),
    ("?q=1", (None, "/")),
    ("#top", (None, "/")),
    ("/caf%C3%A9/%2e%2E/x", (None, "/caf%C3%A9/%2e%2E/x")),
    ("/café/日本語/../🙂", (None, "/café/日本語/../🙂")),
    ("/a b\t", (None, "/a b\t")),
    ("/%00", (None, "/%00")),
    ("//double//", (None, "//double//")),
    ("/a;session=1", (None, "/a;session=1")),
    ("home", (None, "home")),
    ("/'; DROP TABLE events; --", (None, "/'; DROP TABLE events; --")),
    ("https://Example.com/a?x=1&utm_term=t#f", ("example.com", "/a?utm_term=t")),
    ("https://example.com", ("example.com", "/")),
    ("https://example.com?x=1", ("example.com", "/")),
    ("http://user:secret@example.com:8080/a", ("example.com", "/a")),
    ("https://example.com./a", ("example.com", "/a")),
    ("https://[::1]:80/a", ("[::1]", "/a")),
    ("https:///a", (None, "/a")),
    ("https://example.com\\@evil.example/a", ("example.com", "\\@evil.example/a")),
    ("app://window/a", ("window", "/a")),
    ("1x://a/b", (None, "1x://a/b")),
]


@pytest.mark.parametrize(("page", "cleaned"), PAGES)
def test_pages(page: str, cleaned: tuple[str | None, str]) -> None:
    assert clean_page(page, {"page"}) == cleaned


def test_a_long_path_is_cut_at_2000_bytes_and_a_whole_character() -> None:
    assert clean_page("/" + "a" * 10_000, ())[1] == "/" + "a" * 1999
    assert clean_page("/" + "é" * 10_000, ())[1] == "/" + "é" * 999
    assert clean_page("/" + "a" * 1999, ())[1] == "/" + "a" * 1999


REFERRERS = [
    ("https://www.google.com/", "https://www.google.com/"),
    ("https://www.google.com", "https://www.google.com/"),
    ("HTTPS://News.Example/a?id=5&utm_source=n#c", "https://news.example/a?utm_source=n"),
    ("https://me:pw@example.com/x", "https://example.com/x"),
    ("https://mail.example/?email=me@example.com", "https://mail.example/"),
    ("android-app://com.google.android.gm/", "android-app://com.google.android.gm/"),
    ("", None),
    ("about:blank", None),
    ("/path", None),
    ("no address at all", None),
    ("https://", None),
]


@pytest.mark.parametrize(("referrer", "cleaned"), REFERRERS)
def test_referrers(referrer: str, cleaned: str | None) -> None:
    assert clean_referrer(referrer, ()) == cleaned


LINKS = [
    ("mailto:me@example.com?subject=x", "mailto:"),
    ("tel:+4912345", "tel:"),
    ("MAILTO:me@example.com", "mailto:"),
    ("javascript:alert(1)", "javascript:"),
    ("data:text/html,x", "data:"),
    ("https://Example.com/a?key=1", "https://example.com/a"),
    ("/docs?version=2#install", "/docs"),
    ("docs/page", "docs/page"),
    ("#top", None),
    ("", None),
]


@pytest.mark.parametrize(("href", "cleaned"), LINKS)
def test_links(href: str, cleaned: str | None) -> None:
    assert clean_link(href, ()) == cleaned


ORIGINS = [
    ("https://example.com", "example.com"),
    ("http://localhost:3000", "localhost"),
    ("HTTPS://Example.com", "example.com"),
    ("null", None),
    ("", None),
    (None, None),
    ("file://", None),
    ("chrome-extension://abcdef", None),
]


@pytest.mark.parametrize(("origin", "host"), ORIGINS)
def test_origins(origin: str | None, host: str | None) -> None:
    assert origin_host(origin) == host


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(texts, st.integers(0, 50))
def test_a_cut_text_is_a_prefix_that_fits(text: str, limit: int) -> None:
    cut = cut_bytes(text, limit)
    assert text.startswith(cut)
    assert len(cut.encode()) <= limit
    if cut != text:
        assert len(text[: len(cut) + 1].encode()) > limit


@given(texts)
def test_nothing_secret_is_kept_of_any_text(text: str) -> None:
    for prefix in ("/", "https://h.example/", ""):
        _, page = clean_page(f"{prefix}{text}?secret={text}#secret", ())
        assert len(page.encode()) <= MAX_PAGE_BYTES
        assert "secret" not in page or "secret" in text
        assert "#" not in page
