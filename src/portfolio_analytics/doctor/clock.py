"""Clocks: events are dated by producers and checked against each other's time."""

from __future__ import annotations

from portfolio_analytics.doctor.check import Check

NAME = "clock"
TOLERATED_SECONDS = 5.0
WRONG_SECONDS = 300.0


def judge_clock(whose: str, ahead_seconds: float) -> Check:
    """The finding about a clock that is `ahead_seconds` ahead of this machine's."""
    off = abs(ahead_seconds)
    if off < TOLERATED_SECONDS:
        return Check(NAME, "ok", f"This machine's clock and that of {whose} agree.")
    side = "behind" if ahead_seconds > 0 else "ahead of"
    return Check(
        NAME,
        "fail" if off >= WRONG_SECONDS else "warn",
        f"This machine's clock is {off:,.0f} s {side} that of {whose}.",
        "Keep both machines' clocks right with NTP.",
    )
