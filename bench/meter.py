"""CPU time an event of named processes, taken beside a rate."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from bench.figure import Figure, figure
from bench.machine import cpu_seconds


class Meter:
    """Measures loads of `name`; `pids` are the processes by what they are called, descendants included."""

    def __init__(self, name: str, pids: Mapping[str, Sequence[int]]) -> None:
        self.name = name
        self.rates: list[float] = []
        self.cpu: dict[str, list[float]] = {part: [] for part in pids}
        self._pids = pids

    def measure(self, load: Callable[[], float], events: int = 1) -> float:
        """Run `load`, which gives a rate (1/s) of what holds `events` each; events a second."""
        before = self._seconds()
        began = time.perf_counter()
        rate = load() * events
        done = rate * (time.perf_counter() - began)
        for part, seconds in self._seconds().items():
            self.cpu[part].append((seconds - before[part]) / done * 1e6)
        self.rates.append(rate)
        return rate

    def forget(self) -> None:
        """What was measured so far was warming up."""
        self.rates.clear()
        for values in self.cpu.values():
            values.clear()

    @property
    def total(self) -> list[float]:
        """CPU of all processes together, microseconds an event, by round."""
        return [sum(values) for values in zip(*self.cpu.values(), strict=True)]

    def figures(self, unit: str = "event") -> list[Figure]:
        """The rate and every part's CPU."""
        return [
            figure(self.name, f"{unit}s/s", self.rates),
            *(
                figure(f"{self.name}: CPU of {part}", f"us/{unit}", values)
                for part, values in self.cpu.items()
            ),
        ]

    def _seconds(self) -> dict[str, float]:
        return {part: cpu_seconds(*pids) for part, pids in self._pids.items()}
