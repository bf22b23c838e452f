"""What every HTTP face is given: the settings and the parts that one worker process shares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from portfolio_analytics.settings import Settings
from portfolio_analytics.shared.access import Access

Pool = AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]]

LogHealth = Callable[[], Awaitable[str | None]]
"""None when the log takes records now, else one sentence that says why not, without secrets."""


@dataclass(frozen=True, slots=True)
class Context:
    """One worker process's shared parts.

    `pool` is opened without waiting for the database; a checkout raises psycopg_pool.PoolTimeout while
    it is away. `access` decides about tokens, `log_health` asks the event log.
    """

    settings: Settings
    pool: Pool
    access: Access
    log_health: LogHealth
