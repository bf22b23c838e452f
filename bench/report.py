"""bench/results.json and bench/RESULTS.md: what was measured, when, against which target."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.capacity import BUSY, capacity_rows
from bench.figure import Figure
from bench.target import Target, held_against

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).with_name("RESULTS.md")
TARGET_HEAD = "| path | figure | measured | target | ratio | met |\n|---|---|---:|---:|---:|---|"
FIGURE_HEAD = "| what | median | from | to | rounds |\n|---|---:|---:|---:|---:|"


@dataclass(frozen=True, slots=True)
class Section:
    """One section's figures. `load`: the load average when it began, before anything of ours ran."""

    title: str
    date: str
    load: float
    seconds: float
    machine: Mapping[str, str]
    figures: Sequence[Figure]


def earlier(quick: bool) -> dict[str, Section]:
    """The sections of the last run of the same kind, by name; a run may be of some sections only."""
    try:
        stored: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
        if stored["quick"] != quick:
            return {}
        return {
            name: Section(**{**section, "figures": [Figure(**one) for one in section["figures"]]})
            for name, section in stored["sections"].items()
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write(sections: Mapping[str, Section], quick: bool) -> None:
    """Write both files."""
    held = _held(sections)
    stored = {
        "quick": quick,
        "targets": [
            {**asdict(target), "measured": one.value, "ratio": target.ratio(one), "met": target.met(one)}
            for target, one in held
        ],
        "sections": {name: asdict(section) for name, section in sections.items()},
    }
    RESULTS.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(_page(sections, held, quick), encoding="utf-8")


def target_rows(sections: Mapping[str, Section]) -> list[str]:
    """The table of targets, one row a target that was measured."""
    return [
        f"| {target.path} | {one.name} | {number(one.value)} {one.unit} | {'≥' if target.more else '≤'} "
        f"{number(target.bound)} | {target.ratio(one):.2f} | {'yes' if target.met(one) else '**no**'} |"
        for target, one in _held(sections)
    ]


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _held(sections: Mapping[str, Section]) -> list[tuple[Target, Figure]]:
    return held_against(_by_name(sections))


def _by_name(sections: Mapping[str, Section]) -> dict[str, Figure]:
    return {one.name: one for section in sections.values() for one in section.figures}


def _page(sections: Mapping[str, Section], held: Sequence[tuple[Target, Figure]], quick: bool) -> str:
    machine = next(iter(sections.values())).machine if sections else {}
    lines = [
        "# Results",
        "",
        *(["**A smoke run: the figures mean little.**", ""] if quick else []),
        "Medians over the rounds. Everything ran on one machine, the load included: "
        + ", ".join(f"{name} {value}" for name, value in machine.items())
        + ". What is compared was measured in turn, A B A B, and a ratio is taken round by round. "
        "CPU is user and system time of the processes named, divided by events.",
        "",
        TARGET_HEAD,
        *target_rows(sections),
        "",
        f"{sum(target.met(one) for target, one in held)} of {len(held)} targets met.",
    ]
    capacity = capacity_rows(_by_name(sections))
    if capacity:
        busy = (
            f"Cores that are busy {BUSY:.0%} of the time, from the CPU an event below; see docs/capacity.md."
        )
        lines += ["", "## What a rate takes", "", busy, "", *capacity]
    for section in sections.values():
        lines += [
            "",
            f"## {section.title}",
            "",
            f"{section.date}, {section.seconds:.0f} s; load average when it began: {section.load:.2f}.",
            "",
            FIGURE_HEAD,
            *(
                f"| {one.name} | {number(one.value)} {one.unit} | {number(one.low)} | {number(one.high)} "
                f"| {one.rounds} |"
                for one in section.figures
            ),
        ]
    return "\n".join(lines) + "\n"
