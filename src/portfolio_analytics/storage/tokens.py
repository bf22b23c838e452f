"""Tokens: random words that let programs in. Only their SHA-256 is kept, so a token is shown once.

Functions return steps: carry them out with `steps.run` or `steps.run_async`.
"""

from __future__ import annotations

import datetime
import secrets

import msgspec

from portfolio_analytics.settings import Secret
from portfolio_analytics.shared.access import SCOPES, Principal, digest
from portfolio_analytics.shared.errors import InvalidValue, NameTaken, UnknownName
from portfolio_analytics.storage import audit, sites
from portfolio_analytics.storage.steps import Query, Row, Steps

PREFIX = "pa_"
"""What every token begins with, so that scanners for leaked secrets can know one."""

MAX_NAME = 100

_CREATE = """
    INSERT INTO tokens (name, hash, scopes, site_id)
    VALUES (%(name)s, %(hash)s, %(scopes)s, %(site_id)s)
    ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING
    RETURNING token_id"""

_LIST = """
    SELECT t.name, t.scopes, s.name AS site, t.created_at, t.last_used_at, t.revoked_at
    FROM tokens t LEFT JOIN sites s USING (site_id)
    WHERE %(site)s::text IS NULL OR s.name = %(site)s
    ORDER BY t.revoked_at IS NOT NULL, t.name, t.created_at"""

_FIND = """
    SELECT t.name, t.scopes, s.name AS site, t.created_at, t.last_used_at, t.revoked_at
    FROM tokens t LEFT JOIN sites s USING (site_id)
    WHERE t.name = %(name)s AND t.revoked_at IS NULL"""

_REVOKE = """
    UPDATE tokens SET revoked_at = now()
    WHERE name = %(name)s AND revoked_at IS NULL
    RETURNING site_id"""

_END_SESSIONS = """
    DELETE FROM sessions s USING tokens t
    WHERE s.token_id = t.token_id AND t.revoked_at IS NOT NULL"""

# Writes at most once a minute and token, so that reading statistics does not mean writing.
_LOOKUP = """
    WITH touched AS (
        UPDATE tokens SET last_used_at = date_trunc('minute', now())
        WHERE hash = %(hash)s AND revoked_at IS NULL
          AND (last_used_at IS NULL OR last_used_at < date_trunc('minute', now())))
    SELECT t.token_id, t.name, t.scopes, s.name AS site
    FROM tokens t LEFT JOIN sites s USING (site_id)
    WHERE t.hash = %(hash)s AND t.revoked_at IS NULL"""

_ANY = "SELECT 1 AS live FROM tokens WHERE revoked_at IS NULL LIMIT 1"


class Token(msgspec.Struct, frozen=True):
    """What is known of a token. `site` is None for all sites; `last_used_at` is exact to the minute."""

    name: str
    scopes: list[str]
    site: str | None
    created_at: datetime.datetime
    last_used_at: datetime.datetime | None
    revoked_at: datetime.datetime | None


def create(name: str, scopes: list[str], site: str | None, actor: str) -> Steps[tuple[Token, Secret]]:
    """A new token and its secret, which cannot be read again. Raises InvalidValue, NameTaken, UnknownName."""
    name = name.strip()
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise InvalidValue("invalid_name", f"A token's name has 1 to {MAX_NAME} characters.", "name")
    if not scopes or not set(scopes) <= set(SCOPES):
        raise InvalidValue("invalid_scopes", f"Scopes are some of {', '.join(SCOPES)}.", "scopes")
    site_id = None if site is None else (yield from sites.site_id_of(site))
    secret = PREFIX + secrets.token_urlsafe(32)
    params = {"name": name, "hash": digest(secret), "scopes": sorted(set(scopes)), "site_id": site_id}
    rows = yield Query(_CREATE, params)
    if not rows:
        raise NameTaken("token_exists", f"There is a token {name!r} already.", "name")
    yield from audit.record(actor, "token.create", site_id, site, token=name, scopes=params["scopes"])
    return (yield from find(name)), Secret(secret)


def list_all(site: str | None = None) -> Steps[list[Token]]:
    """All tokens, or one site's own; the revoked ones last."""
    rows = yield Query(_LIST, {"site": site})
    return [Token(**row) for row in rows]


def find(name: str) -> Steps[Token]:
    """The live token of that name. Raises UnknownName."""
    rows = yield Query(_FIND, {"name": name})
    if not rows:
        raise UnknownName("unknown_token", f"There is no token {name!r}.", "name")
    return Token(**rows[0])


def revoke(name: str, actor: str) -> Steps[None]:
    """End a token and the sessions that were signed in with it. Raises UnknownName."""
    token = yield from find(name)
    rows = yield Query(_REVOKE, {"name": name})
    yield Query(_END_SESSIONS)
    site_id = rows[0]["site_id"] if rows else None
    yield from audit.record(actor, "token.revoke", site_id, token.site, token=name)


def lookup(hashed: bytes) -> Steps[Principal | None]:
    """Whose token hashes to `hashed`, noting its use; None when it is unknown or revoked."""
    rows = yield Query(_LOOKUP, {"hash": hashed})
    return principal(rows[0]) if rows else None


def any_live() -> Steps[bool]:
    """Whether there is any token that lets someone in."""
    rows = yield Query(_ANY)
    return bool(rows)


def principal(row: Row) -> Principal:
    """The principal of a row with token_id, name, scopes and site."""
    return Principal(row["name"], frozenset(row["scopes"]), row["site"], token_id=row["token_id"])
