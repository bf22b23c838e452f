"""The numbers of a known month, read from the page as a person reads them.

March 2025 of `history.example`, each of 31 days:

| visit | from | country | browser | pages | seconds |
|---|---|---|---|---|---|
| 1 | Google | DE | Chrome | / /about | 60 |
| 2 | direct | US | Firefox | / | 0, a bounce |
| 3 | a letter's link | US | Safari | /pricing /signup, then the event signup | 120 |
| 4 | direct | FR | Chrome | /pricing / /about | 120 |
"""

from __future__ import annotations

from datetime import UTC, datetime

from playwright.sync_api import Page, expect

from tests.browser.dashboard.conftest import SignedIn
from tests.browser.dashboard.reading import figures, panel, rows, table
from tests.browser.dashboard.traffic import HISTORY, MARCH, Traffic, now_visit, visit


def test_headline_figures_and_their_change(look: SignedIn) -> None:
    page = look(MARCH)
    assert figures(page) == {
        "Visitors": ("124", "up 121%"),
        "Visits": ("124", "up 121%"),
        "Page views": ("248", "up 195%"),
        "Views per visit": ("2", "up 33%"),
        "Bounce rate": ("25%", "down 25 pt"),
        "Visit duration": ("1m 15s", "up 150%"),
    }


def test_more_visitors_than_visits_are_explained(look: SignedIn, traffic: Traffic) -> None:
    """A visit over midnight counts on the day on which it began, its visitor on both."""
    site = "midnight.example"
    traffic.send(site, visit(datetime(2025, 3, 31, 23, 59, 30, tzinfo=UTC), ["/", "/about"]))
    for first, last, seen in (
        ("2025-03-31", "2025-03-31", ("1", "1")),
        ("2025-04-01", "2025-04-01", ("1", "0")),
        ("2025-03-31", "2025-04-01", ("2", "1")),
    ):
        page = look(f"?site={site}&period=custom&from={first}&to={last}")
        found = figures(page)
        assert (found["Visitors"][0], found["Visits"][0]) == seen
        explained = page.locator(".footnote").filter(has_text="More visitors than visits")
        expect(explained).to_have_count(0 if seen[0] == seen[1] else 1)


def test_comparison_with_the_year_before_and_none(look: SignedIn) -> None:
    page = look(MARCH)
    page.get_by_label("Compare with").select_option("vs year before")
    expect(page.locator(".figure").first).to_contain_text("up 300%")
    expect(page.locator("path.before")).to_have_count(1)
    page.get_by_label("Compare with").select_option("No comparison")
    expect(page.locator("path.before")).to_have_count(0)
    expect(page.locator(".change")).to_have_count(0)
    page.keyboard.press("x")
    expect(page.locator(".figure").first).to_contain_text("up 121%")


def chart(page: Page) -> list[list[str]]:
    """The main chart as the table that it also is."""
    page.get_by_role("button", name="Show as a table").click()
    expect(page.locator(".trend")).to_have_attribute("aria-busy", "false")
    found = table(page.locator(".chart-table"))
    page.get_by_role("button", name="Show as a table").click()
    return found


def test_chart_of_each_metric_and_interval(look: SignedIn) -> None:
    page = look(MARCH)
    by_day = chart(page)
    assert len(by_day) == 31
    assert by_day[0] == ["Sat, Mar 1, 2025", "4", "0"]
    assert by_day[30] == ["Mon, Mar 31, 2025", "4", "2"]

    page.get_by_role("button", name="Page views").click()
    assert chart(page)[0][1] == "8"
    page.get_by_role("button", name="Weeks").click()
    by_week = chart(page)
    assert [row[1] for row in by_week] == ["16", "56", "56", "56", "56", "8"]
    assert by_week[1][0] == "Week of Mon, Mar 3, 2025"


def test_chart_under_the_pointer_and_the_keys(look: SignedIn) -> None:
    page = look(MARCH)
    plot = page.get_by_role("group", name="Visitors by day, with the compared period.")
    plot.locator("svg").hover()
    expect(page.locator(".tooltip")).to_contain_text("4 visitors")
    page.mouse.move(0, 0)
    expect(page.locator(".tooltip")).to_be_hidden()
    plot.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".tooltip")).to_contain_text("Mon, Mar 31, 2025")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".tooltip")).to_contain_text("Sun, Mar 30, 2025")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Period: Sun, Mar 30, 2025")).to_be_visible()
    expect(page.locator(".figure").first).to_contain_text("4")


def test_panels(look: SignedIn) -> None:
    page = look(MARCH)
    assert rows(page, "Pages") == [
        ["/", "93", "75%"],
        ["/about", "62", "50%"],
        ["/pricing", "62", "50%"],
        ["/signup", "31", "25%"],
    ]
    assert rows(page, "Pages", "Entry") == [["/", "62", "50%"], ["/pricing", "62", "50%"]]
    assert rows(page, "Pages", "Exit") == [
        ["/about", "62", "50%"],
        ["/", "31", "25%"],
        ["/signup", "31", "25%"],
    ]
    assert rows(page, "Sources") == [
        ["Direct", "62", "50%"],
        ["Email", "31", "25%"],
        ["Organic Search", "31", "25%"],
    ]
    assert rows(page, "Sources", "Referrers") == [["google.com", "31", "25%"]]
    assert rows(page, "Sources", "Campaigns") == [["spring", "31", "25%"]]
    panel(page, "Sources").get_by_role("button", name="Medium").click()
    expect(panel(page, "Sources").locator("tbody")).to_contain_text("email")
    assert rows(page, "Locations", "Countries") == [
        ["United States", "62", "50%"],
        ["Germany", "31", "25%"],
        ["France", "31", "25%"],
    ]
    assert rows(page, "Devices") == [
        ["Chrome", "62", "50%"],
        ["Firefox", "31", "25%"],
        ["Safari", "31", "25%"],
    ]
    assert rows(page, "Devices", "Types") == [["Desktop", "93", "75%"], ["Mobile", "31", "25%"]]
    assert rows(page, "Events") == [["Page view", "124", "248"], ["signup", "31", "31"]]


def test_the_map_shows_and_filters(look: SignedIn) -> None:
    page = look(MARCH)
    map_ = panel(page, "Locations").get_by_role(
        "img", name="World map of visitors. Most are from United States."
    )
    expect(map_.locator(".shade-5")).to_have_count(1)
    expect(map_.locator("[class^=shade]")).to_have_count(3)
    map_.locator(".shade-5").click()
    expect(page.get_by_label("Active filters")).to_contain_text("United States")
    assert figures(page)["Visitors"][0] == "62"


def test_properties_of_events(look: SignedIn) -> None:
    page = look(f"{MARCH}&f=is,event:name,signup")
    events = panel(page, "Events")
    events.get_by_role("tab", name="Properties").click()
    chosen = events.get_by_label("Property")
    expect(chosen.locator("option")).to_have_text(["Choose a property", "plan"])
    chosen.select_option("plan")
    assert rows(page, "Events", "Properties") == [["free", "31", "31"]]
    events.get_by_role("button", name="free", exact=True).click()
    expect(page.get_by_label("Active filters")).to_contain_text("free")
    assert figures(page)["Visitors"][0] == "31"


def test_a_property_is_typed_where_none_is_known(look: SignedIn) -> None:
    page = look(f"?site={HISTORY}&period=custom&from=2025-02-01&to=2025-02-28&tab.events=properties")
    events = panel(page, "Events")
    expect(events).to_contain_text("Events may carry properties")
    events.get_by_label("Property").fill("plan")
    events.get_by_role("button", name="Show").click()
    expect(events).to_contain_text("No event has this property here.")


def test_another_site_by_the_switcher(look: SignedIn, traffic: Traffic) -> None:
    traffic.send("second.example", now_visit(["/elsewhere"]))
    page = look(MARCH)
    assert figures(page)["Visitors"][0] == "124"
    page.get_by_role("combobox", name="Site", exact=True).click()
    page.get_by_role("option", name="second.example").click()
    page.get_by_role("button", name="Period: ").click()
    page.get_by_role("button", name="Today").click()
    assert rows(page, "Pages") == [["/elsewhere", "1", "100%"]]
    page.go_back()
    page.go_back()
    assert figures(page)["Visitors"][0] == "124"
    assert HISTORY in page.title()


def test_a_period_without_numbers_leads_to_where_they_are(look: SignedIn, traffic: Traffic) -> None:
    """As after the import of an old access log."""
    for month in (5, 6):
        traffic.send("old.example", visit(datetime(2025, month, 10, 12, tzinfo=UTC), ["/old"]))
    page = look("?site=old.example")
    assert figures(page)["Visitors"][0] == "0"
    note = page.get_by_role("status").filter(has_text="Nothing in this period.")
    expect(note).to_contain_text("from May 1 – Jun 30, 2025")
    note.get_by_role("button", name="Show them").click()
    expect(note).to_have_count(0)
    assert figures(page)["Visitors"][0] == "2"
    assert rows(page, "Pages") == [["/old", "2", "100%"]]
    # There are no halves of visitors.
    marks = page.locator(".main-card .chart g:has(> line.grid) > text")
    assert marks.all_text_contents() == ["0", "1"]


def test_a_change_beyond_percents(look: SignedIn, traffic: Traffic) -> None:
    days = [(10, 1), (11, 12)]
    for day, visits in days:
        for hour in range(visits):
            traffic.send("grown.example", visit(datetime(2025, 6, day, hour, tzinfo=UTC), ["/"]))
    page = look("?site=grown.example&period=custom&from=2025-06-11&to=2025-06-11")
    assert figures(page)["Visitors"] == ("12", "up 12×")
    assert figures(page)["Bounce rate"] == ("100%", "no change, 0 pt")
    page = look("?site=grown.example&period=custom&from=2025-06-10&to=2025-06-10")
    assert figures(page)["Visitors"] == ("1", "new")


def test_the_site_one_comes_back_to(look: SignedIn, traffic: Traffic) -> None:
    for site in ("default", "come-back.example"):
        traffic.send(site, now_visit(["/"]))
    chosen = look("").get_by_label("Site", exact=True)
    expect(chosen).not_to_have_value("default")
    expect(look("?site=come-back.example").get_by_label("Site", exact=True)).to_have_value(
        "come-back.example"
    )
    expect(look("").get_by_label("Site", exact=True)).to_have_value("come-back.example")
