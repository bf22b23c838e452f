"""Where visits come from: sources, channels, campaigns, and what is left of the page."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_analytics.consumer.enrich.origin import Origin, classify, referrer_place
from portfolio_analytics.consumer.enrich.sources import read_sources

SITE = "example.com"


def origin_of(referrer: str | None, page: str = "/", host: str | None = None) -> Origin | None:
    return classify(referrer, page, SITE, host)[0]


REFERRERS = [
    ("https://www.google.com/", "Google", "Organic Search"),
    ("https://www.google.co.uk/search?q=secret", "Google", "Organic Search"),
    ("https://news.google.com/articles/1", "Google News", "Organic Search"),
    ("https://www.bing.com/", "Bing", "Organic Search"),
    ("https://duckduckgo.com/", "DuckDuckGo", "Organic Search"),
    ("https://chatgpt.com/", "ChatGPT", "AI Assistants"),
    ("https://chat.openai.com/c/1", "ChatGPT", "AI Assistants"),
    ("https://www.perplexity.ai/search/1", "Perplexity", "AI Assistants"),
    ("https://claude.ai/", "Claude", "AI Assistants"),
    ("https://gemini.google.com/app", "Gemini", "AI Assistants"),
    ("https://copilot.microsoft.com/", "Copilot", "AI Assistants"),
    ("https://github.com/someone/something", "GitHub", "Referral"),
    ("https://old.reddit.com/r/python", "Reddit", "Organic Social"),
    ("https://news.ycombinator.com/item?id=1", "Hacker News", "Organic Social"),
    ("https://l.facebook.com/", "Facebook", "Organic Social"),
    ("https://l.instagram.com/", "Instagram", "Organic Social"),
    ("https://t.co/abc", "Twitter", "Organic Social"),
    ("https://x.com/someone", "Twitter", "Organic Social"),
    ("https://www.linkedin.com/feed/", "LinkedIn", "Organic Social"),
    ("https://www.youtube.com/watch", "YouTube", "Organic Video"),
    ("https://mail.google.com/", "Gmail", "Email"),
    ("android-app://com.google.android.gm/", "Gmail", "Email"),
    ("https://open.spotify.com/", "Spotify", "Audio"),
    ("https://www.amazon.de/dp/1", "Amazon", "Organic Shopping"),
    ("http://www.semicomplete.com:80/x/", "semicomplete.com", "Referral"),
    # A host that only looks like a search engine's.
    ("https://google.evil.example/", "google.evil.example", "Referral"),
    ("https://notgoogle.com/", "notgoogle.com", "Referral"),
]


@pytest.mark.parametrize(("referrer", "source", "channel"), REFERRERS)
def test_referrers(referrer: str, source: str, channel: str) -> None:
    origin = origin_of(referrer)
    assert origin is not None
    assert (origin.source, origin.channel) == (source, channel)


CAMPAIGNS = [
    ("utm_source=google&utm_medium=cpc", "Google", "Paid Search"),
    ("utm_source=Google-Ads", "Google", "Paid Search"),
    ("utm_source=google", "Google", "Organic Search"),
    ("utm_source=fb&utm_medium=paid-social", "Facebook", "Paid Social"),
    ("utm_source=fbads", "Facebook", "Paid Social"),
    ("utm_source=youtube&utm_medium=cpv", "YouTube", "Paid Video"),
    ("utm_source=youtube&utm_medium=link", "YouTube", "Organic Video"),
    ("utm_source=letter&utm_medium=email", "letter", "Email"),
    ("utm_source=newsletter", "Newsletter", "Email"),
    ("utm_source=partner&utm_medium=affiliate", "partner", "Affiliates"),
    ("utm_source=partner&utm_medium=banner", "partner", "Display"),
    ("utm_source=partner&utm_medium=cpm", "partner", "Display"),
    ("utm_source=google&utm_medium=cpm", "Google", "Paid Search"),
    ("utm_source=partner&utm_medium=ppc", "partner", "Paid Other"),
    ("utm_source=partner&utm_medium=audio", "partner", "Audio"),
    ("utm_source=partner&utm_medium=sms", "partner", "SMS"),
    ("utm_source=sms", "SMS", "SMS"),
    ("utm_source=app&utm_medium=web-push", "app", "Mobile Push Notifications"),
    ("utm_source=partner&utm_medium=video", "partner", "Organic Video"),
    ("utm_source=partner&utm_medium=social", "partner", "Organic Social"),
    ("utm_source=partner&utm_medium=organic", "partner", "Organic Search"),
    ("utm_source=partner&utm_campaign=spring-shop", "partner", "Organic Shopping"),
    ("utm_source=partner&utm_medium=cpc&utm_campaign=shopping", "partner", "Paid Shopping"),
    ("utm_source=partner&utm_campaign=workshop", "partner", "Referral"),
    ("utm_source=x&utm_campaign=Cross-Network", "Twitter", "Cross-network"),
    ("utm_source=chatgpt.com", "ChatGPT", "AI Assistants"),
    ("ref=producthunt", "Product Hunt", "Organic Social"),
    ("source=rss20", "rss20", "Referral"),
    ("ref=www.Some-Blog.example", "some-blog.example", "Referral"),
    ("utm_campaign=spring", "", "Direct"),
    ("utm_medium=email", "", "Email"),
]


@pytest.mark.parametrize(("query", "source", "channel"), CAMPAIGNS)
def test_campaigns(query: str, source: str, channel: str) -> None:
    origin = origin_of(None, f"/?{query}")
    assert origin is not None
    assert (origin.source, origin.channel) == (source, channel)


def test_all_of_an_origin() -> None:
    page = "/p?utm_source=Brevo&a=1&utm_medium=Mail&utm_campaign=May+2%25&utm_term=t&utm_content=c&b=%20"
    assert classify("https://www.some.example:8443/a/b/?q#f", page, SITE, None) == (
        Origin("some.example/a/b", "Brevo", "Email", "Brevo", "Mail", "May 2%", "t", "c"),
        "/p?a=1&b=%20",
    )


@pytest.mark.parametrize(
    "referrer",
    [
        "https://example.com/a", "http://www.example.com/", "https://EXAMPLE.com:8080/x", None, "", "-",
        "about:blank", "file:///tmp/x", "chrome-extension://abc/", "http://[bad/", "https://", "nonsense",
    ],
)  # fmt: skip
def test_direct(referrer: str | None) -> None:
    assert classify(referrer, "/b", SITE, None) == (None, "/b")


def test_the_pages_own_host_is_internal_too() -> None:
    assert origin_of("https://shop.example.org/a", host="www.shop.example.org") is None
    assert origin_of("https://shop.example.org/a") is not None


def test_a_campaign_counts_behind_an_internal_referrer() -> None:
    origin = origin_of("https://example.com/a", "/?utm_source=letter")
    assert origin is not None
    assert (origin.referrer, origin.source) == ("", "letter")


def test_a_tag_goes_before_the_referrer() -> None:
    origin = origin_of("https://www.google.com/", "/?utm_source=letter")
    assert origin is not None
    assert (origin.referrer, origin.source, origin.channel) == ("google.com", "letter", "Referral")


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("/", "/"), ("/?", "/"), ("/?a=1&&b", "/?a=1&b"), ("/?utm_source=", "/"), ("/?UTM_Source=x&a", "/?a"),
        ("/?%75tm_source=x", "/"), ("/?reference=1", "/?reference=1"), ("/?utm_id=7", "/"), ("/a?ref", "/a"),
    ],
)  # fmt: skip
def test_what_is_left_of_a_page(page: str, expected: str) -> None:
    assert classify(None, page, SITE, None)[1] == expected


def test_control_characters_do_not_get_in() -> None:
    origin = origin_of("https://some.example/a\x00b", "/?utm_source=a%00b%0d%0ac&utm_campaign=%ff")
    assert origin is not None
    assert (origin.utm_source, origin.utm_campaign) == ("abc", "�")
    assert "\x00" not in "".join(origin)


def test_host_and_path_of_a_referrer() -> None:
    assert referrer_place("https://user:password@some.example/a?b#c") == "some.example/a"
    assert referrer_place("some.example/a") == "some.example/a"
    assert referrer_place("//some.example") == "some.example"


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_any_text_is_classified(referrer: str, path: str, query: str) -> None:
    origin, page = classify(referrer, f"/{path}?{query}", SITE, None)
    assert origin is None or all(len(part) <= 1000 and "\x00" not in part for part in origin)
    assert "utm_source" not in dict(parse_qsl(page.partition("?")[2]))


@given(st.dictionaries(st.sampled_from(["utm_source", "utm_medium", "a", "ref", "b"]), st.text(max_size=50)))
def test_other_parameters_stay(parameters: dict[str, str]) -> None:
    query = "&".join(f"{name}={quote(value)}" for name, value in parameters.items())
    kept = [part for part in query.split("&") if part[:2] in ("a=", "b=")]
    assert classify(None, f"/?{query}", SITE, None)[1] == ("/?" + "&".join(kept) if kept else "/")


def test_two_sources_cannot_claim_one_host() -> None:
    with pytest.raises(ValueError, match="both claim"):
        read_sources(["A | search | a.example", "B | search | a.example"])
