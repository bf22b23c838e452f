"""Checkpoints: durable, private, and gone at the end."""

from __future__ import annotations

import os
from pathlib import Path

from portfolio_analytics.importers.checkpoint import (
    Checkpoint,
    Progress,
    checkpoint_path,
    site_key,
    state_folder,
)

PROGRESS = Progress(offset=42, digest=b"d" * 16, salts={"2015-05-17": b"s" * 16}, answers={"success": 3})


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "a.checkpoint")
    assert checkpoint.load() == Progress()
    checkpoint.save(PROGRESS)
    assert checkpoint.load() == PROGRESS
    assert (tmp_path / "a.checkpoint").stat().st_mode & 0o777 == 0o600


def test_a_torn_checkpoint_is_a_fresh_start(tmp_path: Path) -> None:
    path = tmp_path / "a.checkpoint"
    Checkpoint(path).save(PROGRESS)
    path.write_bytes(path.read_bytes()[:10])
    assert Checkpoint(path).load() == Progress()


def test_salts_are_overwritten_and_the_file_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.checkpoint"
    checkpoint = Checkpoint(path)
    checkpoint.save(PROGRESS)
    # A second name of the same file shows what its blocks hold after it was removed.
    os.link(path, tmp_path / "kept")
    checkpoint.destroy()
    assert not path.exists()
    assert not (tmp_path / "kept").read_bytes().strip(b"\0")
    checkpoint.destroy()


def test_a_sites_key_is_made_once_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    key = site_key(folder, "example.com")
    assert site_key(folder, "example.com") == key
    assert site_key(folder, "../other") != key
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())


def test_a_log_is_known_by_its_first_line_and_its_site(tmp_path: Path) -> None:
    key = bytes(32)
    one = checkpoint_path(tmp_path, "example.com", key, b"first\n")
    assert one == checkpoint_path(tmp_path, "example.com", key, b"first\n")
    assert one != checkpoint_path(tmp_path, "example.com", key, b"other\n")
    assert one != checkpoint_path(tmp_path, "example.org", key, b"first\n")


def test_the_state_folder() -> None:
    assert state_folder({"DATA_DIR": "/data"}) == Path("/data/imports")
    assert state_folder({"XDG_STATE_HOME": "/s"}) == Path("/s/portfolio-analytics/imports")
    assert state_folder({"HOME": "/h"}) == Path("/h/.local/state/portfolio-analytics/imports")
