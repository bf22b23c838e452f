"""What the installed package carries beside its code."""

import json
import re
from importlib.metadata import Distribution, distribution

import pytest


@pytest.fixture
def installed() -> Distribution:
    """The package's metadata; a test that needs the wheel is skipped where the tree is imported instead."""
    found = distribution("portfolio-analytics")
    if "portfolio_analytics/__init__.py" not in {str(file) for file in found.files or ()}:
        pytest.skip("the wheel is not installed here; `make test` installs it")
    return found


def test_it_brings_the_tracker_and_the_dashboard(installed: Distribution) -> None:
    files = {str(file) for file in installed.files or ()}
    place = "portfolio_analytics/web"
    for name in ("tracker.js", "vitals.js", "dashboard/index.html"):
        assert {f"{place}/{name}", f"{place}/{name}.gz"} <= files


def test_its_bill_of_materials_names_every_dependency(installed: Distribution) -> None:
    bill = json.loads(installed.read_text("sboms/sbom.cdx.json") or "")
    assert bill["metadata"]["component"]["version"] == installed.version
    named = {part["name"] for part in bill["components"]}
    wanted = [line for line in installed.requires or () if "extra ==" not in line]
    assert wanted
    for requirement in wanted:
        name = re.match(r"[A-Za-z0-9-]+", requirement)
        assert name is not None
        assert name[0] in named
