"""Public links: whoever has one reads the statistics of one site, and nothing else.

Functions return steps: carry them out with `steps.run` or `steps.run_async`.
"""

from __future__ import annotations

import datetime
import secrets

import msgspec

from portfolio_analytics.settings import Secret
from portfolio_analytics.shared.access import Principal, digest
from portfolio_analytics.shared.errors import InvalidValue, NameTaken, UnknownName
from portfolio_analytics.storage import audit, sites
from portfolio_analytics.storage.steps import Query, Steps

MAX_NAME = 100

_CREATE = """
    INSERT INTO public_links (site_id, name, hash) VALUES (%(site_id)s, %(name)s, %(hash)s)
    ON CONFLICT (site_id, name) WHERE revoked_at IS NULL DO NOTHING
    RETURNING name, created_at"""
_LIST = """
    SELECT name, created_at FROM public_links
    WHERE site_id = %(site_id)s AND revoked_at IS NULL ORDER BY name"""
_REVOKE = """
    UPDATE public_links SET revoked_at = now()
    WHERE site_id = %(site_id)s AND name = %(name)s AND revoked_at IS NULL RETURNING link_id"""
_LOOKUP = """
    SELECT s.name AS site FROM public_links l JOIN sites s USING (site_id)
    WHERE l.hash = %(hash)s AND l.revoked_at IS NULL AND s.deleted_at IS NULL"""


class PublicLink(msgspec.Struct, frozen=True):
    """A link that is alive. Its secret is not kept."""

    name: str
    created_at: datetime.datetime


def create(site: str, name: str, actor: str) -> Steps[tuple[PublicLink, Secret]]:
    """A new link and its secret, which cannot be read again. Raises UnknownName, InvalidValue, NameTaken."""
    name = name.strip()
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise InvalidValue("invalid_name", f"A link's name has 1 to {MAX_NAME} characters.", "name")
    site_id = yield from sites.site_id_of(site)
    secret = secrets.token_urlsafe(24)
    rows = yield Query(_CREATE, {"site_id": site_id, "name": name, "hash": digest(secret)})
    if not rows:
        raise NameTaken("link_exists", f"There is a link {name!r} already.", "name")
    yield from audit.record(actor, "link.create", site_id, site, link=name)
    return PublicLink(**rows[0]), Secret(secret)


def list_all(site: str) -> Steps[list[PublicLink]]:
    """The links of a site that are alive. Raises UnknownName."""
    site_id = yield from sites.site_id_of(site)
    rows = yield Query(_LIST, {"site_id": site_id})
    return [PublicLink(**row) for row in rows]


def revoke(site: str, name: str, actor: str) -> Steps[None]:
    """End a link. Raises UnknownName."""
    site_id = yield from sites.site_id_of(site)
    rows = yield Query(_REVOKE, {"site_id": site_id, "name": name})
    if not rows:
        raise UnknownName("unknown_link", f"There is no link {name!r}.", "name")
    yield from audit.record(actor, "link.revoke", site_id, site, link=name)


def lookup(hashed: bytes) -> Steps[Principal | None]:
    """Who holds the link that hashes to `hashed`: a reader of its site; None when there is none."""
    rows = yield Query(_LOOKUP, {"hash": hashed})
    return Principal("public link", frozenset({"read"}), rows[0]["site"]) if rows else None
