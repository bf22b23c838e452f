"""Signing in and out, public links, and what an administrator changes."""

from __future__ import annotations

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.dashboard.conftest import SignedIn, sign_in
from tests.browser.dashboard.reading import figures, panel, rows
from tests.browser.dashboard.traffic import HISTORY, MARCH, Traffic, now_visit
from tests.integration.service import ADMIN_TOKEN, RunningService


def setting(page: Page, title: str) -> Locator:
    return page.get_by_role("region", name=title, exact=True)


def test_sign_in_and_out(person: BrowserContext, service: RunningService, traffic: Traffic) -> None:
    page = person.new_page()
    page.goto(f"{service.url}/dashboard/{MARCH}")
    page.get_by_label("Token").fill("a wrong one")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not known")
    page.get_by_label("Token").fill(ADMIN_TOKEN)
    page.keyboard.press("Enter")
    assert figures(page)["Visitors"][0] == "124"
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Token")).to_be_visible()
    expect(page.locator("body")).not_to_contain_text("124")


def test_a_session_that_ends_elsewhere(
    look: SignedIn, service: RunningService, person: BrowserContext
) -> None:
    page = look(MARCH)
    figures(page)
    person.request.delete(f"{service.url}/api/session", headers={"Origin": service.url})
    page.keyboard.press("y")
    expect(page.get_by_label("Token")).to_be_visible()


def test_a_reader_of_one_site(person: BrowserContext, service: RunningService, traffic: Traffic) -> None:
    made = traffic.ask("/api/tokens", {"name": "reader of one", "scopes": ["read"], "site": HISTORY})
    traffic.send("another.example", now_visit(["/secret"]))
    sign_in(person, service, made["secret"])
    page = person.new_page()
    page.goto(f"{service.url}/dashboard/{MARCH}")
    assert figures(page)["Visitors"][0] == "124"
    expect(page.get_by_role("link", name="Settings")).to_have_count(0)
    expect(page.get_by_role("link", name="Proof")).to_have_count(0)
    page.goto(f"{service.url}/dashboard/?site=another.example&view=settings")
    expect(page.get_by_role("heading", name=HISTORY)).to_be_visible()
    expect(page.locator("body")).not_to_contain_text("/secret")


def test_a_public_link_from_making_to_revoking(
    look: SignedIn, chromium: Browser, service: RunningService
) -> None:
    page = look(f"?site={HISTORY}&view=settings")
    links = setting(page, "Public links")
    links.get_by_label("Name of the link").fill("For the team")
    links.get_by_role("button", name="Make a link").click()
    address = links.get_by_label("Public link").input_value()

    stranger = chromium.new_context(locale="en-US")
    shared = stranger.new_page()
    shared.goto(address + MARCH.replace("?", "&"))
    assert figures(shared)["Visitors"][0] == "124"
    panel(shared, "Sources").get_by_role("button", name="Email", exact=True).click()
    assert figures(shared)["Visitors"][0] == "31"
    assert "share=" in shared.url
    for name in ("Settings", "Proof"):
        expect(shared.get_by_role("link", name=name)).to_have_count(0)
    expect(shared.get_by_role("button", name="Sign out")).to_have_count(0)
    shared.get_by_role("link", name="Live", exact=True).click()
    expect(shared.get_by_text("Right now")).to_be_visible()
    expect(shared.get_by_role("status").filter(has_text="Live")).to_be_visible()

    links.get_by_role("button", name="Revoke For the team").click()
    expect(links).to_contain_text("No public link.")
    shared.reload()
    expect(shared.get_by_role("heading", name="This link does not work any more")).to_be_visible()
    stranger.close()


def test_a_goal_is_made_and_reached(look: SignedIn) -> None:
    page = look(f"?site={HISTORY}&view=settings")
    goals = setting(page, "Goals")
    goals.get_by_label("Event name").fill("signup")
    goals.get_by_label("Goal's name").fill("Signed up")
    goals.get_by_role("button", name="Add goal").click()
    expect(goals).to_contain_text("event signup")
    goals.get_by_label("Reached by").select_option("Page")
    goals.get_by_label("Page, * for anything").fill("/pric*")
    goals.get_by_role("button", name="Add goal").click()
    expect(goals).to_contain_text("page /pric*")

    page.goto(page.url.split("/dashboard/")[0] + f"/dashboard/{MARCH}&tab.events=goals")
    assert rows(page, "Events") == [["/pric*", "62", "62", "50%"], ["Signed up", "31", "31", "25%"]]
    panel(page, "Events").get_by_role("button", name="Signed up").click()
    found = figures(page)
    assert (found["Visitors"][0], found["Conversion rate"][0]) == ("31", "25%")
    assert rows(page, "Sources") == [["Email", "31", "100%"]]

    page.goto(page.url.split("/dashboard/")[0] + f"/dashboard/?site={HISTORY}&view=settings")
    goals.get_by_role("button", name="Delete Signed up").click()
    goals.get_by_role("button", name="Delete /pric*").click()
    expect(goals).to_contain_text("No goals yet.")


def test_a_token_is_made_shown_once_and_revoked(look: SignedIn, service: RunningService) -> None:
    page = look(f"?site={HISTORY}&view=settings")
    tokens = setting(page, "Tokens")
    tokens.get_by_label("Name of the token").fill("a script")
    tokens.get_by_role("button", name="Make a token").click()
    secret = tokens.get_by_label("New token").input_value()
    # Without the browser's session: what the token may by itself.
    query = {"site_id": HISTORY, "metrics": ["visitors"], "date_range": ["2025-03-01", "2025-03-31"]}
    ask = """async ([query, token]) => (await fetch("/api/v2/query", {method: "POST", credentials: "omit",
        headers: {Authorization: `Bearer ${token}`}, body: JSON.stringify(query)})).status"""
    assert page.evaluate(ask, [query, secret]) == 200
    page.reload()
    expect(tokens).to_contain_text("a script")
    assert secret not in page.content()
    tokens.get_by_role("button", name="Revoke a script").click()
    expect(tokens).not_to_contain_text("a script")
    assert page.evaluate(ask, [query, secret]) == 401


def test_site_settings(look: SignedIn, traffic: Traffic) -> None:
    page = look("?view=settings")
    adding = setting(page, "Another site")
    adding.get_by_label("Host name").fill("Fresh.example")
    adding.get_by_role("button", name="Add site").click()
    expect(page.get_by_role("heading", name="Waiting for the first visitor")).to_be_visible()

    page.get_by_role("link", name="Settings").click()
    site = setting(page, "Site")
    site.get_by_label("Time zone").select_option("Asia/Tokyo")
    site.get_by_role("button", name="Save").click()
    expect(site).to_contain_text("Saved.")
    exclusions = setting(page, "Exclusions")
    exclusions.get_by_label("Leave out pages").fill("/admin/*\n/draft")
    exclusions.get_by_label("Leave out addresses").fill("not an address")
    exclusions.get_by_role("button", name="Save").click()
    expect(exclusions.get_by_role("alert")).to_be_visible()
    exclusions.get_by_label("Leave out addresses").fill("203.0.113.0/24")
    exclusions.get_by_role("button", name="Save").click()
    expect(exclusions).to_contain_text("Saved.")
    kept = traffic.ask("/api/sites/fresh.example")
    assert (kept["time_zone"], kept["excluded_paths"]) == ("Asia/Tokyo", ["/admin/*", "/draft"])
    assert kept["excluded_addresses"] == ["203.0.113.0/24"]

    site.get_by_role("textbox", name="Name").fill("renamed.example")
    site.get_by_role("button", name="Save").click()
    expect(page.get_by_role("combobox", name="Site", exact=True)).to_have_value("renamed.example")
    expect(site).to_contain_text("Also counted: fresh.example")

    danger = setting(page, "Reset or delete")
    delete = danger.get_by_role("button", name="Delete the site")
    expect(delete).to_be_disabled()
    danger.get_by_label("Type renamed.example to go on").fill("renamed.example")
    delete.click()
    expect(page.get_by_role("combobox", name="Site", exact=True)).not_to_have_value("renamed.example")
    assert "renamed.example" not in [each["name"] for each in traffic.ask("/api/sites")["sites"]]
