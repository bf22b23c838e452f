"""The ingest routes: from a request to its answer, in a straight line.

limits -> decode -> policy -> record -> log -> answer
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import NoneType
from urllib.parse import parse_qs

from portfolio_analytics.producer import answer
from portfolio_analytics.producer.address import client_address, peer_address
from portfolio_analytics.producer.clean import MAX_USER_AGENT_CHARS, clean_page, origin_host
from portfolio_analytics.producer.compression import decompress
from portfolio_analytics.producer.cors import Cors
from portfolio_analytics.producer.decode import decode_batch, decode_event
from portfolio_analytics.producer.event import ClientEvent
from portfolio_analytics.producer.limits import Limits
from portfolio_analytics.producer.policy import Policy
from portfolio_analytics.producer.publisher import Placed, Publisher
from portfolio_analytics.producer.recorder import NotReady, Prepared, Recorder
from portfolio_analytics.producer.sender import Sender
from portfolio_analytics.producer.tally import Tally
from portfolio_analytics.settings import Network
from portfolio_analytics.shared.access import Access, Principal
from portfolio_analytics.shared.errors import InvalidEvent, LogError, RecordTooLarge
from portfolio_analytics.shared.http import ApiError, error_body
from portfolio_analytics.shared.log.protocol import Appended
from portfolio_analytics.shared.logs import request_id
from portfolio_analytics.shared.rsgi import (
    BodyError,
    BodyReader,
    Disconnected,
    HeaderList,
    Headers,
    HttpProtocol,
    Scope,
)

MAX_BYTES = 1 << 20  # of one event too: what is no event is told so, however long it is
MAX_PIXEL_FIELDS = 50
RETRY_AFTER = "1"

POST = "POST, OPTIONS"
GET = "GET, OPTIONS"

logger = logging.getLogger(__name__)


class Intake:
    """Answers POST /api/analytics, POST /api/analytics/batch and GET /pixel.gif.

    `now` gives Unix nanoseconds.
    """

    def __init__(
        self,
        recorder: Recorder,
        publisher: Publisher,
        policy: Policy,
        access: Access,
        cors: Cors,
        limits: Limits,
        tally: Tally,
        bodies: BodyReader,
        trusted_proxies: tuple[Network, ...] = (),
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._recorder = recorder
        self._publisher = publisher
        self._policy = policy
        self._access = access
        self._cors = cors
        self._limits = limits
        self._tally = tally
        self._bodies = bodies
        self._trusted_proxies = trusted_proxies
        self._now = now

    async def event(self, scope: Scope, proto: HttpProtocol) -> None:
        """POST /api/analytics: one event."""
        headers = scope.headers
        origin = headers.get("origin")
        if scope.method != "POST":
            self._other_method(scope, proto, origin, POST)
            return
        try:
            body = await self._bodies.read(headers, proto, MAX_BYTES)
            event = decode_event(_opened(headers, body, MAX_BYTES))
            principal = await self._principal(headers) if "authorization" in headers else None
            sender = self._sender(scope, headers, origin, principal)
            now, prepared = self._prepare(event, sender)
            # What is not needed any more is let go while the processor still has it at hand.
            del body, event, sender
            status, answered = await self._record(prepared, now)
        except Exception as error:  # noqa: BLE001 - every request gets an answer
            self._refuse(proto, error, headers)
            return
        proto.response_bytes(status, self._cors.json(origin), answered)

    async def batch(self, scope: Scope, proto: HttpProtocol) -> None:
        """POST /api/analytics/batch: a JSON array or NDJSON."""
        headers = scope.headers
        origin = headers.get("origin")
        if scope.method != "POST":
            self._other_method(scope, proto, origin, POST)
            return
        try:
            body = await self._bodies.read(headers, proto, MAX_BYTES)
            events = decode_batch(_opened(headers, body, MAX_BYTES))
            principal = await self._principal(headers) if "authorization" in headers else None
            sender = self._sender(scope, headers, origin, principal)
            now, prepared = self._prepare_all(events, sender)
            del body, events, sender
            status, answered = await self._record_all(prepared, now)
        except Exception as error:  # noqa: BLE001 - every request gets an answer
            self._refuse(proto, error, headers)
            return
        proto.response_bytes(status, self._cors.json(origin), answered)

    async def pixel(self, scope: Scope, proto: HttpProtocol) -> None:
        """GET /pixel.gif?site=&page=: a page view of a page without scripts; `page` is else the Referer."""
        headers = scope.headers
        origin = headers.get("origin")
        if scope.method != "GET":
            self._other_method(scope, proto, origin, GET)
            return
        try:
            principal = await self._principal(headers) if "authorization" in headers else None
            sender = self._sender(scope, headers, origin, principal)
            event = _pixel_event(scope.query_string, headers.get("referer"))
            now, prepared = self._prepare(event, sender)
            status, _ = await self._record(prepared, now)
        except Exception as error:  # noqa: BLE001 - every request gets an answer
            self._refuse(proto, error, headers)
            return
        proto.response_bytes(
            status,
            [("content-type", "image/gif"), ("cache-control", "no-store"), *self._cors.grant(origin)],
            answer.PIXEL,
        )

    async def _principal(self, headers: Headers) -> Principal | None:
        """Who the request speaks for, if anyone. Raises ApiError for a wrong token."""
        authorization = headers.get("authorization")
        # A page behind HTTP Basic sends that to its own origin; it is no word to us.
        if authorization is None or authorization[:7].lower() != "bearer ":
            return None
        return await self._access.principal(authorization)

    def _sender(
        self, scope: Scope, headers: Headers, origin: str | None, principal: Principal | None
    ) -> Sender:
        address = peer_address(scope.client)
        if self._trusted_proxies:
            address = client_address(address, headers.get_all("x-forwarded-for"), self._trusted_proxies)
        return Sender(
            address,
            headers.get("user-agent", "")[:MAX_USER_AGENT_CHARS],  # type: ignore[index]
            origin_host(origin) if origin is not None else None,
            self._policy.signal(headers.get("sec-gpc"), headers.get("dnt")),
            principal,
        )

    def _prepare(self, event: ClientEvent, sender: Sender) -> tuple[int, Prepared | str]:
        """When the event came (Unix milliseconds); its record, or why it is ignored."""
        self._limits.sender(sender, 1, time.monotonic())
        now = self._now() // 1_000_000
        return now, self._recorder.prepare(event, sender, now)

    def _prepare_all(
        self, events: list[ClientEvent | InvalidEvent], sender: Sender
    ) -> tuple[int, list[Prepared | str | InvalidEvent]]:
        """When the events came (Unix milliseconds); for each its record, or why it is ignored or rejected."""
        self._limits.sender(sender, len(events), time.monotonic())
        now = self._now() // 1_000_000
        prepared: list[Prepared | str | InvalidEvent] = []
        for event in events:
            if isinstance(event, InvalidEvent):
                prepared.append(event)
                continue
            try:
                prepared.append(self._recorder.prepare(event, sender, now))
            except InvalidEvent as error:
                prepared.append(error)
        return now, prepared

    async def _record(self, prepared: Prepared | str, now: int) -> tuple[int, bytes]:
        if isinstance(prepared, str):
            self._tally.ignored(now, prepared)
            return 200, answer.ignored(prepared)
        begun = time.perf_counter()
        placed = await self._publisher.publish(prepared.key, prepared.value)
        self._tally.took(time.perf_counter() - begun)
        self._tally.accepted(now, 1, placed is not None)
        return 202 if placed is None else 201, answer.success(placed, prepared.event_id)

    async def _record_all(self, prepared: list[Prepared | str | InvalidEvent], now: int) -> tuple[int, bytes]:
        records = [item for item in prepared if isinstance(item, Prepared)]
        placed = await self._publish_all(records, now)
        status = 202 if self._accept(placed, now) else 201
        places = iter(placed)
        results: list[bytes] = []
        for item in prepared:
            if isinstance(item, Prepared):
                place = next(places)
                if not isinstance(place, LogError):
                    results.append(answer.success(place, item.event_id))
                    continue
                refused = _not_stored(place)
            elif isinstance(item, InvalidEvent):
                refused = item
            else:
                self._tally.ignored(now, item)
                results.append(answer.ignored(item))
                continue
            status = 207
            self._tally.refused(now, refused.code)
            results.append(answer.rejected(refused))
        return status, answer.batch(results, status == 207)

    def _accept(self, placed: list[Placed | LogError], now: int) -> int:
        """Count what was stored; how many of it are in the spool."""
        kinds = [type(place) for place in placed]
        logged, spooled = kinds.count(Appended), kinds.count(NoneType)
        if logged:
            self._tally.accepted(now, logged, in_log=True)
        if spooled:
            self._tally.accepted(now, spooled, in_log=False)
        return spooled

    async def _publish_all(self, records: list[Prepared], now: int) -> list[Placed | LogError]:
        """Raises LogError when the whole request is to be repeated: none of the records is stored, or some
        are not and all have ids of the client's, so that those which are stored stay single.
        """
        if not records:
            return []
        begun = time.perf_counter()
        placed = await self._publisher.publish_many([(record.key, record.value) for record in records])
        self._tally.took(time.perf_counter() - begun)
        failed = [outcome for outcome in placed if isinstance(outcome, LogError)]
        passing = [error for error in failed if not isinstance(error, RecordTooLarge)]
        if passing and (len(failed) == len(placed) or all(record.named for record in records)):
            self._accept(placed, now)
            raise passing[0]
        return placed

    def _other_method(self, scope: Scope, proto: HttpProtocol, origin: str | None, allowed: str) -> None:
        if scope.method == "OPTIONS":
            headers = [("allow", allowed), *self._cors.preflight(origin, allowed)]
            proto.response_bytes(200, headers, b"")
            return
        body = error_body("method_not_allowed", f"This takes {allowed}.")
        proto.response_bytes(405, [("allow", allowed), *self._cors.json(origin)], body)

    def _refuse(self, proto: HttpProtocol, error: Exception, headers: Headers) -> None:
        """Answer an error, whichever it is; what nobody foresaw is 500 and in the server's log."""
        if isinstance(error, Disconnected):
            return
        status, code, message, field, extra = _described(error)
        if status == 500:
            ids = {"request_id": request_id(headers.get("x-request-id"))}
            logger.error("an event could not be taken", exc_info=error, extra=ids)
        self._tally.refused(self._now() // 1_000_000, code)
        answered = [*self._cors.json(headers.get("origin")), *extra]
        proto.response_bytes(status, answered, error_body(code, message, field))


def _opened(headers: Headers, body: bytes, limit: int) -> bytes:
    """The body without its Content-Encoding."""
    encoding = headers.get("content-encoding")
    return body if encoding is None else decompress(body, encoding, limit)


def _described(error: Exception) -> tuple[int, str, str, str | None, HeaderList]:
    """Status, code, message, field and further headers of an error."""
    if isinstance(error, InvalidEvent):
        extra = [("retry-after", RETRY_AFTER)] if error.status == 429 else []
        return error.status, error.code, error.message, error.field, extra
    if isinstance(error, BodyError):
        # What is left of the body is not read, so the connection is of no further use.
        extra = [("retry-after", RETRY_AFTER)] if error.status == 503 else []
        return error.status, error.code, error.message, None, [("connection", "close"), *extra]
    if isinstance(error, ApiError):
        return error.status, error.code, error.message, error.field, list(error.headers.items())
    if isinstance(error, RecordTooLarge):
        return 413, "too_large", "The event is too large for the log.", None, []
    if isinstance(error, LogError):
        message = "The event log is away; try again."
        return 503, "log_unavailable", message, None, [("retry-after", RETRY_AFTER)]
    if isinstance(error, NotReady):
        message = "The database has not been reached yet; try again."
        return 503, "not_ready", message, None, [("retry-after", RETRY_AFTER)]
    return 500, "internal", "The server made a mistake; its log says more.", None, []


def _not_stored(error: LogError) -> InvalidEvent:
    """An event of a batch that was not stored while others were."""
    if isinstance(error, RecordTooLarge):
        return InvalidEvent("too_large", "The event is too large for the log.")
    return InvalidEvent("log_unavailable", "The event log is away; send this event again.")


def _pixel_event(query: str, referer: str | None) -> ClientEvent:
    try:
        given = parse_qs(query, max_num_fields=MAX_PIXEL_FIELDS)
    except ValueError:
        message = f"The query has more than {MAX_PIXEL_FIELDS} fields."
        raise InvalidEvent("bad_request", message, status=400) from None
    page = given.get("page", [referer or ""])[0].replace("\x00", "")
    if not page:
        raise InvalidEvent("missing_field", "There is neither a page nor a Referer.", "page")
    host, _ = clean_page(page, ())
    site = given.get("site", [host])[0]
    return ClientEvent(event_type="page_view", page=page, site=site)
