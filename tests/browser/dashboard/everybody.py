"""Whether everybody can use a page: axe, in light and dark, and nothing cut off at any width."""

from __future__ import annotations

from typing import Any, Literal

from playwright.sync_api import Page

from tests.browser.dashboard.conftest import DASHBOARD

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = (360, 768, 1280, 1920)


def violations(page: Page) -> list[str]:
    """What axe finds wrong, best practices included."""
    page.evaluate((DASHBOARD / "node_modules" / "axe-core" / "axe.min.js").read_text())
    found: list[dict[str, Any]] = page.evaluate("async () => (await axe.run()).violations")
    return [f"{each['id']}: {each['help']}: {node['html'][:160]}" for each in found for node in each["nodes"]]


def check_for_everybody(page: Page) -> None:
    """Look at `page` in both schemes and at all widths."""
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert violations(page) == [], scheme
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        # What is drawn anew for a width is drawn in the frame after it.
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width
