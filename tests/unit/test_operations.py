"""docs/operations.md names every metric with its meaning, and every alert with what to do about it."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from portfolio_analytics.shared.metrics import CONSUMER, INTAKE, READ


def section(text: str, title: str) -> str:
    """The part of a document under a heading of the second level."""
    return text.split(f"\n## {title}\n")[1].split("\n## ", maxsplit=1)[0]


def test_every_alert_has_its_heading_and_no_other(repository: Path) -> None:
    groups = yaml.safe_load((repository / "deploy/prometheus/alerts.yaml").read_text())["groups"]
    alerts = [rule["alert"] for group in groups for rule in group["rules"]]
    alerting = section((repository / "docs/operations.md").read_text(), "Alerts")
    paragraphs = re.split(r"^### (\w+)\n", alerting, flags=re.MULTILINE)[1:]
    told = dict(zip(paragraphs[::2], paragraphs[1::2], strict=True))
    assert sorted(told) == sorted(alerts)
    assert all(len(text.split()) > 10 for text in told.values())


def test_every_metric_is_told_as_it_is_declared(repository: Path) -> None:
    told = section((repository / "docs/operations.md").read_text(), "Metrics")
    rows = {
        (name, meaning)
        for name, meaning in re.findall(
            r"^\| `(portfolio_analytics_\w+)` \|.*?\| (.*) \|$", told, re.MULTILINE
        )
    }
    declared = {
        (each.name + ("_total" if each.kind == "counter" else ""), each.meaning)
        for each in (*INTAKE, *CONSUMER, *READ)
    }
    assert rows == declared
