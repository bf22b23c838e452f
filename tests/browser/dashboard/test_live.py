"""What moves: the first event, the live view, the ledger, and a server that goes away."""

from __future__ import annotations

import uuid

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.dashboard.conftest import SignedIn, sign_in
from tests.browser.dashboard.reading import figures, panel
from tests.browser.dashboard.traffic import HISTORY, MARCH, Traffic, now_visit
from tests.integration.service import RunningService

MOMENT_MS = 20_000


def test_an_empty_site_turns_into_numbers(look: SignedIn, traffic: Traffic) -> None:
    traffic.ask("/api/sites", {"name": "empty.example"})
    page = look("?site=empty.example")
    expect(page.get_by_role("heading", name="Waiting for the first visitor")).to_be_visible()
    snippet = page.get_by_label("Tracker snippet").input_value()
    assert snippet.startswith(f'<script defer src="{traffic.url}/tracker.js"')
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()

    traffic.send("empty.example", now_visit(["/first"]))
    expect(page.locator(".figure").first).to_contain_text("1", timeout=MOMENT_MS)
    assert figures(page)["Page views"][0] == "1"
    expect(panel(page, "Pages")).to_contain_text("/first")


def test_live_view_while_traffic_comes_in(look: SignedIn, traffic: Traffic) -> None:
    site = "live.example"
    traffic.send(site, now_visit(["/before"]))
    page = look(f"?site={site}&view=live")
    visitors = page.locator("[data-figure=visitors]")
    feed = page.locator(".feed li")
    expect(visitors).to_have_text("1")
    expect(feed).to_have_count(1)
    google = "https://www.google.com/"
    traffic.send(
        site, now_visit(["/landing"], country="JP", referrer=google, also=[{"event_type": "signup"}])
    )
    expect(feed).to_have_count(3, timeout=MOMENT_MS)
    expect(visitors).to_have_text("2")
    expect(feed.filter(has_text="/landing").filter(has_text="Page view")).to_contain_text(
        "from Google · Japan"
    )
    expect(feed.filter(has_text="signup")).to_contain_text("from Google")
    expect(feed.filter(has_text="/before")).not_to_contain_text("from")
    expect(page.locator("[data-figure=pageviews]")).to_have_text("2")
    expect(page.locator("rect.visitors").first).to_be_visible()
    expect(page.get_by_role("link", name="2 visitors now")).to_be_visible()
    # What was shown for the half hour follows.
    expect(panel(page, "Pages")).to_contain_text("/landing", timeout=MOMENT_MS)
    traffic.send(site, now_visit(["/third"]))
    expect(feed.first).to_contain_text("/third", timeout=MOMENT_MS)


def test_the_ledger_balances_before_ones_eyes(look: SignedIn, traffic: Traffic) -> None:
    site = "ledger.example"
    page = look(f"?site={HISTORY}&view=proof")
    expect(page.locator(".verdict")).to_contain_text("Balances")
    before = terms(page)

    event_id = str(uuid.uuid4())
    events = now_visit([f"/{number}" for number in range(7)])
    events[0]["event_id"] = event_id
    traffic.send(site, events)
    traffic.ask("/api/analytics", events[0] | {"site": site})
    expect(page.locator("[data-term=duplicate]")).to_have_text(
        f"{before['duplicate'] + 1:,}", timeout=MOMENT_MS
    )
    after = terms(page)
    assert after["counted"] >= before["counted"] + 7
    assert after["accepted"] == after["counted"] + after["duplicate"] + after["rejected"] + after["in-flight"]
    expect(page.locator(".latencies dd").first).to_contain_text("s")

    page.get_by_label("Event id").fill(event_id)
    page.get_by_role("button", name="Look up").click()
    receipt = page.locator(".receipt")
    expect(receipt).to_contain_text("counted")
    expect(receipt).to_contain_text("partition")
    page.get_by_label("Event id").fill(str(uuid.uuid4()))
    page.get_by_role("button", name="Look up").click()
    expect(page.get_by_text("No event has this id")).to_be_visible()


def terms(page: Page) -> dict[str, int]:
    """The equation's terms, all read at the same moment."""
    found = page.evaluate(
        "() => [...document.querySelectorAll('[data-term]')].map(e => [e.dataset.term, e.textContent])"
    )
    return {name: int(text.replace(",", "")) for name, text in found}


def test_without_a_network_it_says_so_and_comes_back(look: SignedIn, person: BrowserContext) -> None:
    page = look(MARCH)
    figures(page)
    person.set_offline(True)
    page.keyboard.press("y")
    # Said once, not by every part of the page.
    expect(panel(page, "Events")).to_contain_text("Waiting for the server")
    expect(page.get_by_role("alert")).to_have_count(1)
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    person.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    assert figures(page)["Visitors"][0] != ""
    expect(panel(page, "Events")).not_to_contain_text("Waiting", timeout=MOMENT_MS)


def test_the_last_numbers_stay_while_the_server_is_away(look: SignedIn, traffic: Traffic) -> None:
    traffic.send("away.example", now_visit(["/first"]))
    page = look("?site=away.example&period=day")
    assert figures(page)["Visitors"][0] == "1"
    page.route("**/api/v2/query", lambda route: route.abort())
    traffic.send("away.example", now_visit(["/second"]))
    expect(page.get_by_role("alert")).to_have_count(1, timeout=MOMENT_MS)
    assert figures(page)["Visitors"][0] == "1"
    expect(panel(page, "Pages")).to_contain_text("/first")
    page.unroute("**/api/v2/query")
    expect(page.get_by_role("alert")).to_have_count(0, timeout=MOMENT_MS)
    expect(panel(page, "Pages")).to_contain_text("/second", timeout=MOMENT_MS)


def test_a_server_that_stops_and_starts(
    person: BrowserContext, service: RunningService, traffic: Traffic
) -> None:
    site = "restart.example"
    traffic.send(site, now_visit(["/"]))
    sign_in(person, service)
    page = person.new_page()
    page.goto(f"{service.url}/dashboard/?site={site}&view=live")
    status = page.get_by_role("status").filter(has_text="Live")
    expect(status).to_be_visible()
    dot = page.locator(".now .dot")
    lit = dot.evaluate("element => getComputedStyle(element).backgroundColor")
    service.stop()
    try:
        expect(page.get_by_text("Connecting…")).to_be_visible(timeout=MOMENT_MS)
        # The number stays, and no longer claims to be of now.
        expect(page.locator(".now")).to_contain_text("1 visitor now")
        expect(dot).not_to_have_css("background-color", lit)
        expect(dot).to_have_css("animation-name", "none")
    finally:
        service.start()
    expect(status).to_be_visible(timeout=MOMENT_MS)
    expect(dot).to_have_css("background-color", lit)
    traffic.send(site, now_visit(["/again"]))
    expect(page.locator(".feed li").first).to_contain_text("/again", timeout=MOMENT_MS)
