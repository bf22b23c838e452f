"""RSGI, the server's own interface: its types, bounded bodies, and a bridge to ASGI applications."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Protocol

from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]

from portfolio_analytics.shared.deadlines import Deadlines
from portfolio_analytics.shared.errors import AnalyticsError
from portfolio_analytics.shared.http import error_body
from portfolio_analytics.shared.logs import request_id

HeaderList = list[tuple[str, str]]

DROP_BYTES = 64 << 20
"""How much of a body that is too large is read and dropped, so that a naive client sees the answer."""

BODIES_BYTES = 64 << 20
"""How much memory one worker gives to bodies that are on their way."""

logger = logging.getLogger(__name__)


class Headers(Protocol):
    """A request's headers; names are lower case. A value that is not ASCII is not seen."""

    def __contains__(self, key: str) -> bool: ...
    def get(self, key: str, default: str | None = None) -> str | None: ...
    def get_all(self, key: str) -> list[str]: ...
    def items(self) -> list[tuple[str, str]]: ...


class Scope(Protocol):
    """A request's head."""

    http_version: str
    client: str
    server: str
    scheme: str
    method: str
    path: str
    query_string: str

    @property
    def headers(self) -> Headers: ...


class StreamTransport(Protocol):
    """The rest of an answer that is sent in pieces."""

    async def send_bytes(self, data: bytes) -> None: ...


class HttpProtocol(Protocol):
    """A request's body and its answer."""

    def __call__(self) -> Awaitable[bytes]: ...
    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def client_disconnect(self) -> Awaitable[None]: ...
    def response_empty(self, status: int, headers: HeaderList) -> None: ...
    def response_bytes(self, status: int, headers: HeaderList, body: bytes) -> None: ...
    def response_stream(self, status: int, headers: HeaderList) -> StreamTransport: ...


class BodyError(AnalyticsError):
    """A body that is not taken: too large (413), too slow (408), ambiguous (400), or one too many (503)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Disconnected(AnalyticsError):
    """The client went away before the body was complete."""


class BodyReader:
    """Reads bodies within `seconds`, and within `BODIES_BYTES` for all that one worker reads at a time."""

    def __init__(self, deadlines: Deadlines, seconds: float = 10.0) -> None:
        self._deadlines = deadlines
        self._seconds = seconds
        self._held = 0

    async def read(self, headers: Headers, proto: HttpProtocol, limit: int) -> bytes:
        """A request's body of at most `limit` bytes. Raises BodyError or Disconnected."""
        length = headers.get("content-length")
        task = self._deadlines.begin(self._seconds)
        held = 0
        try:
            if length is None:
                held = self._hold(limit)
                return await self._read_pieces(proto, limit)
            if "transfer-encoding" in headers:
                raise BodyError(
                    400, "bad_request", "Content-Length and Transfer-Encoding exclude each other."
                )
            size = int(length)
            if size > limit:
                await self._drop(proto, size)
                raise _too_large(limit)
            held = self._hold(size)
            body = await proto()
            if len(body) < size:
                raise Disconnected("the body ended early")
            return body
        except asyncio.CancelledError:
            if self._deadlines.passed(task):
                message = f"The body did not arrive within {self._seconds:g} seconds."
                raise BodyError(408, "timeout", message) from None
            raise
        except ProtocolClosed:
            raise Disconnected("the client went away") from None
        finally:
            self._held -= held
            self._deadlines.end(task)

    async def _drop(self, proto: HttpProtocol, size: int) -> None:
        if size <= DROP_BYTES:
            async for _ in proto:
                pass

    async def _read_pieces(self, proto: HttpProtocol, limit: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        async for piece in proto:
            size += len(piece)
            if size <= limit:
                pieces.append(piece)
            else:
                pieces.clear()
                if size > DROP_BYTES:
                    break
        if size > limit:
            raise _too_large(limit)
        return b"".join(pieces)

    def _hold(self, size: int) -> int:
        """Reserve memory for a body."""
        if self._held + size > BODIES_BYTES:
            raise BodyError(503, "busy", "Too many bodies are under way; try again.")
        self._held += size
        return size


def _too_large(limit: int) -> BodyError:
    return BodyError(413, "too_large", f"The body is larger than {limit} bytes.")


Message = MutableMapping[str, Any]
AsgiApp = Callable[
    [Any, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class AsgiBridge:
    """Answers RSGI requests with an ASGI application: bodies bounded, answers streamed, no lifespan.

    `seen` tells the client's address and the scheme of a request, which trusted proxies may know better;
    `extra_headers(path, origin)` are added to every answer; `body_limit` is in bytes. `drain` makes streams
    end, so that a worker can stop; `answering` is how many requests are under way.
    """

    def __init__(
        self,
        app: AsgiApp,
        bodies: BodyReader,
        seen: Callable[[Scope, Headers], tuple[str, str]],
        extra_headers: Callable[[str, str | None], Sequence[tuple[str, str]]],
        *,
        body_limit: int = 1 << 20,
    ) -> None:
        self._app = app
        self._bodies = bodies
        self._seen = seen
        self._extra_headers = extra_headers
        self._body_limit = body_limit
        self._draining = asyncio.Event()
        self.answering = 0

    def drain(self) -> None:
        """Tell every stream that its client is gone."""
        self._draining.set()

    async def __call__(self, scope: Scope, proto: HttpProtocol) -> None:
        """Answer one request."""
        headers = scope.headers
        exchange = _Exchange(proto, self._draining, self._extra_headers(scope.path, headers.get("origin")))
        self.answering += 1
        try:
            if "content-length" in headers or "transfer-encoding" in headers:
                exchange.body = await self._bodies.read(headers, proto, self._body_limit)
            await self._app(
                _asgi_scope(scope, headers, *self._seen(scope, headers)), exchange.receive, exchange.send
            )
        except BodyError as error:
            exchange.fail(error.status, error.code, error.message)
        except (Disconnected, ProtocolClosed):
            pass
        except Exception:
            ids = {"request_id": request_id(scope.headers.get("x-request-id"))}
            logger.exception("an answer failed: %s %s", scope.method, scope.path, extra=ids)
            exchange.fail(500, "internal", "The server made a mistake; its log says more.")
        finally:
            self.answering -= 1
            exchange.end()


class _Exchange:
    """One request's two ASGI callables."""

    def __init__(
        self, proto: HttpProtocol, draining: asyncio.Event, extra_headers: Sequence[tuple[str, str]]
    ) -> None:
        self.body: bytes | None = b""
        self._proto = proto
        self._draining = draining
        self._extra_headers = extra_headers
        self._status = 0
        self._headers: HeaderList = []
        self._started = False
        self._stream: StreamTransport | None = None
        self._waits: tuple[asyncio.Future[Any], asyncio.Future[Any]] | None = None

    async def receive(self) -> Message:
        """The body, once; then the client's going away, or the server's."""
        if self.body is not None:
            body, self.body = self.body, None
            return {"type": "http.request", "body": body, "more_body": False}
        if self._waits is None:
            self._waits = (
                asyncio.ensure_future(self._proto.client_disconnect()),
                asyncio.ensure_future(self._draining.wait()),
            )
        await asyncio.wait(self._waits, return_when=asyncio.FIRST_COMPLETED)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Head and body of the answer. A body in one piece goes out at once, else it is streamed."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = [
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]
            ]
            names = {name for name, _ in self._headers}
            self._headers += [header for header in self._extra_headers if header[0] not in names]
            return
        if message["type"] != "http.response.body":
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._stream is not None:
            if body:
                await self._stream.send_bytes(body)
            if not more:
                self._stream = None
            return
        if self._started:
            return
        self._started = True
        if not more:
            self._proto.response_bytes(self._status, self._headers, body)
            return
        self._stream = self._proto.response_stream(self._status, self._headers)
        if body:
            await self._stream.send_bytes(body)

    def fail(self, status: int, code: str, message: str) -> None:
        """An error, where no answer has begun."""
        if not self._started:
            self._started = True
            headers = [("content-type", "application/json"), ("connection", "close"), *self._extra_headers]
            self._proto.response_bytes(status, headers, error_body(code, message))

    def end(self) -> None:
        """Let go of what waits, and of the stream: its last reference ends the answer."""
        for wait in self._waits or ():
            wait.cancel()
        self._stream = None


def _asgi_scope(scope: Scope, headers: Headers, client: str, scheme: str) -> dict[str, Any]:
    return {
        "type": "http",
        # 2.3: the application listens for http.disconnect itself while it streams.
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": scope.http_version,
        "method": scope.method,
        "scheme": scheme,
        "path": scope.path,
        "query_string": scope.query_string.encode("latin-1", "replace"),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        "client": (client, 0),
        "server": None,
        "state": {},
    }
