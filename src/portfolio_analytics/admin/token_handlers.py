"""Tokens and the audit log over HTTP."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from portfolio_analytics.admin.call import Call
from portfolio_analytics.admin.messages import AuditPage, Done, MadeToken, NewToken, TokenList
from portfolio_analytics.shared.access import check_may
from portfolio_analytics.shared.http import ApiError, answer
from portfolio_analytics.storage import audit, tokens

NEWEST = 2**63 - 1


class AuditQuery(msgspec.Struct):
    """The audit log's parameters."""

    site: str | msgspec.UnsetType = msgspec.UNSET
    before: Annotated[int, Meta(ge=1, le=NEWEST)] = NEWEST
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


async def list_tokens(call: Call) -> Response:
    """All tokens, or those of the site that the query names."""
    return answer(TokenList(await call.do(tokens.list_all(call.request.query_params.get("site")))))


async def add_token(call: Call) -> Response:
    """Make a token; who administers one site makes tokens of that site alone."""
    wanted = await call.body(NewToken)
    check_may(call.principal, "admin", wanted.site)
    made = tokens.create(wanted.name, list(wanted.scopes), wanted.site, call.actor)
    token, secret = await call.do(made)
    return answer(MadeToken(token, secret.reveal()), 201, {"Cache-Control": "no-store"})


async def revoke_token(call: Call) -> Response:
    """Revoke a token; those of other sites do not exist for who administers one."""
    token = await call.do(tokens.find(call.name))
    if not call.principal.may("admin", token.site):
        raise ApiError(404, "unknown_token", f"There is no token {call.name!r}.", "name")
    await call.do(tokens.revoke(call.name, call.actor))
    return answer(Done())


async def list_acts(call: Call) -> Response:
    """A page of the audit log."""
    wanted = call.query(AuditQuery)
    site = None if wanted.site is msgspec.UNSET else wanted.site
    entries = await call.do(audit.entries(site, wanted.before, wanted.limit))
    following = entries[-1].audit_id if len(entries) == wanted.limit else None
    return answer(AuditPage(entries, following))
