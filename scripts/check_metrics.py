"""Do alerts and dashboard ask for metrics that exist, in PromQL that can be read?"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import yaml

from portfolio_analytics.shared import metrics

ROOT = Path(__file__).parent.parent
NAME = re.compile(r"\bportfolio_analytics_[a-z_]+")
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def declared() -> set[str]:
    """The names under which Prometheus keeps what metrics.py declares."""
    found = [value for value in vars(metrics).values() if isinstance(value, metrics.Declaration)]
    return {each.name + suffix for each in found for suffix in SUFFIXES[each.kind]}


def expressions() -> Iterator[tuple[str, str]]:
    """Where each PromQL expression stands, and the expression."""
    for path in sorted((ROOT / "deploy/prometheus").glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                yield f"{path.name}: {rule['alert']}", rule["expr"]
    for path in sorted((ROOT / "deploy/grafana").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.name}: {panel['title']}", target["expr"].replace("$__rate_interval", "1m")


def main() -> int:
    """Print every problem; 1 when there is one."""
    known = declared()
    problems = []
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
