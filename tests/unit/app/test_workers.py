"""How many workers a consumer has, and what its address says of them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from portfolio_analytics.app import workers
from portfolio_analytics.app.supervisor import Child
from portfolio_analytics.app.workers import Workers, how_many
from portfolio_analytics.consumer.figures import HUNG_S, Figures
from portfolio_analytics.settings import Settings
from portfolio_analytics.shared.metrics import CONSUMER, TURNED, Sheet

KAFKA = {"KAFKA_BROKER": "kafka:9092"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, 1),
        ({"WORKERS": "3"}, 1),  # the journal has one reader
        (KAFKA, 6),
        (KAFKA | {"KAFKA_PARTITIONS": "4"}, 4),
        (KAFKA | {"KAFKA_PARTITIONS": "24"}, 16),
        (KAFKA | {"WORKERS": "9"}, 9),  # an existing topic may have more partitions than the setting says
        (KAFKA | {"WORKERS": "1"}, 1),
    ],
)
def test_one_a_core_while_there_are_partitions(
    environment: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "usable_cores", lambda: 16)
    assert how_many(Settings.load(environment)) == expected


class FakeChild(Child):
    """A child that has the process id it is given."""

    def __init__(self, pid: int | None) -> None:
        self._pid = pid

    @property
    def pid(self) -> int | None:
        return self._pid


def begin(sheet: Sheet, pid: int) -> Figures:
    """A sheet's row as the process `pid` would have it."""
    sheet.row[0] = pid
    return Figures(sheet.row)


def test_all_workers_are_to_count(tmp_path: Path) -> None:
    sheet, one, another = [Sheet(tmp_path / "sheet", CONSUMER) for _ in range(3)]
    found = Workers([FakeChild(101), FakeChild(102), FakeChild(None)], sheet)
    assert found.problem() == (
        "3 of 3 workers wait for the database or the log, or start; what they log says more"
    )
    first, second = begin(one, 101), begin(another, 102)
    first.opened()
    second.opened()
    assert "1 of 3" in (found.problem() or "")
    found = Workers([FakeChild(101), FakeChild(102)], sheet)
    assert found.problem() is None
    second.waits("PostgreSQL: away")
    assert "1 of 2" in (found.problem() or "")
    second.goes_on()
    assert found.problem() is None


def test_one_that_hangs_is_told_and_one_that_ended_is_not(tmp_path: Path) -> None:
    mine, sheet = [Sheet(tmp_path / "sheet", CONSUMER) for _ in range(2)]
    figures = begin(sheet, 101)
    long_ago = int((time.monotonic() - HUNG_S - 1) * 1000)
    sheet.row[TURNED] = long_ago
    child = FakeChild(101)
    found = Workers([child], mine)
    assert not found.hung()  # it has not reached anything yet, which may take as long as it likes
    figures.opened()
    sheet.row[TURNED] = long_ago
    assert found.hung()
    figures.turned()
    assert not found.hung()
    sheet.row[TURNED] = long_ago
    child._pid = 102  # started again
    assert not found.hung()


def test_one_that_ended_does_not_count_until_it_is_started_again(tmp_path: Path) -> None:
    """As one that ends again and again over nothing but bad rows: most of the time nobody counts."""
    mine, sheet = [Sheet(tmp_path / "sheet", CONSUMER) for _ in range(2)]
    child = Child("worker", ["--version"], {})
    found = Workers([child], mine)
    child.start()
    assert child.pid is not None
    begin(sheet, child.pid).opened()
    assert found.problem() is None
    child.join(time.monotonic() + 60)
    assert "1 of 1" in (found.problem() or "")
