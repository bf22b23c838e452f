"""What user agents say: names, versions, devices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_analytics.consumer.enrich.agent import MAX_LENGTH, UNKNOWN, Agent, parse_agent

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
CASES = {
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Chrome/120.0.0.0 Safari/537.36": Agent(
        "Chrome", "120", "Mac", "10.15", "Desktop"
    ),
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.2 Mobile/15E148 Safari/604.1": Agent("Safari", "17", "iOS", "17.2", "Mobile"),
    "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/16.6 Mobile/15E148 Safari/604.1": Agent("Safari", "16", "iOS", "16.6", "Tablet"),
    f"Mozilla/5.0 (Linux; Android 13; SM-S901B) {WEBKIT} SamsungBrowser/23.0 Chrome/115.0.0.0 "
    "Mobile Safari/537.36": Agent("Samsung Browser", "23", "Android", "13", "Mobile"),
    f"Mozilla/5.0 (Linux; Android 13; SM-X700) {WEBKIT} Chrome/120.0.0.0 Safari/537.36": Agent(
        "Chrome", "120", "Android", "13", "Tablet"
    ),
    f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/120.0.0.0 Mobile Safari/537.36": Agent(
        "Chrome", "120", "Android", "10", "Mobile"
    ),
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/120.0.0.0 Safari/537.36 Edg/120.0.0.0": Agent(
        "Microsoft Edge", "120", "Windows", "10", "Desktop"
    ),
    "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; Tablet PC 2.0; rv:11.0) like Gecko": Agent(
        "Internet Explorer", "11", "Windows", "7", "Desktop"
    ),
    "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/121.0": Agent(
        "Firefox", "121", "GNU/Linux", "", "Desktop"
    ),
    "Mozilla/5.0 (Android 14; Tablet; rv:121.0) Gecko/121.0 Firefox/121.0": Agent(
        "Firefox", "121", "Android", "14", "Tablet"
    ),
    f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/120.0.0.0 Safari/537.36": Agent(
        "Chrome", "120", "Chrome OS", "14541.0", "Desktop"
    ),
    "Mozilla/5.0 (PlayStation; PlayStation 5/2.26) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/13.0 Safari/605.1.15": Agent("Safari", "13", "", "", "Desktop"),
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Mobile/15E148": Agent("Mobile App", "", "iOS", "17.1", "Mobile"),
    "curl/8.4.0": Agent("curl", "8", "", "", ""),
}


@pytest.mark.parametrize(("user_agent", "expected"), CASES.items())
def test_well_known_agents(user_agent: str, expected: Agent) -> None:
    assert parse_agent(user_agent) == expected


@pytest.mark.parametrize("nothing", [None, "", "-", "\x00"])
def test_nothing_is_unknown(nothing: str | None) -> None:
    assert parse_agent(nothing) == UNKNOWN


def test_only_the_beginning_counts() -> None:
    assert parse_agent("x" * MAX_LENGTH + " Firefox/121.0") == UNKNOWN


@given(st.text(max_size=2000))
def test_any_text_is_parsed(text: str) -> None:
    agent = parse_agent(text)
    assert agent.device in ("", "Desktop", "Mobile", "Tablet")
    assert all(isinstance(part, str) for part in agent)
