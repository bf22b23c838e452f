"""Which site a request may read."""

from __future__ import annotations

from starlette.requests import Request

from portfolio_analytics.shared.access import Access
from portfolio_analytics.shared.http import ApiError
from portfolio_analytics.stats.engine import Engine
from portfolio_analytics.stats.site import Site


async def readable_site(request: Request, access: Access, engine: Engine, name: str, field: str) -> Site:
    """The site called `name`, which the request may read.

    Raises ApiError as Access.require does, before it says whether there is such a site; then 400
    `unknown_site` naming `field`.
    """
    site = await engine.site(name)
    await access.require(request, "read", site.name if site else name)
    if site is None:
        raise ApiError(400, "unknown_site", f"There is no site {name!r}.", field)
    return site
