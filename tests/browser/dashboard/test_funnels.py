"""Funnels: made, changed, looked at, and ended; by who may, and read by others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.dashboard.conftest import SignedIn, sign_in
from tests.browser.dashboard.everybody import violations
from tests.browser.dashboard.reading import panel
from tests.browser.dashboard.test_finding import read_csv
from tests.browser.dashboard.traffic import HISTORY, MARCH, Traffic
from tests.integration.service import RunningService

KEPT = f"/api/sites/{HISTORY}/funnels"
FUNNELS = f"{MARCH}&tab.events=funnels"
SALE = {
    "name": "Sale",
    "steps": [
        {"page_pattern": "/pric*"},
        {"page_pattern": "/signup"},
        {"event_type": "signup", "property": "plan", "value": "free"},
    ],
}
WAY = [
    ["/pric*", "62 visitors", "50% of all"],
    ["/signup", "31 50%", "50% dropped off", "after 1m 00s"],
    ["signup (plan: free)", "31 50%", "0% dropped off", "after 1m 00s"],
]


@pytest.fixture(autouse=True)
def none_is_left(traffic: Traffic) -> Iterator[None]:
    yield
    for funnel in traffic.ask(KEPT)["funnels"]:
        traffic.ask(f"{KEPT}/{quote(funnel['name'], safe='')}", method="DELETE")


@pytest.fixture
def sale(traffic: Traffic, none_is_left: None) -> None:
    traffic.ask(KEPT, SALE)


def way(page: Page) -> list[list[str]]:
    """What stands at each step, once the newest numbers are there."""
    events = panel(page, "Events")
    expect(events.locator("[aria-busy=true]")).to_have_count(0)
    expect(events.locator(".way li").first).to_be_visible()
    return [step.inner_text().split("\n") for step in events.locator(".way li").all()]


def write_step(dialog: Locator, number: int, kind: str, target: str) -> None:
    dialog.get_by_label(f"Step {number}: reached by").select_option(kind)
    name = "page, * for anything" if kind == "Page" else "event name"
    dialog.get_by_label(f"Step {number}: {name}").fill(target)


def test_a_funnel_is_made_where_there_is_none(look: SignedIn) -> None:
    page = look(FUNNELS)
    panel(page, "Events").get_by_role("button", name="Make a funnel").click()
    dialog = page.get_by_role("dialog", name="Make a funnel")
    save = dialog.get_by_role("button", name="Save")
    expect(save).to_be_disabled()
    expect(dialog.get_by_role("button", name="Step 1: remove")).to_be_disabled()
    write_step(dialog, 1, "Event", "signup")
    dialog.get_by_role("button", name="Step 1: only with a property").click()
    expect(save).to_be_disabled()
    dialog.get_by_label("Step 1: property").fill("plan")
    dialog.get_by_label("Step 1: value").fill("free")
    write_step(dialog, 2, "Page", "/signup")
    dialog.get_by_role("button", name="Add a step").click()
    write_step(dialog, 3, "Page", "/pric*")
    expect(page.locator("datalist#page_pattern option[value='/pricing']")).to_have_count(1)
    expect(page.locator("datalist#event_type option[value=signup]")).to_have_count(1)
    expect(page.locator("datalist#properties option[value=plan]")).to_have_count(0)  # none these 30 days
    assert violations(page) == []

    # By the keyboard alone: the last step becomes the first, the first the last.
    dialog.get_by_role("button", name="Step 3: move up").focus()
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("button", name="Step 2: move up")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog.get_by_label("Step 1: page, * for anything")).to_have_value("/pric*")
    expect(dialog.get_by_role("button", name="Step 1: move down")).to_be_focused()
    dialog.get_by_role("button", name="Step 2: move down").press("Enter")
    expect(dialog.get_by_role("status")).to_have_text("Last 30 days: 0 → 0 → 0 visitors")
    dialog.get_by_label("Name", exact=True).fill("Sale")
    dialog.get_by_label("Name", exact=True).press("Enter")
    expect(dialog).to_have_count(0)
    assert way(page) == WAY
    expect(panel(page, "Events")).to_contain_text("50% went all the way: 31 of the 62 visitors that entered.")

    page.get_by_role("link", name="Settings").click()
    funnels = page.get_by_role("region", name="Funnels", exact=True)
    expect(funnels).to_contain_text("/pric* → /signup → signup (plan: free)")
    funnels.get_by_role("button", name="Delete Sale").click()
    expect(funnels).to_contain_text("No funnels yet.")


def test_a_funnel_obeys_filters_and_period(look: SignedIn, sale: None, tmp_path: Path) -> None:
    page = look(f"{FUNNELS}&f=is,visit:country,US")
    assert way(page)[0] == ["/pric*", "31 visitors", "50% of all"]
    assert way(page)[1] == ["/signup", "31 100%", "0% dropped off", "after 1m 00s"]
    page.goto(page.url.replace("2025-03-31", "2025-03-10").split("&f=")[0] + "&tab.events=funnels")
    assert [step[1] for step in way(page)] == ["20 visitors", "10 50%", "10 50%"]
    with page.expect_download() as saved:
        panel(page, "Events").get_by_role("button", name="Save the funnel as CSV").click()
    file = tmp_path / saved.value.suggested_filename
    saved.value.save_as(file)
    assert file.name == "history.example_funnel_Sale.csv"
    assert read_csv(file)[2] == ["/signup", "10", "50", "50", "60"]
    panel(page, "Events").get_by_role("button", name="Visits", exact=True).click()
    expect(panel(page, "Events")).to_contain_text("10 of the 20 visits that entered.")
    assert way(page)[0] == ["/pric*", "20 visits", "50% of all"]
    assert "tab.by=visit" in page.url
    page.goto(page.url.replace("2025", "2024"))
    expect(panel(page, "Events")).to_contain_text("Nobody entered")


def test_a_funnel_is_changed_and_one_refused(look: SignedIn, sale: None) -> None:
    page = look(FUNNELS)
    events = panel(page, "Events")
    assert way(page) == WAY
    events.get_by_role("button", name="Make another funnel").click()
    dialog = page.get_by_role("dialog")
    write_step(dialog, 1, "Page", "/")
    write_step(dialog, 2, "Page", "/about")
    dialog.get_by_label("Name", exact=True).fill("Sale")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("There is a funnel 'Sale' already.")
    dialog.get_by_label("Name", exact=True).fill("")
    dialog.get_by_role("button", name="Save").click()
    expect(events.get_by_label("Funnel", exact=True)).to_have_value("/ → /about")
    assert [step[1] for step in way(page)] == ["93 visitors", "62 67%"]
    assert "tab.funnel=" in page.url

    events.get_by_role("button", name="Edit").click()
    expect(dialog.get_by_label("Step 2: page, * for anything")).to_have_value("/about")
    dialog.get_by_role("button", name="Step 1: move down").click()
    dialog.get_by_label("Name", exact=True).fill("Back")
    dialog.get_by_role("button", name="Save").click()
    expect(events.get_by_label("Funnel", exact=True)).to_have_value("Back")
    assert [step[1] for step in way(page)] == ["62 visitors", "0 0%"]

    events.get_by_label("Funnel", exact=True).select_option("Sale")
    assert way(page) == WAY
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("button", name="Edit Back").click()
    expect(dialog.get_by_label("Name", exact=True)).to_have_value("Back")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Edit Back")).to_be_focused()
    page.get_by_role("button", name="Delete Back").click()
    expect(page.get_by_role("button", name="Edit Back")).to_have_count(0)


def test_axe_finds_nothing_and_nothing_is_cut_off(look: SignedIn, sale: None) -> None:
    page = look(FUNNELS)
    for width in (360, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert way(page) == WAY
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width
        page.emulate_media(color_scheme="light" if width == 768 else "dark", reduced_motion="reduce")
        assert violations(page) == [], width
    page.set_viewport_size({"width": 360, "height": 500})
    panel(page, "Events").get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog")
    for _ in range(5):
        dialog.get_by_role("button", name="Add a step").click()
    expect(dialog.get_by_role("button", name="Add a step")).to_be_disabled()
    assert violations(page) == []
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)


def test_a_reader_sees_funnels_and_makes_none(
    person: BrowserContext, service: RunningService, traffic: Traffic
) -> None:
    made = traffic.ask("/api/tokens", {"name": "reader of funnels", "scopes": ["read"], "site": HISTORY})
    sign_in(person, service, made["secret"])
    page = person.new_page()
    page.goto(f"{service.url}/dashboard/{FUNNELS}")
    events = panel(page, "Events")
    expect(events).to_contain_text("Whoever administers this site can make one.")
    traffic.ask(KEPT, SALE)
    page.reload()
    assert way(page) == WAY
    for name in ("Edit", "Make another funnel", "Make a funnel"):
        expect(events.get_by_role("button", name=name)).to_have_count(0)
