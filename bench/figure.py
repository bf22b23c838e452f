"""A figure: a median of several rounds with its spread, and what it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """`name` was `value` `unit` (median; from `low` to `high` over the rounds)."""

    name: str
    value: float
    unit: str
    low: float
    high: float
    rounds: int

    def as_dict(self) -> dict[str, object]:
        """The figure for results.json."""
        return asdict(self)


def figure(name: str, unit: str, values: Sequence[float]) -> Figure:
    """The figure of what was measured in several rounds."""
    return Figure(name, median(values), unit, min(values), max(values), len(values))


def ratio(name: str, over: Sequence[float], under: Sequence[float]) -> Figure:
    """How many times `under` the figure `over` is, round by round, since the machine's speed drifts."""
    return figure(name, "x", [a / b for a, b in zip(over, under, strict=True)])


def interleaved(rounds: int, *measures: Callable[[], float]) -> list[list[float]]:
    """The values of each measure, taken in turn: A B A B ..."""
    values: list[list[float]] = [[] for _ in measures]
    for _ in range(rounds):
        for found, measure in zip(values, measures, strict=True):
            found.append(measure())
    return values


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of `values` lie; nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
