"""The administration's HTTP interface, declared: paths, access, bodies, answers."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from portfolio_analytics.admin.messages import (
    AuditPage,
    Credentials,
    Done,
    FunnelList,
    GoalList,
    LinkList,
    MadeLink,
    MadeToken,
    NewLink,
    NewName,
    NewSite,
    NewToken,
    Session,
    SiteList,
    TokenList,
)
from portfolio_analytics.shared.openapi import ANYONE_KNOWN, PUBLIC, Media, Operation, Parameter
from portfolio_analytics.storage.funnels import Funnel
from portfolio_analytics.storage.goals import Goal
from portfolio_analytics.storage.sites import Site, SiteChange

_SITE = Parameter("site", "A site's name; without it, all sites.")
_BEFORE = Parameter("before", "Entries older than this number.", Annotated[int, Meta(ge=1, le=2**63 - 1)])
_LIMIT = Parameter("limit", "How many entries.", Annotated[int, Meta(ge=1, le=500)])
_CODE = Parameter("code", "What the sign-in link holds.", required=True)

LIST_SITES = Operation(
    "GET", "/api/sites", "The sites that you may read", ANYONE_KNOWN, "sites", {200: SiteList}
)
ADD_SITE = Operation(
    "POST", "/api/sites", "Add a site", "admin", "sites", {201: Site}, errors=(409,), body=NewSite
)
GET_SITE = Operation("GET", "/api/sites/{site}", "A site's settings", "admin", "sites", {200: Site})
CHANGE_SITE = Operation(
    "PATCH",
    "/api/sites/{site}",
    "Change a site's settings",
    "admin",
    "sites",
    {200: Site},
    body=SiteChange,
    description="Another time zone sets `rebuild_wanted`: days counted before stand in the old one until "
    "`portfolio-analytics rebuild` has run.",
)
RENAME_SITE = Operation(
    "POST",
    "/api/sites/{site}/rename",
    "Rename a site; the old name goes on counting for it",
    "admin",
    "sites",
    {200: Site},
    errors=(409,),
    body=NewName,
)
RESET_SITE = Operation(
    "POST",
    "/api/sites/{site}/reset",
    "Forget all that was counted for a site, events in flight included",
    "admin",
    "sites",
    {200: Site},
)
DELETE_SITE = Operation(
    "DELETE",
    "/api/sites/{site}",
    "Delete a site with its rows, goals, funnels and links; its tokens are revoked",
    "admin",
    "sites",
    {200: Done},
)
LIST_GOALS = Operation("GET", "/api/sites/{site}/goals", "A site's goals", "read", "goals", {200: GoalList})
ADD_GOAL = Operation(
    "POST",
    "/api/sites/{site}/goals",
    "Add a goal: an event's type, or a page with * for any characters",
    "admin",
    "goals",
    {201: Goal},
    errors=(409,),
    body=Goal,
)
DELETE_GOAL = Operation(
    "DELETE", "/api/sites/{site}/goals/{name}", "Delete a goal", "admin", "goals", {200: Done}
)
LIST_FUNNELS = Operation(
    "GET", "/api/sites/{site}/funnels", "A site's funnels", "read", "funnels", {200: FunnelList}
)
ADD_FUNNEL = Operation(
    "POST",
    "/api/sites/{site}/funnels",
    "Add a funnel: 2 to 8 steps, each an event's type or a page with * for any characters",
    "admin",
    "funnels",
    {201: Funnel},
    errors=(409,),
    body=Funnel,
    description="A step may also ask for a `property` of the event that has a `value`. "
    "`POST /api/v2/funnel` says how many went on from step to step.",
)
CHANGE_FUNNEL = Operation(
    "PUT",
    "/api/sites/{site}/funnels/{name}",
    "Put another funnel, which may have another name, in place of one",
    "admin",
    "funnels",
    {200: Funnel},
    errors=(409,),
    body=Funnel,
)
DELETE_FUNNEL = Operation(
    "DELETE", "/api/sites/{site}/funnels/{name}", "Delete a funnel", "admin", "funnels", {200: Done}
)
LIST_LINKS = Operation(
    "GET", "/api/sites/{site}/links", "A site's public links", "admin", "public links", {200: LinkList}
)
ADD_LINK = Operation(
    "POST",
    "/api/sites/{site}/links",
    "Make a public link, which shows the site's statistics to whoever has it",
    "admin",
    "public links",
    {201: MadeLink},
    errors=(409,),
    body=NewLink,
)
REVOKE_LINK = Operation(
    "DELETE", "/api/sites/{site}/links/{name}", "End a public link", "admin", "public links", {200: Done}
)
LIST_TOKENS = Operation(
    "GET",
    "/api/tokens",
    "Tokens, without their secrets",
    "admin",
    "tokens",
    {200: TokenList},
    parameters=(_SITE,),
)
ADD_TOKEN = Operation(
    "POST",
    "/api/tokens",
    "Make a token; its secret is shown this once",
    "admin",
    "tokens",
    {201: MadeToken},
    errors=(404, 409),
    body=NewToken,
)
REVOKE_TOKEN = Operation(
    "DELETE",
    "/api/tokens/{name}",
    "Revoke a token, and end the sessions that were signed in with it",
    "admin",
    "tokens",
    {200: Done},
)
AUDIT = Operation(
    "GET",
    "/api/audit",
    "Administrative acts, newest first",
    "admin",
    "audit",
    {200: AuditPage},
    errors=(422,),
    parameters=(_SITE, _BEFORE, _LIMIT),
)
SIGN_IN = Operation(
    "POST",
    "/api/session",
    "Sign a browser in with a token",
    PUBLIC,
    "session",
    {200: Session},
    errors=(401, 403, 429, 503),
    body=Credentials,
    description="Sets a cookie: HttpOnly, SameSite=Strict, and Secure but for plain HTTP on loopback.",
)
WHO_AM_I = Operation(
    "GET", "/api/session", "Who you are, and the sites you may read", ANYONE_KNOWN, "session", {200: Session}
)
SIGN_OUT = Operation(
    "DELETE", "/api/session", "Sign this browser out", PUBLIC, "session", {200: Done}, errors=(403, 503)
)
SIGN_ALL_OUT = Operation("DELETE", "/api/sessions", "Sign every browser out", "admin", "session", {200: Done})
USE_CODE = Operation(
    "GET",
    "/signin",
    "Sign a browser in with the one-time link that `run` prints",
    PUBLIC,
    "session",
    {303: None, 401: Media("text/html", "The link was used, or is too old.")},
    errors=(429, 503),
    parameters=(_CODE,),
)
DOCUMENT = Operation(
    "GET",
    "/openapi.json",
    "This document",
    PUBLIC,
    "document",
    {200: Media("application/json", "OpenAPI 3.1")},
)
PAGE = Operation(
    "GET", "/docs", "This document as a page", PUBLIC, "document", {200: Media("text/html", "A page")}
)
STYLE = Operation(
    "GET", "/docs.css", "The page's style", PUBLIC, "document", {200: Media("text/css", "A style sheet")}
)

OPERATIONS = (
    LIST_SITES,
    ADD_SITE,
    GET_SITE,
    CHANGE_SITE,
    RENAME_SITE,
    RESET_SITE,
    DELETE_SITE,
    LIST_GOALS,
    ADD_GOAL,
    DELETE_GOAL,
    LIST_FUNNELS,
    ADD_FUNNEL,
    CHANGE_FUNNEL,
    DELETE_FUNNEL,
    LIST_LINKS,
    ADD_LINK,
    REVOKE_LINK,
    LIST_TOKENS,
    ADD_TOKEN,
    REVOKE_TOKEN,
    AUDIT,
    SIGN_IN,
    WHO_AM_I,
    SIGN_OUT,
    SIGN_ALL_OUT,
    USE_CODE,
    DOCUMENT,
    PAGE,
    STYLE,
)
