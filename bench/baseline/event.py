"""The event of the baseline, as its service reads it and its consumer stores it."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from pydantic import BaseModel, Field


class Event(BaseModel):
    """What a page sends."""

    event_id: UUID = Field(default_factory=uuid4)
    event_type: str = Field(min_length=1, max_length=64)
    page: str = Field(min_length=1, max_length=2048)
    timestamp: datetime = Field(default_factory=lambda: datetime.now(UTC))
    site: str = "default"
    session_id: str | None = Field(default=None, max_length=128)
    user_agent: str | None = None
    screen_width: int | None = Field(default=None, ge=0, le=2**31 - 1)
    screen_height: int | None = Field(default=None, ge=0, le=2**31 - 1)
    referrer: str | None = None
    title: str | None = None
    duration_ms: int | None = Field(default=None, ge=0, le=2**31 - 1)


class StoredEvent(Event):
    """What the topic holds: the event with a hash of its visitor."""

    visitor: str
