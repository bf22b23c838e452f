"""Traces that follow one event from its request to its commit, where OpenTelemetry is asked for.

The request's span goes along in the event's record as a W3C `traceparent`, so that it takes the same way
through journal, spool and Kafka; an event whose request is not sampled carries nothing. Without the extra
`otel`, or without the standard OTEL_* variables that ask for an export, nothing of this is loaded and no
request pays.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol
from uuid import UUID

from portfolio_analytics.shared.rsgi import HttpProtocol, Scope

Handler = Callable[[Scope, HttpProtocol], Awaitable[None]]

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

logger = logging.getLogger(__name__)


class Tracing(Protocol):
    """What a process needs of its tracer."""

    def traced(self, handler: Handler) -> Handler:
        """`handler` within a span for each request, the child of the `traceparent` that it brings."""

    def current(self) -> str | None:
        """The `traceparent` of the span that is open here, if it is sampled."""

    def committed(self, parent: str, event_id: UUID, partition: int, offset: int, seconds: float) -> None:
        """An event whose record has `parent` was committed now, by a batch that took `seconds`."""

    def close(self) -> None:
        """Send what is left. Blocks for some seconds when nobody takes it."""


def tracing(role: str, environ: Mapping[str, str]) -> Tracing | None:
    """The tracer of a process that is a `role`; None where none is asked for, or the extra is missing."""
    if not asked_for(environ):
        return None
    try:
        from portfolio_analytics.shared.otel import OpenTelemetry  # noqa: PLC0415 - an extra
    except ImportError:
        logger.warning("No traces: OTEL_* asks for them, and portfolio-analytics[otel] is not installed.")
        return None
    return OpenTelemetry(environ.get("OTEL_SERVICE_NAME") or f"portfolio-analytics-{role}")


def asked_for(environ: Mapping[str, str]) -> bool:
    """Whether the standard variables name an exporter of traces."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").lower()
    return exporter == "otlp" or (exporter == "" and any(environ.get(name) for name in ENDPOINTS))
