"""One finding of the doctor."""

from __future__ import annotations

from typing import Literal, NamedTuple

Status = Literal["ok", "warn", "fail"]


class Check(NamedTuple):
    """What was looked at, how it is, in a sentence, and what to do ('' where there is nothing to do)."""

    name: str
    status: Status
    sentence: str
    advice: str = ""


def exit_status(checks: list[Check]) -> int:
    """The shell's exit status: 1 when a check failed; a warning is none."""
    return int(any(check.status == "fail" for check in checks))
