"""The event as a client sends it, bounded in every field.

Integers are bounded by their type, since a number that does not fit its column would be stored wrong or
fail a whole batch. What names something (session, type, props) is refused when it is too long; what only
describes (title, referrer, element text) is cut later (producer/clean.py).
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

MAX_INT4 = 2_147_483_647
MAX_INT8 = 9_223_372_036_854_775_807

MAX_PROPS = 30
MAX_TYPE_CHARS = 120
MAX_SESSION_CHARS = 128

Pixels = Annotated[int, Meta(ge=0, le=65_535)]
PropKey = Annotated[str, Meta(min_length=1, max_length=300)]
PropText = Annotated[str, Meta(max_length=2_000)]
ImportedText = Annotated[str, Meta(min_length=1, max_length=MAX_SESSION_CHARS)]
PropInt = Annotated[int, Meta(ge=-MAX_INT8 - 1, le=MAX_INT8)]


class ClientTarget(msgspec.Struct, gc=False):
    """What was clicked or navigated to. A value that is not text (an SVG's class is an object) is ignored."""

    tag: Any = None
    id: Any = None
    class_: Any = msgspec.field(default=None, name="class")
    text: Any = None
    href: Any = None


class ClientEvent(msgspec.Struct, kw_only=True, gc=False):
    """One event as it came. Unknown fields are ignored, null means absent."""

    event_type: Annotated[str, Meta(min_length=1, max_length=MAX_TYPE_CHARS)]
    page: Annotated[str, Meta(min_length=1)]
    session_id: Annotated[str, Meta(max_length=MAX_SESSION_CHARS)] | None = None
    timestamp: Annotated[str, Meta(max_length=64)] | None = None
    user_agent: str | None = None
    screen_width: Pixels | None = None
    screen_height: Pixels | None = None
    duration_seconds: Annotated[float, Meta(ge=0, le=MAX_INT4 / 1000)] | None = None
    element: ClientTarget | None = None
    event_id: uuid.UUID | None = None
    site: Annotated[str, Meta(max_length=253)] | None = None
    referrer: str | None = None
    title: str | None = None
    duration_ms: Annotated[float, Meta(ge=0, le=MAX_INT4)] | None = None
    target: ClientTarget | str | None = None
    scroll_depth: Annotated[float, Meta(ge=0, le=100)] | None = None
    props: (
        Annotated[dict[PropKey, PropText | PropInt | float | bool | None], Meta(max_length=MAX_PROPS)] | None
    ) = None
    consent: Literal["granted", "denied"] | None = None
    consent_version: Annotated[str, Meta(max_length=64)] | None = None
    visitor_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    # Read only of who may import; of anyone else not even their types matter.
    visitor: Any = None
    country: Any = None
