"""Every operation that the service answers, in one list: what `/openapi.json` and `/docs` are made from.

A test compares it with the routes of the running service, and another calls every operation without a token,
with a wrong one and with one of another site: a route that is missing here fails the first, one that leaks
the second.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from portfolio_analytics.admin.operations import OPERATIONS as ADMINISTRATION
from portfolio_analytics.exporters.formats import MEDIA_TYPES
from portfolio_analytics.producer.event import ClientEvent
from portfolio_analytics.shared.log.spool import SpoolFigures
from portfolio_analytics.shared.openapi import ANYONE_KNOWN, PUBLIC, Media, Operation, Parameter
from portfolio_analytics.stats.funnel_face import FunnelReached
from portfolio_analytics.stats.ledger_face import Ledger
from portfolio_analytics.stats.portfolio import DEFAULT_LIMIT, MAX_LIMIT, OrderName, Portfolio
from portfolio_analytics.stats.query import MAX_OFFSET
from portfolio_analytics.stats.receipt_face import Receipt
from portfolio_analytics.stats.totals_face import Totals

Count = Annotated[int, Meta(ge=0)]


class Stored(msgspec.Struct, tag_field="status", tag="success"):
    """An event that is stored; without a place in the log while it is spooled."""

    message: Literal["Event queued", "Event spooled"]
    partition: Count | None
    offset: Count | None
    event_id: UUID


class Ignored(msgspec.Struct, tag_field="status", tag="ignored"):
    """An event that is not recorded by policy."""

    reason: Literal["bot", "automation", "consent", "gpc", "dnt", "excluded"]


class Rejected(msgspec.Struct, tag_field="status", tag="rejected", omit_defaults=True):
    """An event of a batch that is not taken."""

    error: str
    message: str
    field: str | None = None


class BatchAnswer(msgspec.Struct):
    """One result for each event, in order."""

    status: Literal["success", "partial"]
    results: list[Stored | Ignored | Rejected]


class Running(msgspec.Struct):
    """What this is."""

    message: str
    version: str
    status: str


class Consumers(msgspec.Struct):
    """What the consumers together do. `lag` counts records, `age_seconds` since any of them moved on."""

    state: Literal["running", "behind", "waiting", "absent"]
    lag: Count
    age_seconds: float | None


class Healthy(msgspec.Struct, omit_defaults=True):
    """Whether the database and the event log are there; `error` says what is not.

    `consumer` is told while both are; `warnings` are sentences about what somebody should look at.
    """

    status: Literal["healthy", "unhealthy"]
    database: Literal["connected", "disconnected"]
    log: Literal["connected", "disconnected"]
    error: str | None = None
    consumer: Consumers | None = None
    warnings: list[str] = []
    spool: SpoolFigures | None = None


class State(msgspec.Struct, omit_defaults=True):
    """One word about this process."""

    status: str
    error: str | None = None


class Aggregate(msgspec.Struct):
    """Each metric's value, and its change where that was asked."""

    results: dict[str, dict[str, Any]]


class Rows(msgspec.Struct):
    """One object a row."""

    results: list[dict[str, Any]]


class QueryAnswer(msgspec.Struct):
    """Rows of metrics and dimensions, what to know about them, and the query as it was understood."""

    results: list[dict[str, Any]]
    meta: dict[str, Any]
    query: dict[str, Any]


_BATCH_BODY = (
    Media("application/json", "An array of events."),
    Media("application/x-ndjson", "One event a line."),
)
_INTAKE_ERRORS = (400, 401, 408, 413, 415, 422, 429, 503)
_SITE = Parameter("site", "A site's name; without it, all sites.")
_PAGE = Media("text/html", "A page.")
_SCRIPT = Media("text/javascript", "A script.")

_PERIOD = (
    Parameter("period", "day, 7d, 30d, month, 6mo, 12mo, year, custom, ...; 30d without it."),
    Parameter("date", "The day that the period ends with; two of them for custom."),
    Parameter("metrics", "Comma list; visitors without it."),
    Parameter("filters", "Such as visit:country==DE;event:page==/blog**."),
)


def _v1(path: str, summary: str, kind: Any, *parameters: Parameter) -> Operation:
    """One call of the Plausible Stats API v1."""
    site = Parameter("site_id", "A site's name.", required=True)
    return Operation(
        "GET",
        f"/api/v1/stats/{path}",
        summary,
        "read",
        "statistics",
        {200: kind},
        errors=(400,),
        parameters=(site, *parameters),
    )


INTAKE = (
    Operation(
        "POST",
        "/api/analytics",
        "Send one event",
        PUBLIC,
        "events",
        {200: Ignored, 201: Stored, 202: Stored},
        errors=_INTAKE_ERRORS,
        body=ClientEvent,
        description="For example "
        '`{"event_type": "page_view", "page": "/pricing", "site": "example.com"}`. '
        "201: the log has it; 202: the spool has it, on disk. Repeat an event with the same "
        "`event_id` whenever an answer is missing: it counts once.",
    ),
    Operation(
        "POST",
        "/api/analytics/batch",
        "Send up to 1,000 events",
        PUBLIC,
        "events",
        {201: BatchAnswer, 202: BatchAnswer, 207: BatchAnswer},
        errors=_INTAKE_ERRORS,
        body=_BATCH_BODY,
        description="1 MiB decompressed; gzip and zstd. 207: some are rejected, each for itself.",
    ),
    Operation(
        "GET",
        "/pixel.gif",
        "A page view of a page without scripts",
        PUBLIC,
        "events",
        {status: Media("image/gif", "A transparent pixel.") for status in (200, 201, 202)},
        errors=(401, 422, 429, 503),
        parameters=(
            Parameter("site", "The site; else the page's host."),
            Parameter("page", "The page; else the Referer."),
        ),
    ),
)

STATISTICS = (
    Operation(
        "GET",
        "/api/stats",
        "Events ever counted, by type",
        PUBLIC,
        "statistics",
        {200: Totals},
        errors=(400, 401, 403, 429, 503),
        parameters=(
            _SITE,
            Parameter("from", "First local day, or a time on it."),
            Parameter("to", "Last local day, or a time on it."),
        ),
        description="Needs a token with the scope `read` where PUBLIC_STATS is false.",
    ),
    Operation(
        "GET",
        "/api/stats/sites",
        "The sites that you may read, with their figures",
        ANYONE_KNOWN,
        "statistics",
        {200: Portfolio},
        errors=(400,),
        parameters=(
            Parameter("date_range", "A word such as 7d, or two dates with a comma; 30d without it."),
            Parameter("search", "What the site's name has in it."),
            Parameter("order", "-visitors without it; - is from the end.", OrderName),
            Parameter(
                "limit",
                f"How many sites; {DEFAULT_LIMIT} without it.",
                Annotated[int, Meta(ge=1, le=MAX_LIMIT)],
            ),
            Parameter("offset", "How many to skip.", Annotated[int, Meta(ge=0, le=MAX_OFFSET)]),
        ),
        description="Visitors, visits and page views of the period and of the one just before, visitors by "
        "time, and the visitors of the last 5 minutes. Each site's days are those of its own time zone.",
    ),
    Operation(
        "GET",
        "/api/receipts/{event_id}",
        "Where one event is",
        "read",
        "checks",
        {200: Receipt},
        errors=(400, 404),
        parameters=(
            Parameter("partition", "Where the answer to the event said it is."),
            Parameter("offset", "Where the answer to the event said it is."),
            _SITE,
        ),
    ),
    Operation(
        "GET",
        "/api/ledger",
        "What was accepted, and what became of it, by minute",
        "read",
        "checks",
        {200: Ledger},
        errors=(400,),
        parameters=(Parameter("minutes", "How many minutes back; 60 without it."),),
    ),
    Operation(
        "POST",
        "/api/v2/query",
        "Ask for any metrics by any dimensions",
        "read",
        "statistics",
        {200: QueryAnswer},
        body=dict[str, Any],
        description="The query language of the Plausible Stats API v2, for example "
        '`{"site_id": "example.com", "metrics": ["visitors"], "date_range": "7d",'
        ' "dimensions": ["event:page"]}`. '
        "Its dimension `event:props` gives the names of the properties that occur.",
    ),
    Operation(
        "POST",
        "/api/v2/funnel",
        "Ask how many went from step to step",
        "read",
        "statistics",
        {200: FunnelReached},
        body=dict[str, Any],
        description="Of a funnel that the site keeps, by its name, or of steps: "
        '`{"site_id": "example.com", "date_range": "30d", "steps":'
        ' [{"page_pattern": "/pricing*"}, {"event_type": "signup"}]}`. '
        "`filters` are those of the query language; `by` is `visitor` or `visit`.",
    ),
    Operation(
        "GET",
        "/api/realtime",
        "Visitors and events as they are counted",
        "read",
        "statistics",
        {200: Media("text/event-stream", "Server-sent events.")},
        errors=(400,),
        parameters=(_SITE,),
    ),
    Operation(
        "GET",
        "/api/export",
        "A site's events, with all that is stored of them",
        "read",
        "statistics",
        {200: tuple(Media(kind, "The events in the order of their time.") for kind in MEDIA_TYPES.values())},
        errors=(400,),
        parameters=(
            Parameter("site", "A site's name.", required=True),
            Parameter("from", "First local day; without it, from the beginning."),
            Parameter("to", "Last local day, included; without it, to the end."),
            Parameter("format", "csv, ndjson or parquet; csv without it."),
        ),
        description="X-Total-Count says how many events there are: an answer that broke off has fewer. "
        "A public link does not reach it.",
    ),
    _v1("realtime/visitors", "Visitors of the last 5 minutes", int),
    _v1(
        "aggregate",
        "Totals of a period",
        Aggregate,
        *_PERIOD,
        Parameter("compare", "previous_period puts the period before beside it."),
    ),
    _v1(
        "timeseries",
        "A period by time",
        Rows,
        *_PERIOD,
        Parameter("interval", "minute, hour, date, week or month."),
    ),
    _v1(
        "breakdown",
        "A period by one property",
        Rows,
        *_PERIOD,
        Parameter("property", "Such as visit:source.", required=True),
        Parameter("limit", "Rows a page; 100 without it."),
        Parameter("page", "Which page; 1 without it."),
    ),
)

STATUS = (
    Operation(
        "GET",
        "/",
        "What this is; a browser is sent to the dashboard",
        PUBLIC,
        "status",
        {200: Running, 302: None},
    ),
    Operation("GET", "/api/health", "Whether all is there", PUBLIC, "status", {200: Healthy, 503: Healthy}),
    Operation("GET", "/api/health/live", "That this process answers", PUBLIC, "status", {200: State}),
    Operation(
        "GET",
        "/api/health/ready",
        "Whether intake can store an event",
        PUBLIC,
        "status",
        {200: State, 503: State},
    ),
    Operation(
        "GET",
        "/metrics",
        "Prometheus metrics",
        "read",
        "status",
        {200: Media("text/plain", "Prometheus text format.")},
    ),
)

FRONT = (
    Operation("GET", "/tracker.js", "The tracker", PUBLIC, "pages", {200: _SCRIPT, 304: None}, errors=(404,)),
    Operation(
        "GET",
        "/vitals.js",
        "Web vitals for the tracker",
        PUBLIC,
        "pages",
        {200: _SCRIPT, 304: None},
        errors=(404,),
    ),
    Operation("GET", "/dashboard", "The dashboard", PUBLIC, "pages", {308: None}),
    Operation(
        "GET", "/dashboard/{name}", "The dashboard and its files", PUBLIC, "pages", {200: _PAGE, 304: None}
    ),
)

OPERATIONS: tuple[Operation, ...] = (*INTAKE, *STATISTICS, *ADMINISTRATION, *STATUS, *FRONT)
