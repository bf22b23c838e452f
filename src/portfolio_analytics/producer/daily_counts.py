"""How often each key came today, in bounded memory."""

from __future__ import annotations

FEW = 20


class DailyCounts:
    """Counts by key until the day changes. At most `capacity` keys: when there are more, those that came
    least go, so that who comes often is not forgotten for the sake of many who come once.
    """

    def __init__(self, capacity: int = 50_000) -> None:
        self._capacity = capacity
        self._day = 0
        self._counts: dict[int, int] = {}

    def add(self, key: int, day: int) -> int:
        """How often `key` came on `day`, this time included."""
        if day != self._day:
            self._day = day
            self._counts = {}
        count = self._counts.get(key, 0) + 1
        self._counts[key] = count
        if count == 1 and len(self._counts) > self._capacity:
            self._forget()
        return count

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._counts)

    def _forget(self) -> None:
        few = FEW
        while len(self._counts) > self._capacity // 2:
            self._counts = {key: count for key, count in self._counts.items() if count > few}
            few *= 2
