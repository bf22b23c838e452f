"""How many cores are usable: the machine's, unless a control group or an affinity allows fewer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from portfolio_analytics.app.cores import usable_cores

MACHINE = 8


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(MACHINE)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "cgroup"
    folder.mkdir()
    return folder


def cores(root: Path, membership: str = "0::/\n") -> int:
    file = root.parent / "membership"
    file.write_text(membership)
    return usable_cores(root, file)


def limit(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.max").write_text(text)


def test_a_machine_without_groups(root: Path) -> None:
    assert cores(root) == MACHINE
    assert usable_cores(root, root / "is not there") == MACHINE


def test_a_container_sees_its_own_group(root: Path) -> None:
    limit(root, "200000 100000\n")
    assert cores(root) == 2
    limit(root, "150000 100000\n")
    assert cores(root) == 2
    limit(root, "25000 100000\n")
    assert cores(root) == 1
    limit(root, "max 100000\n")
    assert cores(root) == MACHINE
    limit(root, "6400000 100000\n")
    assert cores(root) == MACHINE


def test_the_narrowest_of_the_groups_around_a_service_counts(root: Path) -> None:
    limit(root / "system.slice", "300000 100000\n")
    limit(root / "system.slice" / "analytics.service", "max 100000\n")
    limit(root / "other.slice", "100000 100000\n")
    assert cores(root, "0::/system.slice/analytics.service\n") == 3


def test_groups_of_the_first_version(root: Path) -> None:
    folder = root / "cpu" / "docker" / "abc"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text("400000\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    membership = "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n"
    assert cores(root, membership) == 4
    (folder / "cpu.cfs_quota_us").write_text("-1\n")
    assert cores(root, membership) == MACHINE


@pytest.mark.parametrize("text", ["", "nonsense", "1 2 3", "100000 0", "-1 100000"])
def test_what_cannot_be_read_is_no_limit(root: Path, text: str) -> None:
    limit(root, text)
    assert cores(root) == MACHINE


def test_this_machine() -> None:
    assert 1 <= usable_cores() <= MACHINE
