"""A server of a few routes for test_intake_bridge.py: PORT, and a file that says what was seen."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from portfolio_analytics.app.supervisor import end_well
from portfolio_analytics.shared.deadlines import Deadlines
from portfolio_analytics.shared.rsgi import AsgiBridge, BodyReader, HttpProtocol, Scope

SEEN = Path(sys.argv[2])


def note(what: str) -> None:
    SEEN.write_text(f"{what}\n")


async def hello(request: Request) -> Response:
    response = Response(str(request.query_params))
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


async def echo(request: Request) -> Response:
    return Response(await request.body())


async def mistake(_request: Request) -> Response:
    raise RuntimeError("on purpose")


async def stream(_request: Request) -> Response:
    async def ticks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: tick\n\n"
                await asyncio.sleep(0.05)
        finally:
            note("stream ended")

    return StreamingResponse(ticks(), media_type="text/event-stream")


async def count(_request: Request) -> Response:
    async def numbers() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d\n" % number

    return StreamingResponse(numbers(), media_type="text/plain")


class App:
    def __init__(self) -> None:
        self._deadlines = Deadlines()
        routes = [
            Route("/hello", hello),
            Route("/echo", echo, methods=["POST"]),
            Route("/mistake", mistake),
            Route("/stream", stream),
            Route("/count", count),
        ]
        self._bridge = AsgiBridge(
            Starlette(routes=routes),
            BodyReader(self._deadlines),
            lambda scope, headers: ("127.0.0.1", scope.scheme),
            lambda path, origin: [("x-extra", path)],
            body_limit=1000,
        )

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        end_well(loop, self._bridge.drain)

    def __rsgi__(self, scope: Scope, proto: HttpProtocol) -> Awaitable[None]:
        return self._bridge(scope, proto)


def load() -> Any:
    return App()


if __name__ == "__main__":
    Granian(
        "bridge",
        address="127.0.0.1",
        port=int(sys.argv[1]),
        interface=Interfaces.RSGI,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        websockets=False,
    ).serve(target_loader=load, wrap_loader=False)
