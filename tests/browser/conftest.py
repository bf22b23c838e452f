"""A real Chromium for every test of what people see in a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MISSING = "no Chromium on the PATH; install Debian's: apt-get install chromium chromium-headless-shell"

_skipped: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One loud line when tests were left out."""
    if _skipped:
        terminalreporter.write_line(f"TESTS IN A BROWSER WERE SKIPPED: {_skipped[0]}", red=True, bold=True)


# Not for the session: Playwright's event loop counts as running until it stops, and tests that bring
# their own loop come after these.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """Chromium without its windows, which cost two thirds of its time; without either, see `launch`."""
    browser = launch(playwright, "chromium-headless-shell", "chromium")
    yield browser
    browser.close()


@pytest.fixture
def whole_chromium(playwright: Playwright) -> Iterator[Browser]:
    """The browser that people have, which alone keeps pages to come back to."""
    browser = launch(playwright, "chromium")
    yield browser
    browser.close()


def launch(playwright: Playwright, *programs: str) -> Browser:
    """Start the first of the programs that is there, headless. Without one the test is skipped, or fails
    with CI=true."""
    program = next((found for name in programs if (found := shutil.which(name))), None)
    if program is None:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(MISSING, pytrace=False)
        _skipped.append(MISSING)
        pytest.skip(MISSING)
    return playwright.chromium.launch(
        executable_path=program,
        args=FLAGS,
        # Coming back from the cache is one of the things to be tested.
        ignore_default_args=["--disable-back-forward-cache"],
    )
