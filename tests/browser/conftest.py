"""A real Chromium for every test of what people see in a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

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
MISSING = "no Chromium on the PATH; install Debian's: apt-get install chromium"

_skipped: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One loud line when tests were left out."""
    if _skipped:
        terminalreporter.write_line(f"TESTS IN A BROWSER WERE SKIPPED: {_skipped[0]}", red=True, bold=True)


# Not for the session: Playwright's event loop counts as running until it stops, and tests that bring
# their own loop come after these.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium, headless; without one the tests are skipped, or fail with CI=true."""
    program = shutil.which("chromium")
    if program is None:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(MISSING, pytrace=False)
        _skipped.append(MISSING)
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=FLAGS,
            # Coming back from the cache is one of the things to be tested.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        browser.close()
