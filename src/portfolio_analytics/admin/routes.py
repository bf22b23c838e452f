"""The administration's routes: each operation, the access it declares enforced, and its handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from portfolio_analytics.admin import operations as op
from portfolio_analytics.admin import session_handlers, site_handlers, token_handlers
from portfolio_analytics.admin.call import NOBODY, Call, is_admin
from portfolio_analytics.shared.access import Principal
from portfolio_analytics.shared.context import Context
from portfolio_analytics.shared.http import ApiError
from portfolio_analytics.shared.openapi import ANYONE_KNOWN, PUBLIC, Operation

Handler = Callable[[Call], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]

_HANDLERS: tuple[tuple[Operation, Handler], ...] = (
    (op.LIST_SITES, site_handlers.list_sites),
    (op.ADD_SITE, site_handlers.add_site),
    (op.GET_SITE, site_handlers.get_site),
    (op.CHANGE_SITE, site_handlers.change_site),
    (op.RENAME_SITE, site_handlers.rename_site),
    (op.RESET_SITE, site_handlers.reset_site),
    (op.DELETE_SITE, site_handlers.delete_site),
    (op.LIST_GOALS, site_handlers.list_goals),
    (op.ADD_GOAL, site_handlers.add_goal),
    (op.DELETE_GOAL, site_handlers.delete_goal),
    (op.LIST_FUNNELS, site_handlers.list_funnels),
    (op.ADD_FUNNEL, site_handlers.add_funnel),
    (op.CHANGE_FUNNEL, site_handlers.change_funnel),
    (op.DELETE_FUNNEL, site_handlers.delete_funnel),
    (op.LIST_LINKS, site_handlers.list_links),
    (op.ADD_LINK, site_handlers.add_link),
    (op.REVOKE_LINK, site_handlers.revoke_link),
    (op.LIST_TOKENS, token_handlers.list_tokens),
    (op.ADD_TOKEN, token_handlers.add_token),
    (op.REVOKE_TOKEN, token_handlers.revoke_token),
    (op.AUDIT, token_handlers.list_acts),
    (op.SIGN_IN, session_handlers.sign_in),
    (op.WHO_AM_I, session_handlers.who_am_i),
    (op.SIGN_OUT, session_handlers.sign_out),
    (op.SIGN_ALL_OUT, session_handlers.sign_all_out),
    (op.USE_CODE, session_handlers.use_code),
)

_OWN_SITE_CHECK = frozenset({op.ADD_TOKEN.path, op.REVOKE_TOKEN.path})
"""Paths whose site stands in the body or with the token: their handlers check it."""


def routes(context: Context) -> list[BaseRoute]:
    """The administration's routes, one a path."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for operation, handler in _HANDLERS:
        by_path.setdefault(operation.path, {})[operation.method] = _endpoint(context, operation, handler)
    return [
        Route(_pattern(path), _one_of(methods), methods=list(methods)) for path, methods in by_path.items()
    ]


def _pattern(path: str) -> str:
    """The path as Starlette matches it: the name of a goal on a page has slashes."""
    return path.replace("{name}", "{name:path}")


def _one_of(methods: dict[str, Endpoint]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return await methods["GET" if request.method == "HEAD" else request.method](request)

    return endpoint


def _endpoint(context: Context, operation: Operation, handler: Handler) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        response = await handler(Call(context, request, await _principal(context, operation, request)))
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return endpoint


async def _principal(context: Context, operation: Operation, request: Request) -> Principal:
    """Who calls, as the operation's access asks for. Raises ApiError as Access.require does."""
    if operation.access == PUBLIC:
        return NOBODY
    if operation.access == ANYONE_KNOWN:
        return await context.access.known(request)
    if operation.path in _OWN_SITE_CHECK and operation.method != "GET":
        principal = await context.access.known(request)
        if not is_admin(principal):
            raise ApiError(403, "forbidden", "This token lacks the scope 'admin'.")
        return principal
    site = request.path_params.get("site", request.query_params.get("site"))
    return await context.access.require(request, operation.access, site)
