"""One look into the log after another: whoever waits too long is told so, and the others go on."""

from __future__ import annotations

import asyncio
import threading

import pytest

from portfolio_analytics.app import log_records
from portfolio_analytics.app.log_records import LogLook
from portfolio_analytics.shared.errors import LogUnavailable
from portfolio_analytics.shared.log.protocol import LogRecord

RECORD = LogRecord(0, 7, 0, b"key", b"value")


class HangingLog:
    """A log that answers nothing until it is let go."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.asked: list[int] = []

    def at(self, partition: int, offset: int) -> LogRecord | None:
        self.asked.append(offset)
        self.goes_on.wait(30)
        return RECORD if (partition, offset) == (0, 7) else None


async def test_a_log_that_hangs_holds_nobody_for_longer_than_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_records, "TURN_S", 0.2)
    log = HangingLog()
    look = LogLook(log)
    try:
        answers = await asyncio.wait_for(
            asyncio.gather(*(look.at(0, offset) for offset in range(5)), return_exceptions=True), 10
        )
        assert [type(answer) for answer in answers] == [LogUnavailable] * 5
        log.goes_on.set()
        assert await look.at(0, 7) == RECORD
        assert await look.at(0, 8) is None
        # Who has gone is not asked for any more.
        assert log.asked == [0, 7, 8]
    finally:
        log.goes_on.set()
        look.close()
