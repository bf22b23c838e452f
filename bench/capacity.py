"""What a rate of events takes, from the figures: cores of each part, disk. docs/capacity.md explains it."""

from __future__ import annotations

from collections.abc import Mapping

from bench.figure import Figure

RATES = (100, 1_000, 10_000, 100_000, 1_000_000)
BUSY = 0.6
"""The share of a core that is planned with: the rest is for peaks, catching up, vacuum."""

PARTS = {
    "producers": "single events, Kafka: CPU of the producer",
    "producers, batches of 100": "batches of 100, Kafka: CPU of the producer",
    "broker": "single events, Kafka: CPU of the broker",
    "broker, batches of 100": "batches of 100, Kafka: CPU of the broker",
    "consumers": "one consumer: CPU of consumers",
    "PostgreSQL": "one consumer: CPU of PostgreSQL",
}
DISK = "disk an event, everything"


def cores(rate: float, microseconds: float) -> float:
    """Cores for `rate` events a second of so many CPU microseconds each, each core BUSY of its time."""
    return rate * microseconds / 1e6 / BUSY


def capacity_rows(found: Mapping[str, Figure]) -> list[str]:
    """A table of cores by rate, and of GB a day; of those parts whose figures were measured."""
    head = "| events/s | " + " | ".join(f"{rate:,}" for rate in RATES) + " |"
    rows = [
        f"| cores, {part} ({found[name].value:.1f} us) | "
        + " | ".join(f"{cores(rate, found[name].value):,.2f}" for rate in RATES)
        + " |"
        for part, name in PARTS.items()
        if name in found
    ]
    if DISK in found:
        per_day = [f"{rate * 86_400 * found[DISK].value / 1e9:,.1f}" for rate in RATES]
        rows.append(
            f"| GB a day in PostgreSQL ({found[DISK].value:.0f} bytes) | " + " | ".join(per_day) + " |"
        )
    return [head, "|---" * (len(RATES) + 1) + "|", *rows] if rows else []
