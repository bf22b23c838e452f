"""Where records leave the producer: the log, the spool, and a journal from before there was a Kafka."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from portfolio_analytics.shared.errors import LogError
from portfolio_analytics.shared.log.protocol import LogWriter
from portfolio_analytics.shared.log.spool import Spool, SpoolFigures

CLOSE_SECONDS = 3.0

logger = logging.getLogger(__name__)


class Outlet:
    """Opens, drains and closes them. `leftovers` are journals that are drained into `log` and not filled."""

    def __init__(self, log: LogWriter, spool: Spool | None, leftovers: Sequence[Spool] = ()) -> None:
        self.log = log
        self.spool = spool
        self._spools = [*leftovers, *([spool] if spool else [])]
        self._draining: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Open what there is, and begin to drain. Returns also when the log is away."""
        for spool in self._spools:
            await spool.open()
        await self.log.open()
        self._draining = [asyncio.create_task(spool.keep_draining(self.log)) for spool in self._spools]

    async def healthy(self) -> str | None:
        """None when records can be stored now, in the log or in the spool; else why not."""
        problem = await self.log.healthy()
        if problem is not None and self.spool is not None:
            return await self.spool.healthy()
        return problem

    async def figures(self) -> SpoolFigures | None:
        """What waits in the spool; None without one, or when it cannot be read."""
        if self.spool is None:
            return None
        try:
            return await self.spool.figures()
        except LogError as error:
            logger.warning("the spool cannot be read: %s", error)
            return None

    async def close(self) -> None:
        """Let go of all, once what was given to them is stored."""
        for task in self._draining:
            task.cancel()
        await asyncio.gather(*self._draining, return_exceptions=True)
        for spool in self._spools:
            await spool.close(CLOSE_SECONDS)
        await self.log.close(CLOSE_SECONDS)
