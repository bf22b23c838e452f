"""What the administration's HTTP faces take and answer."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from portfolio_analytics.storage.audit import Entry
from portfolio_analytics.storage.funnels import Funnel
from portfolio_analytics.storage.goals import Goal
from portfolio_analytics.storage.public_links import PublicLink
from portfolio_analytics.storage.tokens import Token

Name = Annotated[str, Meta(min_length=1, max_length=253)]
Scope = Literal["ingest", "import", "read", "admin"]


class NewSite(msgspec.Struct, forbid_unknown_fields=True):
    """A site to add: a host name such as example.com, and an IANA time zone."""

    name: Name
    time_zone: Annotated[str, Meta(max_length=100)] = "UTC"


class NewName(msgspec.Struct, forbid_unknown_fields=True):
    """What a site is to be called; the old name goes on counting for it."""

    name: Name


class SiteSummary(msgspec.Struct):
    """What a reader of a site is told about it."""

    name: str
    time_zone: str


class SiteList(msgspec.Struct):
    """The sites that the caller may read."""

    sites: list[SiteSummary]


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    """A token to make; without `site` it is for all sites."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=4)]
    site: Name | None = None


class MadeToken(msgspec.Struct):
    """A new token. `secret` is shown this once."""

    token: Token
    secret: str


class TokenList(msgspec.Struct):
    """Tokens; the revoked ones last."""

    tokens: list[Token]


class NewLink(msgspec.Struct, forbid_unknown_fields=True):
    """A public link to make."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]


class MadeLink(msgspec.Struct):
    """A new public link. `secret` and `path`, which has it, are shown this once."""

    link: PublicLink
    secret: str
    path: str


class LinkList(msgspec.Struct):
    """The public links of a site that are alive."""

    links: list[PublicLink]


class GoalList(msgspec.Struct):
    """The goals of a site."""

    goals: list[Goal]


class FunnelList(msgspec.Struct):
    """The funnels of a site."""

    funnels: list[Funnel]


class AuditPage(msgspec.Struct):
    """Acts, newest first; `next` is the `before` of the following page, null on the last."""

    entries: list[Entry]
    next: int | None


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    """A token to sign in with."""

    token: Annotated[str, Meta(min_length=1, max_length=512)]


class Session(msgspec.Struct):
    """Who is asking: the token's name, its scopes, its site (null for all), and the sites it may read."""

    name: str
    scopes: list[str]
    site: str | None
    admin: bool
    sites: list[SiteSummary]


class Done(msgspec.Struct):
    """It was done."""

    status: Literal["success"] = "success"
