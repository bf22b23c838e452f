"""Who is a bot, who refuses, what a site excludes."""

from __future__ import annotations

import pytest

from portfolio_analytics.producer.policy import Exclusions, Policy

PLAIN = Policy(consent_required=False, block_automation=False)
STRICT = Policy(consent_required=True, block_automation=True)

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Safari/537.36"
)

AGENTS = [
    (CHROME, None, None),
    ("", None, None),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1", None, None),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot", "bot"),
    ("facebookexternalhit/1.1", "bot", "bot"),
    ("Mozilla/5.0 (compatible; bingbot/2.0)", "bot", "bot"),
    ("UptimeRobot/2.0", "bot", "bot"),
    ("Slackbot-LinkExpanding 1.0", "bot", "bot"),
    ("curl/8.5.0", None, "automation"),
    ("python-requests/2.32", None, "automation"),
    ("Python-urllib/3.11", None, "automation"),
    ("python-httpx/0.28.1", None, "automation"),
    ("Go-http-client/1.1", None, "automation"),
    ("axios/1.7", None, "automation"),
    ("okhttp/4.12", None, "automation"),
    (CHROME.replace("Chrome", "HeadlessChrome"), None, "automation"),
]


@pytest.mark.parametrize(("user_agent", "plain", "strict"), AGENTS)
def test_agents(user_agent: str, plain: str | None, strict: str | None) -> None:
    assert PLAIN.agent(user_agent) == plain
    assert STRICT.agent(user_agent) == strict


@pytest.mark.parametrize(
    ("consent", "plain", "strict"),
    [(None, None, "consent"), ("granted", None, None), ("denied", "consent", "consent")],
)
def test_consent(consent: str | None, plain: str | None, strict: str | None) -> None:
    assert PLAIN.consent(consent) == plain
    assert STRICT.consent(consent) == strict


@pytest.mark.parametrize(
    ("gpc", "dnt", "reason"),
    [(None, None, None), ("1", None, "gpc"), (None, "1", "dnt"), ("1", "1", "gpc"), ("0", "0", None)],
)
def test_signals(gpc: str | None, dnt: str | None, reason: str | None) -> None:
    assert PLAIN.signal(gpc, dnt) == reason


def test_excluded_addresses() -> None:
    exclusions = Exclusions([], ["192.0.2.0/24", "2001:db8::1", "10.1.2.3/8"], [])
    for address in ("192.0.2.77", "2001:db8::1", "10.200.0.1"):
        assert exclusions.cover("h", "/", address, trusted=False)
    for address in ("198.51.100.1", "2001:db8::2", "", "unknown"):
        assert not exclusions.cover("h", "/", address, trusted=False)


def test_excluded_paths() -> None:
    exclusions = Exclusions([], [], ["/admin/*", "*.json", "/exact", "/what?", "/[x]"])
    for page in ("/admin/", "/admin/users?utm_source=x", "/a/b.json", "/exact", "/exact?ref=1", "/[x]"):
        assert exclusions.cover("h", page, "", trusted=False), page
    for page in ("/administrator", "/exactly", "/json", "/", "/whatx", "/x"):
        assert not exclusions.cover("h", page, "", trusted=False), page


def test_pages_of_other_hosts_are_excluded_where_a_site_names_its_own() -> None:
    exclusions = Exclusions(["example.com"], [], [])
    assert not exclusions.cover("example.com", "/", "", trusted=False)
    assert exclusions.cover("copy.example", "/", "", trusted=False)
    assert exclusions.cover(None, "/", "", trusted=False)
    assert not exclusions.cover(None, "/", "", trusted=True)
    assert exclusions.cover("copy.example", "/", "", trusted=True)
