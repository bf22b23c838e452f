"""An empty handler on the same HTTP server, as the floor of what a request costs."""

from __future__ import annotations

import sys

from granian import Granian
from granian.constants import Interfaces

from portfolio_analytics.shared.rsgi import HttpProtocol, Scope

ANSWER = b'{"status":"success","message":"Event queued","partition":0,"offset":0,"event_id":"0"}'
HEADERS = [("content-type", "application/json")]


async def app(_scope: Scope, proto: HttpProtocol) -> None:
    """Read the body, answer."""
    await proto()
    proto.response_bytes(201, HEADERS, ANSWER)


if __name__ == "__main__":
    Granian(
        "bench.empty_handler:app",
        port=int(sys.argv[1]),
        interface=Interfaces.RSGI,
        workers=1,
        log_enabled=False,
    ).serve()
