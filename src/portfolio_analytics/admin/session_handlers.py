"""Browsers sign in and out."""

from __future__ import annotations

import dataclasses

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from portfolio_analytics.admin.call import Call, is_admin
from portfolio_analytics.admin.docs import CONTENT_SECURITY_POLICY
from portfolio_analytics.admin.messages import Credentials, Done, Session
from portfolio_analytics.admin.site_handlers import visible_sites
from portfolio_analytics.settings import Secret
from portfolio_analytics.shared.access import (
    ADMINISTRATOR,
    check_same_origin,
    cookie_name,
    disabled,
    on_plain_loopback,
    unauthorized,
)
from portfolio_analytics.shared.http import ApiError, answer
from portfolio_analytics.storage import sessions

_LATE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Sign in</title>
<link rel="stylesheet" href="/docs.css"></head><body><main>
<h1>This link does not sign in any more</h1>
<p>It works once, for ten minutes. <a href="/dashboard">Sign in with a token</a>, or start the server again
for a new link.</p></main></body></html>
"""


async def sign_in(call: Call) -> Response:
    """Sign a browser in with a token that may read."""
    request = call.request
    if "sec-fetch-site" in request.headers or "origin" in request.headers:
        check_same_origin(request)
    wanted = await call.body(Credentials)
    principal = await call.context.access.sign_in(request, wanted.token)
    if not principal.scopes & {"read", "admin"}:
        raise ApiError(403, "forbidden", "This token may neither read nor administer.")
    session = await call.do(sessions.start(principal, call.context.access.admin_digest))
    signed_in = dataclasses.replace(call, principal=principal)
    response = answer(await _session(signed_in))
    _set_cookie(response, request, session)
    return response


async def who_am_i(call: Call) -> Response:
    """Who asks, and what they may read."""
    return answer(await _session(call))


async def sign_out(call: Call) -> Response:
    """End this browser's session."""
    request = call.request
    session = request.cookies.get(cookie_name(request))
    response = answer(Done())
    if session:
        check_same_origin(request)
        await call.do(sessions.end(session, call.context.access.admin_digest))
        response.delete_cookie(
            cookie_name(request), secure=not on_plain_loopback(request), httponly=True, samesite="strict"
        )
    return response


async def sign_all_out(call: Call) -> Response:
    """End every session."""
    await call.do(sessions.end_all(call.actor))
    return answer(Done())


async def use_code(call: Call) -> Response:
    """Sign a browser in with a one-time link, and show it the dashboard."""
    access = call.context.access
    if access.admin_digest is None:
        raise disabled()
    try:
        await access.slowly(call.request, _redeem(call, access.admin_digest))
    except ApiError as error:
        if error.status != 401:
            raise
        return HTMLResponse(_LATE, 401, {"Content-Security-Policy": CONTENT_SECURITY_POLICY})
    session = await call.do(sessions.start(ADMINISTRATOR, access.admin_digest))
    response = RedirectResponse("/dashboard", 303, {"Cache-Control": "no-store"})
    _set_cookie(response, call.request, session)
    return response


async def _redeem(call: Call, admin_digest: bytes) -> None:
    code = call.request.query_params.get("code", "")
    if not await call.do(sessions.use_code(code, admin_digest)):
        raise unauthorized("This link was used, or is too old.")


async def _session(call: Call) -> Session:
    principal = call.principal
    return Session(
        name=principal.name,
        scopes=sorted(principal.scopes),
        site=principal.site,
        admin=is_admin(principal),
        sites=await visible_sites(call),
    )


def _set_cookie(response: Response, request: Request, session: Secret) -> None:
    response.set_cookie(
        cookie_name(request),
        session.reveal(),
        max_age=int(sessions.LIFETIME.total_seconds()),
        path="/",
        secure=not on_plain_loopback(request),
        httponly=True,
        samesite="strict",
    )
