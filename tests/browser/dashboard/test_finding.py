"""Finding one's way: filters, details, dates, the address and the back button, files."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.dashboard.conftest import SignedIn
from tests.browser.dashboard.reading import figures, panel, rows, table
from tests.browser.dashboard.traffic import HISTORY, MARCH, Traffic, now_visit, visit


def visitors(page: Page) -> str:
    return figures(page)["Visitors"][0]


def expect_filters(page: Page, *filters: str) -> None:
    expect(page.locator(".chips .chip")).to_have_count(len(filters))
    for chip, text in zip(page.locator(".chips .chip").all(), filters, strict=True):
        expect(chip).to_have_text(text, use_inner_text=True)


# Filters


def test_a_row_filters_and_the_back_button_takes_it_back(look: SignedIn) -> None:
    page = look(MARCH)
    assert visitors(page) == "124"
    panel(page, "Sources").get_by_role("button", name="Email", exact=True).click()
    assert visitors(page) == "31"
    assert rows(page, "Pages") == [["/pricing", "31", "100%"], ["/signup", "31", "100%"]]
    assert "f=is,visit:channel,Email" in page.url
    page.reload()
    assert visitors(page) == "31"
    page.go_back()
    assert visitors(page) == "124"
    expect_filters(page)
    page.go_forward()
    assert visitors(page) == "31"
    page.get_by_role("button", name="Remove the filter Channel is Email").click()
    assert visitors(page) == "124"


def test_drill_down_from_country_and_browser(look: SignedIn) -> None:
    page = look(f"{MARCH}&tab.locations=countries")
    panel(page, "Locations").get_by_role("button", name="United States").click()
    expect(panel(page, "Locations").get_by_role("tab", name="Regions")).to_have_attribute(
        "aria-selected", "true"
    )
    panel(page, "Devices").get_by_role("button", name="Firefox").click()
    expect_filters(page, "Country is United States", "Browser is Firefox")
    assert rows(page, "Devices") == [["Firefox 145", "31", "100%"]]
    assert visitors(page) == "31"
    page.get_by_role("button", name="Clear all").click()
    assert visitors(page) == "124"


def test_is_not(look: SignedIn) -> None:
    page = look(f"{MARCH}&f=is,visit:country,US")
    assert visitors(page) == "62"
    page.get_by_role("button", name="Country is: turn round").click()
    expect_filters(page, "Country is not United States")
    assert [row[0] for row in rows(page, "Locations", "Countries")] == ["Germany", "France"]
    page.keyboard.press("Escape")
    expect_filters(page)


def test_a_filter_by_hand(look: SignedIn) -> None:
    page = look(MARCH)
    page.get_by_role("button", name="Filter", exact=True).click()
    dialog = page.get_by_role("dialog", name="Add a filter")
    dialog.get_by_label("Show where").select_option("Page")
    dialog.get_by_label("Operator").select_option("contains")
    dialog.get_by_label("Value").fill("sign")
    dialog.get_by_role("button", name="Apply").click()
    expect_filters(page, "Page contains sign")
    assert visitors(page) == "31"
    assert set(figures(page)) >= {"Time on page", "Scroll depth"}

    page.get_by_role("button", name="Change the filter Page").click()
    dialog = page.get_by_role("dialog", name="Change the filter")
    dialog.get_by_label("Show where").select_option("Country")
    dialog.get_by_label("Operator").select_option("is")
    dialog.get_by_role("button", name="France").click()
    dialog.get_by_role("button", name="Germany").click()
    dialog.get_by_role("button", name="Apply").click()
    expect_filters(page, "Country is France or Germany")
    assert visitors(page) == "62"

    page.get_by_role("button", name="Change the filter Country").click()
    dialog.get_by_label("Show where").select_option("Property of an event")
    expect(dialog.locator("datalist option[value=plan]")).to_have_count(1)
    dialog.get_by_label("Property", exact=True).fill("plan")
    dialog.get_by_role("button", name="free").click()
    dialog.get_by_role("button", name="Apply").click()
    expect_filters(page, "plan is free")


def test_the_offered_address_is_understood_and_nonsense_is_not_there(look: SignedIn) -> None:
    page = look(
        f"{MARCH}&f=is,event:page,/a%5C,b,/about&f=nonsense&f=is,visit:country&metric=nothing&interval=x"
    )
    expect_filters(page, "Page is /a,b or /about")
    assert visitors(page) == "62"


# Details


def test_details_are_searched_sorted_and_saved(look: SignedIn, tmp_path: Path) -> None:
    page = look(MARCH)
    panel(page, "Pages").get_by_role("button", name="Details").click()
    dialog = page.get_by_role("dialog", name="Pages · Top")
    assert table(dialog)[0] == ["/", "93", "93", "50%", "0s", "–"]
    dialog.get_by_role("button", name="Page views").click()
    assert [row[0] for row in table(dialog)] == ["/", "/about", "/pricing", "/signup"]
    dialog.get_by_role("button", name="Page views").click()
    assert table(dialog)[0][0] == "/signup"
    dialog.get_by_label("Search Page").fill("PRIC")
    expect(dialog.locator("tbody tr")).to_have_count(1)
    assert table(dialog)[0][:2] == ["/pricing", "62"]
    with page.expect_download() as saved:
        dialog.get_by_role("button", name="CSV").click()
    assert read_csv(saved.value.path()) == [
        ["Page", "visitors", "pageviews", "bounce_rate", "time_on_page", "scroll_depth"],
        ["/pricing", "62", "62", "0", "0", ""],
    ]
    page.go_back()
    expect(dialog).to_have_count(0)
    panel(page, "Locations").get_by_role("button", name="Details").click()
    dialog = page.get_by_role("dialog", name="Locations · Map")
    dialog.get_by_label("Search Country").fill("fran")
    expect(dialog.locator("tbody tr")).to_have_count(1)
    dialog.get_by_role("button", name="France").click()
    expect(dialog).to_have_count(0)
    assert visitors(page) == "31"


def test_more_than_a_hundred_rows_come_when_asked_for(look: SignedIn, traffic: Traffic) -> None:
    moment = datetime.now(UTC) - timedelta(hours=1)
    traffic.send(
        "long.example", [event for number in range(130) for event in visit(moment, [f"/page/{number}"])]
    )
    page = look("?site=long.example")
    panel(page, "Pages").get_by_role("button", name="Details").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("tbody tr")).to_have_count(100)
    dialog.get_by_role("button", name="Show more (100 of 130)").click()
    expect(dialog.locator("tbody tr")).to_have_count(130)


HOSTILE = [
    '=HYPERLINK("http://evil.example","click")',
    "<img src=x onerror=document.title='owned'>",
    "@SUM(1+1)",
]


def test_hostile_text_is_text_on_the_page_and_in_the_file(look: SignedIn, traffic: Traffic) -> None:
    events = [
        event
        for text in HOSTILE
        for event in now_visit(["/"], also=[{"event_type": "named", "props": {"what": text}}])
    ]
    traffic.send("hostile.example", events)
    page = look("?site=hostile.example&period=day&tab.events=properties&tab.property=what")
    assert sorted(row[0] for row in rows(page, "Events")) == sorted(HOSTILE)
    assert "owned" not in page.title()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save Events as CSV").click()
    cells = [row[0] for row in read_csv(saved.value.path())[1:]]
    assert sorted(cells) == sorted([f"'{HOSTILE[0]}", HOSTILE[1], f"'{HOSTILE[2]}"])


def test_the_chart_as_a_file(look: SignedIn) -> None:
    page = look(MARCH)
    figures(page)
    expect(page.locator(".trend")).to_have_attribute("aria-busy", "false")
    expect(page.locator("path.before")).to_have_count(1)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the chart as CSV").click()
    found = read_csv(saved.value.path())
    assert saved.value.suggested_filename == f"{HISTORY}_visitors_day.csv"
    assert found[0] == ["time", "visitors", "compared"]
    assert found[1] == ["2025-03-01", "4", "0"]
    assert found[31] == ["2025-03-31", "4", "2"]


def read_csv(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


# Dates


def test_keys_choose_the_period(look: SignedIn, traffic: Traffic) -> None:
    site = "days.example"
    noon = datetime.now(UTC).replace(hour=0, minute=0, second=1) - timedelta(days=1)
    # One visitor at the beginning of today, and one on each of the 39 days before.
    traffic.send(site, [event for ago in range(-1, 39) for event in visit(noon - timedelta(days=ago), ["/"])])
    page = look(f"?site={site}&period=12mo")
    assert visitors(page) == "40"
    for key, label, days in (
        ("d", "Today", 1),
        ("e", "Yesterday", 1),
        ("w", "Last 7 days", 7),
        ("t", "Last 30 days", 30),
    ):
        page.keyboard.press(key)
        expect(page.get_by_role("button", name=f"Period: {label}")).to_be_visible()
        assert visitors(page) == str(days)
        page.keyboard.press("a")
        assert visitors(page) == "40"
    page.go_back()
    assert visitors(page) == "30"


def test_months_by_arrows_and_own_dates(look: SignedIn) -> None:
    page = look(MARCH)
    expect(page.get_by_role("button", name="Period: March 2025")).to_be_visible()
    page.get_by_role("button", name="Earlier").click()
    expect(page.get_by_role("button", name="Period: February 2025")).to_be_visible()
    assert visitors(page) == "56"
    page.get_by_role("button", name="Later").click()
    assert visitors(page) == "124"
    page.get_by_role("button", name="Period: March 2025").click()
    page.get_by_label("From", exact=True).fill("2025-03-03")
    page.get_by_label("To", exact=True).fill("2025-03-09")
    page.get_by_role("button", name="Show these days").click()
    assert visitors(page) == "28"
    page.locator("body").press("ArrowLeft")
    assert visitors(page) == "18"
    assert "from=2025-02-24" in page.url


def test_a_point_of_the_chart_zooms_in(look: SignedIn) -> None:
    page = look(f"?site={HISTORY}&period=custom&from=2025-01-01&to=2025-12-31")
    plot = page.get_by_role("group", name="Visitors by month")
    plot.focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    expect(page.locator(".tooltip")).to_contain_text("March 2025")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Period: March 2025")).to_be_visible()
    assert visitors(page) == "124"


def test_keys_can_be_switched_off(look: SignedIn) -> None:
    page = look(MARCH)
    figures(page)
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    dialog.get_by_label("Single keys act").uncheck()
    dialog.get_by_role("button", name="Close").click()
    page.keyboard.press("d")
    expect(page.get_by_role("button", name="Period: March 2025")).to_be_visible()
    page.get_by_role("button", name="Keyboard shortcuts").click()
    dialog.get_by_label("Single keys act").check()
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    expect(page.get_by_role("button", name="Period: Today")).to_be_visible()


def test_the_period_menu_by_keyboard(look: SignedIn) -> None:
    page = look(MARCH)
    figures(page)
    trigger = page.get_by_role("button", name="Period: March 2025")
    trigger.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="Yesterday")).to_be_focused()
    page.keyboard.press("Escape")
    expect(trigger).to_be_focused()
    expect(trigger).to_have_attribute("aria-expanded", "false")
