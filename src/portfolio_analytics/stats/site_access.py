"""Which site a request may read, and who is told what is wrong with a question."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from portfolio_analytics.shared.access import Access, check_may
from portfolio_analytics.shared.http import ApiError
from portfolio_analytics.stats.engine import Engine
from portfolio_analytics.stats.site import Site


async def readable_site(request: Request, access: Access, engine: Engine, name: str, field: str) -> Site:
    """The site called `name`, which the request may read.

    Raises ApiError as Access.require does, before it says whether there is such a site; then 400
    `unknown_site` naming `field`.
    """
    if not _says_who(request):
        await access.require(request, "read", name)
    site = await engine.site(name)
    await access.require(request, "read", site.name if site else name)
    if site is None:
        raise ApiError(400, "unknown_site", f"There is no site {name!r}.", field)
    return site


@asynccontextmanager
async def for_readers(request: Request, access: Access) -> AsyncIterator[None]:
    """What is wrong with a question is told to those alone who may ask one.

    An ApiError from within goes on only to who may read some site; anybody else is answered as Access.known
    and `check_may` do. A question that is right costs nothing here: `readable_site` looks at who asks it.
    """
    try:
        yield
    except ApiError:
        principal = await access.known(request)
        check_may(principal, "read", principal.site)
        raise


def _says_who(request: Request) -> bool:
    """Whether there is anything to look up: without, the database is left alone."""
    return bool("authorization" in request.headers or "share" in request.query_params or request.cookies)
