"""What the figures are to be held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.figure import Figure


@dataclass(frozen=True, slots=True)
class Target:
    """The figure called `figure` is to be at least (`more`) or at most `bound`, in the figure's own unit."""

    path: str
    figure: str
    bound: float
    more: bool = False

    def ratio(self, found: Figure) -> float:
        """How often the bound goes into the figure; at most 1 is wanted, at least 1 where `more` is."""
        return found.value / self.bound

    def met(self, found: Figure) -> bool:
        """Whether the median keeps the bound."""
        return found.value >= self.bound if self.more else found.value <= self.bound


TARGETS = [
    Target("single event, Kafka, CPU", "single event against the empty handler, CPU", 2.2),
    Target("single events, Kafka, rate", "single events against the baseline, rate", 5, more=True),
    Target("batches of 100, CPU", "batches of 100, Kafka: CPU of the producer", 8),
    Target("answer at 2,000 requests/s, Kafka", "answer at 2,000 requests/s, Kafka, p99", 15),
    Target("answer at 2,000 requests/s, journal", "p99 with the journal beyond 4 fsyncs", 5),
    Target("one consumer, rate", "one consumer", 25_000, more=True),
    Target("one consumer, rate", "consumer against one INSERT an event, rate", 10, more=True),
    Target("ack to visible, 2,000 events/s", "ack to visible at 2,000 events/s, p50", 150),
    Target("ack to visible, 2,000 events/s", "ack to visible at 2,000 events/s, p99", 750),
    Target("ack to visible, lone event", "ack to visible of a lone event, p50", 100),
    Target("panel, unfiltered", "all panels, unfiltered, p95", 50),
    Target(
        "panel, unfiltered, ten times the events", "unfiltered panels, against a tenth of the events", 1.5
    ),
    Target("panel, one filter, 30 days", "all panels, one filter, 30 days, p95", 1500),
    Target("run, first start", "run: first start to first event accepted", 5),
    Target("run, later start", "run: later start to first event accepted", 3),
    Target("memory, producer, idle", "memory of a producer worker, idle, Kafka", 90),
    Target("memory, producer, under load", "memory of a producer worker, most under load, Kafka", 150),
    Target("memory, consumer process, idle", "memory of a consumer's process, idle", 120),
    Target("memory, consumer process, under load", "memory of a consumer's process, most under load", 250),
    Target("disk", "disk an event, everything", 400),
    Target("2 consumers, cost an event", "cost an event, 2 consumers against 1", 1.15),
    Target("4 consumers, cost an event", "cost an event, 4 consumers against 1", 1.15),
    Target("long history, cost an event", "cost an event, long history against none", 1.15),
]


def held_against(found: Mapping[str, Figure]) -> list[tuple[Target, Figure]]:
    """Each target whose figure was measured, with it."""
    return [(target, found[target.figure]) for target in TARGETS if target.figure in found]
