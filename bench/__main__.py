"""`make bench`: measure, print one table, write bench/results.json and bench/RESULTS.md."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from bench.consumer import measure_consumer, measure_growth
from bench.figure import Figure
from bench.intake import measure_intake, measure_journal
from bench.machine import describe, load_average
from bench.parts import Parts, Scale, now_ms
from bench.pipeline import measure_pipeline
from bench.query import fill, measure_disk, measure_queries
from bench.report import TARGET_HEAD, Section, earlier, number, target_rows, write
from bench.size import measure_size
from bench.start import measure_start

Measure = Callable[[Parts, Scale], list[Figure]]

QUICK = Scale(rounds=1, seconds=1.0, events=5_000, stored=20_000, days=30)


def main(wanted: list[str]) -> None:
    """Measure the sections `wanted`, all when none is named.

    QUICK=1 in the environment makes it a smoke run; EVENTS is the length of the history (1,000,000).
    Sections that are not measured stay in the results as they were.
    """
    unknown = [name for name in wanted if name not in SECTIONS]
    if unknown:
        sys.exit(f"No section {', '.join(unknown)}; there are {', '.join(SECTIONS)}.")
    quick = os.environ.get("QUICK", "") not in ("", "0")
    stored = int(os.environ.get("EVENTS") or 1_000_000)
    scale = QUICK if quick else Scale(rounds=5, seconds=4.0, events=80_000, stored=stored, days=365)
    measured = in_order = earlier(quick)
    load = load_average()
    with Parts() as parts:
        for name, (title, measure) in SECTIONS.items():
            if wanted and name not in wanted:
                continue
            print(f"\n{title}", flush=True)
            began = time.perf_counter()
            figures = measure(parts, scale)
            took = time.perf_counter() - began
            when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
            measured[name] = Section(title, when, load, took, describe(), figures)
            _show(figures)
            in_order = {name: measured[name] for name in SECTIONS if name in measured}
            write(in_order, quick)
    print(f"\n{TARGET_HEAD}", *target_rows(in_order), sep="\n")


def _measure_queries(parts: Parts, scale: Scale) -> list[Figure]:
    """The panels over a long history, its size on disk, and what a consumer's work costs beside it."""
    database = parts.database("history")
    fill(database, now_ms(), events=scale.stored, days=scale.days)
    tenth = parts.database("tenth")
    fill(tenth, now_ms(), events=scale.stored // 10, days=scale.days)
    return [
        *measure_queries(database, events=scale.stored, rounds=scale.rounds + 1, smaller=tenth),
        *measure_disk(database),
        *measure_growth(parts, scale, database),
    ]


def _measure_size(_parts: Parts, _scale: Scale) -> list[Figure]:
    return measure_size()


SECTIONS: dict[str, tuple[str, Measure]] = {
    "intake": ("Intake, Kafka", measure_intake),
    "journal": ("Intake, journal", measure_journal),
    "pipeline": ("From the answer to the commit", measure_pipeline),
    "consumer": ("Consumer", measure_consumer),
    "start": ("Start", measure_start),
    "queries": ("A long history: queries, disk, consumer", _measure_queries),
    "size": ("Size", _measure_size),
}


def _show(figures: list[Figure]) -> None:
    for found in figures:
        spread = f"  ({number(found.low)} to {number(found.high)})" if found.rounds > 1 else ""
        print(f"  {found.name:<66} {number(found.value):>9} {found.unit}{spread}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
