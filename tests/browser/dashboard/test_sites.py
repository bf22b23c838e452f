"""For somebody with many sites: all of them side by side, and the switcher that is typed into."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.dashboard.conftest import SignedIn, sign_in
from tests.browser.dashboard.everybody import check_for_everybody, violations
from tests.browser.dashboard.reading import figures
from tests.browser.dashboard.traffic import HISTORY, MARCH, Traffic, days, now_visit, visit
from tests.integration.service import RunningService

COUNT = 60
LIST = MARCH.replace("?", "?view=sites&")
MOMENT_MS = 20_000

pytestmark = pytest.mark.usefixtures("team")


def name(number: int) -> str:
    return f"team{number:02}.example"


@pytest.fixture(scope="module")
def team(traffic: Traffic) -> Iterator[None]:
    """COUNT sites, two of which had visitors in March 2025: three with a page each, and one with five.

    They are deleted at the end: with so many, no other test's first event would make a site.
    """
    for number in range(COUNT):
        traffic.ask("/api/sites", {"name": name(number)})
    (day,) = days("2025-03-10", 1)
    events = [event for hour in range(3) for event in visit(day + timedelta(hours=hour), ["/"])]
    traffic.send(name(7), events)
    traffic.send(name(8), visit(day, [f"/{number}" for number in range(5)]))
    yield
    for number in range(COUNT):
        traffic.ask(f"/api/sites/{name(number)}", method="DELETE")


def listed(page: Page) -> list[str]:
    """The names of the sites that are shown, once they are those that were asked for."""
    expect(page.locator(".sites")).to_have_attribute("aria-busy", "false")
    expect(page.locator(".sites tbody tr").first).to_be_visible()
    return page.locator(".sites tbody a").all_inner_texts()


def row(page: Page, site: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=site, exact=True))


def cells(page: Page, site: str) -> list[str]:
    found = row(page, site).get_by_role("cell").all_inner_texts()
    return [re.sub(r"\s", "", cell) for cell in found]


def search(page: Page) -> Locator:
    return page.get_by_role("searchbox", name="Search sites")


def switcher(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Site", exact=True)


def test_all_sites_side_by_side(look: SignedIn) -> None:
    page = look(LIST)
    mine = [HISTORY, name(7), name(8)]
    assert [site for site in listed(page) if site in mine] == mine
    assert page.title() == "Sites · Portfolio Analytics"
    assert cells(page, HISTORY) == ["", "124↑up121%", "124", "248"]
    assert cells(page, name(8))[1:] == ["1new", "1", "5"]
    assert cells(page, name(9))[1:] == ["0nochange,0%", "0", "0"]
    expect(page.locator(".footnote")).to_contain_text("each day counts them anew")
    # March at noon and after: the line rises from the bottom in the row of a site with visitors alone.
    assert row(page, name(7)).locator(".sparkline.still").count() == 0
    assert row(page, name(9)).locator(".sparkline.still").count() == 1


def test_a_site_opens_with_the_same_period_and_the_list_comes_back(look: SignedIn) -> None:
    page = look(LIST)
    search(page).fill("TEAM0")
    expect(page.get_by_text("10 sites")).to_be_visible()
    page.get_by_role("link", name=name(7)).click()
    assert figures(page)["Visitors"][0] == "3"
    expect(page.get_by_role("button", name="Period: March 2025")).to_be_visible()
    expect(switcher(page)).to_have_value(name(7))
    page.go_back()
    expect(search(page)).to_have_value("TEAM0")
    assert listed(page)[:2] == [name(7), name(8)]
    # All of the row is the link.
    row(page, name(8)).get_by_role("cell").last.click(force=True)
    assert figures(page)["Page views"][0] == "5"


def test_search_order_and_pages_stand_in_the_address(look: SignedIn) -> None:
    page = look(LIST)
    search(page).fill("team")
    expect(page.get_by_text("60 sites")).to_be_visible()
    page.get_by_role("button", name="Page views").click()
    assert listed(page)[:2] == [name(8), name(7)]
    page.get_by_role("button", name="Site", exact=True).click()
    assert listed(page) == [name(number) for number in range(50)]
    expect(page.get_by_role("columnheader", name="Site")).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("51 – 60 of 60")).to_be_visible()
    assert listed(page) == [name(number) for number in range(50, 60)]
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.reload()
    assert listed(page) == [name(number) for number in range(50, 60)]
    page.get_by_role("button", name="Previous").click()
    assert listed(page)[0] == name(0)
    page.get_by_role("button", name="Site", exact=True).click()
    assert listed(page)[0] == name(59)
    page.go_back()
    assert listed(page)[0] == name(0)
    search(page).fill("nobody")
    expect(page.get_by_text("No site has this in its name.")).to_be_visible()
    expect(page.get_by_text("0 sites")).to_be_visible()


def test_by_keyboard(look: SignedIn) -> None:
    page = look(MARCH)
    figures(page)
    page.keyboard.press("s")
    assert listed(page)[0] == HISTORY
    expect(page.get_by_role("link", name="Sites", exact=True)).to_have_attribute("aria-current", "page")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("button", name="Period: February 2025")).to_be_visible()
    assert listed(page)[0] == HISTORY
    assert cells(page, HISTORY)[1:] == ["56new", "56", "84"]
    page.keyboard.press("d")
    expect(page.get_by_role("button", name="Period: Today")).to_be_visible()
    expect(page.get_by_text("Today is not over, so it is not compared.")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_contain_text("All sites")
    page.keyboard.press("Escape")
    page.go_back()
    page.go_back()
    row(page, HISTORY).get_by_role("link").focus()
    page.keyboard.press("Enter")
    assert figures(page)["Visitors"][0] == "124"


def test_who_is_there_now(look: SignedIn, traffic: Traffic) -> None:
    page = look("?view=sites&order=name&search=team")
    assert listed(page)[3] == name(3)
    expect(row(page, name(3))).not_to_contain_text("now")
    traffic.send(name(3), now_visit(["/"]) + now_visit(["/"]))
    expect(row(page, name(3))).to_contain_text("2 now", timeout=MOMENT_MS)
    expect(row(page, name(3)).locator(".dot.lit")).to_have_count(1)
    expect(row(page, name(4)).locator(".dot.lit")).to_have_count(0)


def test_the_switcher_is_typed_into(look: SignedIn) -> None:
    page = look(MARCH)
    figures(page)
    switcher(page).click()
    options = page.get_by_role("listbox", name="Site").get_by_role("option")
    expect(options.filter(has_text=HISTORY)).to_have_attribute("aria-selected", "true")
    page.keyboard.type("EAM0")
    expect(options).to_have_text([name(number) for number in range(10)])
    chosen = options.and_(page.locator("[aria-selected=true]"))
    expect(chosen).to_have_text(name(0))
    page.keyboard.press("ArrowUp")
    expect(chosen).to_have_text(name(9))
    for _ in range(8):
        page.keyboard.press("ArrowDown")
    expect(chosen).to_have_text(name(7))
    expect(switcher(page)).to_have_attribute("aria-activedescendant", chosen.get_attribute("id") or "")
    page.keyboard.press("Enter")
    expect(options).to_have_count(0)
    expect(switcher(page)).to_have_value(name(7))
    assert figures(page)["Visitors"][0] == "3"

    page.keyboard.press("ArrowDown")
    expect(chosen).to_have_text(name(7))
    page.keyboard.type("nobody")
    expect(page.get_by_text("Nothing matches.")).to_be_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(switcher(page)).to_have_value(name(7))
    expect(switcher(page)).to_have_attribute("aria-expanded", "false")

    switcher(page).fill("team08")
    options.click()
    assert figures(page)["Page views"][0] == "5"
    switcher(page).fill("team")
    page.get_by_role("heading", name="Pages").click()
    expect(switcher(page)).to_have_value(name(8))


def test_a_site_that_is_switched_to_from_the_list_is_opened(look: SignedIn) -> None:
    page = look(LIST)
    switcher(page).fill("team07")
    page.keyboard.press("Enter")
    assert figures(page)["Visitors"][0] == "3"


def test_a_site_that_was_added_since_opens(look: SignedIn, traffic: Traffic) -> None:
    page = look(LIST)
    assert listed(page)[0] == HISTORY
    traffic.ask("/api/sites", {"name": "added.example"})
    search(page).fill("added")
    page.get_by_role("link", name="added.example").click()
    expect(switcher(page)).to_have_value("added.example")
    expect(page.get_by_role("heading", name="Waiting for the first visitor")).to_be_visible()
    traffic.ask("/api/sites/added.example", method="DELETE")


def test_it_says_what_is_wrong_and_comes_back(look: SignedIn, person: BrowserContext) -> None:
    page = look(LIST)
    assert listed(page)[0] == HISTORY
    person.set_offline(True)
    page.get_by_role("button", name="Page views").click()
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    person.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    assert listed(page)[0] == HISTORY
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_reader_of_one_site_has_no_list(
    person: BrowserContext, service: RunningService, traffic: Traffic
) -> None:
    made = traffic.ask("/api/tokens", {"name": "reader of team07", "scopes": ["read"], "site": name(7)})
    sign_in(person, service, made["secret"])
    page = person.new_page()
    page.goto(f"{service.url}/dashboard/{LIST.replace(HISTORY, name(7))}")
    assert figures(page)["Visitors"][0] == "3"
    expect(page.get_by_role("link", name="Sites", exact=True)).to_have_count(0)
    expect(switcher(page)).to_have_count(0)
    page.keyboard.press("s")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).not_to_contain_text("All sites")
    expect(page.locator(".sites")).to_have_count(0)


def test_for_everybody(look: SignedIn) -> None:
    page = look(LIST)
    listed(page)
    check_for_everybody(page)
    switcher(page).click()
    expect(page.get_by_role("listbox", name="Site")).to_be_visible()
    check_for_everybody(page)
    page.keyboard.type("nobody")
    expect(page.get_by_text("Nothing matches.")).to_be_visible()
    assert violations(page) == []
