"""What a person reads on the dashboard."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect


def figures(page: Page) -> dict[str, tuple[str, str]]:
    """The headline figures by name, each with its change; once they are all there."""
    expect(page.locator(".figure")).to_have_count(6)
    expect(page.locator(".figures")).to_have_attribute("aria-busy", "false")
    found = {}
    for figure in page.locator(".figure").all():
        name = figure.locator(".figure-name").inner_text().removesuffix(" *")
        change = figure.locator(".change")
        text = change.text_content() or "" if change.count() else ""
        found[name] = (figure.locator("strong").inner_text(), text.replace("↑", "").replace("↓", ""))
    return found


def panel(page: Page, title: str) -> Locator:
    """The panel with this title."""
    return page.get_by_role("region", name=title, exact=True)


def rows(page: Page, title: str, tab: str | None = None) -> list[list[str]]:
    """The rows of a panel, once it has any."""
    found = panel(page, title)
    if tab:
        found.get_by_role("tab", name=tab, exact=True).click()
        expect(found.get_by_role("tabpanel", name=f"{title}: {tab}")).to_be_visible()
    return table(found)


def table(place: Locator) -> list[list[str]]:
    """The cells of a table, once it holds the newest numbers, and any."""
    expect(place.locator("[aria-busy=true]")).to_have_count(0)
    expect(place.locator("tbody tr").first).to_be_visible()
    found = [row.inner_text().split("\t") for row in place.locator("tbody tr").all()]
    return [[cell.strip() for cell in row] for row in found]
