"""One trace from a request to its commit, exported over OTLP to a receiver."""

from __future__ import annotations

import json
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from portfolio_analytics.shared.log.journal_file import JournalFile
from portfolio_analytics.shared.record import EventRecord, decode_record
from portfolio_analytics.shared.tracing import asked_for
from tests.faults.process import Server, eventually
from tests.ports import free_port

TRACE = uuid.uuid4().hex
CLIENT_SPAN = uuid.uuid4().hex[:16]


class Span(NamedTuple):
    service: str
    name: str
    trace: str
    span: str
    parent: str
    attributes: dict[str, object]


@contextmanager
def receiver() -> Iterator[tuple[str, list[Span]]]:
    """An OTLP collector: its address, and the spans that it was sent."""
    spans: list[Span] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            spans.extend(parse(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        server.server_close()


def parse(body: bytes) -> Iterator[Span]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        named = {item.key: item.value.string_value for item in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                attributes: dict[str, object] = {
                    item.key: item.value.string_value or item.value.int_value for item in span.attributes
                }
                yield Span(
                    named["service.name"],
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    attributes,
                )


def post(server: Server, parent: str | None) -> str:
    """Send an event within a trace; returns its id."""
    headers = {} if parent is None else {"traceparent": parent}
    body = json.dumps({"event_type": "page_view", "page": "/"}).encode()
    request = urllib.request.Request(f"{server.url}/api/analytics", body, headers)
    with urllib.request.urlopen(request, timeout=15) as answer:
        assert answer.status == 201
        return str(json.load(answer)["event_id"])


def test_one_trace_from_the_request_to_the_commit(database: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with receiver() as (endpoint, spans):
        environment = {
            "DATABASE_URL": database,
            "DATA_DIR": str(data),
            "ADMIN_TOKEN": "the-token-of-the-trace-tests",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_TRACES_SAMPLER": "parentbased_always_off",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with Server("run", ["run"], environment, tmp_path, free_port()) as server:
            post(server, None)
            post(server, f"00-{uuid.uuid4().hex}-{CLIENT_SPAN}-00")
            traced = post(server, f"00-{TRACE}-{CLIENT_SPAN}-01")
            eventually(lambda: len(spans) == 2, 60, lambda: f"{spans}\n{server.output()}")
            assert server.terminate() == 0
    request, commit = sorted(spans, key=lambda span: span.name)
    assert (request.service, request.name) == ("portfolio-analytics-producer", "POST /api/analytics")
    assert (request.trace, request.parent) == (TRACE, CLIENT_SPAN)
    assert request.attributes["http.response.status_code"] == 201
    assert (commit.service, commit.name) == ("portfolio-analytics-consumer", "commit")
    assert (commit.trace, commit.parent) == (TRACE, request.span)
    assert commit.attributes["portfolio_analytics.event_id"] == traced
    # What is not sampled carries nothing.
    file = JournalFile(data / "journal.sqlite")
    file.open()
    values = [decode_record(record.value or b"") for record in file.read(0, 1000)]
    file.close()
    events = {str(value.id): value.trace for value in values if isinstance(value, EventRecord)}
    assert len(events) == 3
    assert {event_id for event_id, trace in events.items() if trace} == {traced}


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
    ],
)
def test_traces_are_made_when_asked_for(environ: dict[str, str], asked: bool) -> None:
    assert asked_for(environ) is asked
