"""The tracer over OpenTelemetry's SDK, exporting OTLP over HTTP. Needs the extra `otel`.

Sampler, batching, endpoint, headers and resource are those of the standard OTEL_* variables.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable
from uuid import UUID

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from portfolio_analytics.shared.rsgi import HeaderList, HttpProtocol, Scope, StreamTransport
from portfolio_analytics.shared.tracing import Handler

PARENT = "traceparent"
STATE = "tracestate"


class OpenTelemetry:
    """See Tracing. Made in the process that it is for: it has a thread."""

    def __init__(self, service: str) -> None:
        self._provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("portfolio_analytics")
        self._context = TraceContextTextMapPropagator()

    def traced(self, handler: Handler) -> Handler:
        """See Tracing."""

        async def within_span(scope: Scope, proto: HttpProtocol) -> None:
            given = {name: scope.headers.get(name) for name in (PARENT, STATE)}
            context = self._context.extract({name: value for name, value in given.items() if value})
            with self._tracer.start_as_current_span(
                f"{scope.method} {scope.path}",
                context=context,
                kind=SpanKind.SERVER,
                attributes={"http.request.method": scope.method, "url.path": scope.path},
            ) as span:
                await handler(scope, _Watched(proto, span))

        return within_span

    def current(self) -> str | None:
        """See Tracing."""
        context = trace.get_current_span().get_span_context()
        if not (context.is_valid and context.trace_flags.sampled):
            return None
        carrier: dict[str, str] = {}
        self._context.inject(carrier)
        return carrier[PARENT]

    def committed(self, parent: str, event_id: UUID, partition: int, offset: int, seconds: float) -> None:
        """See Tracing."""
        context = self._context.extract({PARENT: parent})
        if not trace.get_current_span(context).get_span_context().is_valid:
            return
        end = time.time_ns()
        span = self._tracer.start_span(
            "commit",
            context=context,
            kind=SpanKind.CONSUMER,
            start_time=end - int(seconds * 1e9),
            attributes={
                "portfolio_analytics.event_id": str(event_id),
                "messaging.destination.partition.id": str(partition),
                "messaging.kafka.offset": offset,
            },
        )
        span.end(end)

    def close(self) -> None:
        """See Tracing."""
        self._provider.shutdown()


class _Watched:
    """A request's protocol, whose answer's status goes into the span."""

    def __init__(self, proto: HttpProtocol, span: Span) -> None:
        self._proto = proto
        self._span = span

    def __call__(self) -> Awaitable[bytes]:
        return self._proto()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._proto.__aiter__()

    def client_disconnect(self) -> Awaitable[None]:
        return self._proto.client_disconnect()

    def response_empty(self, status: int, headers: HeaderList) -> None:
        self._note(status)
        self._proto.response_empty(status, headers)

    def response_bytes(self, status: int, headers: HeaderList, body: bytes) -> None:
        self._note(status)
        self._proto.response_bytes(status, headers, body)

    def response_stream(self, status: int, headers: HeaderList) -> StreamTransport:
        self._note(status)
        return self._proto.response_stream(status, headers)

    def _note(self, status: int) -> None:
        self._span.set_attribute("http.response.status_code", status)
