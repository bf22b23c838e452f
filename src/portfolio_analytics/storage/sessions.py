"""Sessions of browsers, and the one-time codes that begin one.

A session belongs to a token, and ends with it, or to ADMIN_TOKEN. What is kept is a hash of its id; for
ADMIN_TOKEN the hash is keyed with the token's digest, so that a changed ADMIN_TOKEN ends its sessions.
Functions return steps: carry them out with `steps.run` or `steps.run_async`.
"""

from __future__ import annotations

import datetime
import hmac
import secrets

from portfolio_analytics.settings import Secret
from portfolio_analytics.shared.access import ADMINISTRATOR, Principal, digest
from portfolio_analytics.storage import audit, tokens
from portfolio_analytics.storage.steps import Query, Steps

LIFETIME = datetime.timedelta(days=14)
CODE_LIFETIME = datetime.timedelta(minutes=10)

_SWEEP = "DELETE FROM sessions WHERE expires_at < now()"
_SWEEP_CODES = "DELETE FROM signin_codes WHERE expires_at < now()"
_START = """
    INSERT INTO sessions (hash, token_id, expires_at)
    VALUES (%(hash)s, %(token_id)s, now() + %(lifetime)s)"""
_LOOKUP = """
    SELECT x.token_id, t.name, t.scopes, s.name AS site
    FROM sessions x LEFT JOIN tokens t USING (token_id) LEFT JOIN sites s USING (site_id)
    WHERE x.expires_at > now() AND (
        (x.token_id IS NOT NULL AND t.revoked_at IS NULL AND x.hash = %(hash)s)
        OR (x.token_id IS NULL AND x.hash = %(admin_hash)s))"""
_END = "DELETE FROM sessions WHERE hash IN (%(hash)s, %(admin_hash)s)"
_END_ALL = "DELETE FROM sessions"
_MAKE_CODE = "INSERT INTO signin_codes (hash, expires_at) VALUES (%(hash)s, now() + %(lifetime)s)"
_USE_CODE = "DELETE FROM signin_codes WHERE hash = %(hash)s AND expires_at > now() RETURNING 1 AS used"


def start(principal: Principal, admin_digest: bytes | None) -> Steps[Secret]:
    """A new session of `principal`; returns its id, which goes into the cookie alone."""
    session = secrets.token_urlsafe(32)
    hashed = digest(session) if principal.token_id is not None else _keyed(admin_digest, session)
    yield Query(_SWEEP)
    yield Query(_START, {"hash": hashed, "token_id": principal.token_id, "lifetime": LIFETIME})
    yield from audit.record(principal.name, "session.start", site=principal.site)
    return Secret(session)


def lookup(session: str, admin_digest: bytes | None) -> Steps[Principal | None]:
    """Whose session it is; None when it is unknown, expired, or its token is revoked."""
    rows = yield Query(_LOOKUP, _hashes(session, admin_digest))
    if not rows:
        return None
    return ADMINISTRATOR if rows[0]["token_id"] is None else tokens.principal(rows[0])


def end(session: str, admin_digest: bytes | None) -> Steps[None]:
    """Sign one browser out."""
    yield Query(_END, _hashes(session, admin_digest))


def end_all(actor: str) -> Steps[None]:
    """Sign every browser out."""
    yield Query(_END_ALL)
    yield from audit.record(actor, "session.end_all")


def make_code(admin_digest: bytes) -> Steps[Secret]:
    """A code that signs one browser in as ADMIN_TOKEN would, once, within CODE_LIFETIME."""
    code = secrets.token_urlsafe(32)
    yield Query(_SWEEP_CODES)
    yield Query(_MAKE_CODE, {"hash": _keyed(admin_digest, code), "lifetime": CODE_LIFETIME})
    return Secret(code)


def use_code(code: str, admin_digest: bytes) -> Steps[bool]:
    """Whether the code was good; it is used up then."""
    rows = yield Query(_USE_CODE, {"hash": _keyed(admin_digest, code)})
    return bool(rows)


def _hashes(session: str, admin_digest: bytes | None) -> dict[str, bytes]:
    return {"hash": digest(session), "admin_hash": _keyed(admin_digest, session)}


def _keyed(admin_digest: bytes | None, word: str) -> bytes:
    """The keyed hash of a word. Without an ADMIN_TOKEN the key is random, so that it equals nothing kept."""
    key = admin_digest if admin_digest is not None else secrets.token_bytes(32)
    return hmac.digest(key, word.encode(), "sha256")
