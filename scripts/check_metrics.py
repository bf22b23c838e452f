"""Do alerts and dashboard ask for metrics that exist, in PromQL that can be read? Are the rules whole?"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import yaml

from portfolio_analytics.shared import metrics

ROOT = Path(__file__).parent.parent
NAME = re.compile(r"\bportfolio_analytics_[a-z_]+")
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


DURATION = re.compile(r"\d+[smhd]")
SEVERITIES = ("critical", "warning", "info")


def declared() -> set[str]:
    """The names under which Prometheus keeps what metrics.py declares."""
    found = [value for value in vars(metrics).values() if isinstance(value, metrics.Declaration)]
    return {each.name + suffix for each in found for suffix in SUFFIXES[each.kind]}


def rules() -> Iterator[dict[str, Any]]:
    """Every alert rule."""
    for path in sorted((ROOT / "deploy/prometheus").glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def rule_problems(rule: dict[str, Any]) -> Iterator[str]:
    """What Prometheus, or whoever is woken by the alert, would miss."""
    name = rule.get("alert", "an alert without a name")
    if unknown := rule.keys() - {"alert", "expr", "for", "labels", "annotations"}:
        yield f"{name}: no such fields: {', '.join(sorted(unknown))}"
    if not DURATION.fullmatch(rule.get("for", "0s")):
        yield f"{name}: {rule['for']} is no duration"
    if rule.get("labels", {}).get("severity") not in SEVERITIES:
        yield f"{name}: a severity is one of {', '.join(SEVERITIES)}"
    annotations = rule.get("annotations", {})
    if not {"summary", "description"} <= annotations.keys():
        yield f"{name}: it needs a summary and a description"
    for label in re.findall(r"\$labels\.(\w+)", str(annotations)):
        if f"by ({label})" not in rule["expr"] and not rule["expr"].startswith("up{"):
            yield f"{name}: its expression keeps no label {label}"


def expressions() -> Iterator[tuple[str, str]]:
    """Where each PromQL expression stands, and the expression."""
    yield from ((rule["alert"], rule["expr"]) for rule in rules())
    for path in sorted((ROOT / "deploy/grafana").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.name}: {panel['title']}", target["expr"].replace("$__rate_interval", "1m")


def main() -> int:
    """Print every problem; 1 when there is one."""
    known = declared()
    problems = [problem for rule in rules() for problem in rule_problems(rule)]
    for place, expression in expressions():
        try:
            promql_parser.parse(expression)
        except ValueError as error:
            problems.append(f"{place}: {error}")
        problems += [f"{place}: no metric {name}" for name in NAME.findall(expression) if name not in known]
    print("\n".join(problems) or "alerts and dashboard ask for what is there")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
