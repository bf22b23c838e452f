"""Who may do what: bearer tokens, scopes, sites.

Scopes: `ingest` (send events past the public limits), `import` (send visitors, countries and old times),
`read` (statistics), `admin` (everything). A token is for one site or for all.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request

from portfolio_analytics.settings import Secret
from portfolio_analytics.shared.http import ApiError

SCOPES = ("ingest", "import", "read", "admin")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `site` is None for all sites."""

    name: str
    scopes: frozenset[str]
    site: str | None = None

    def may(self, scope: str, site: str | None) -> bool:
        """Whether this principal has `scope` for `site` (None: for all sites at once)."""
        return ("admin" in self.scopes or scope in self.scopes) and (self.site is None or self.site == site)


TokenLookup = Callable[[bytes], Awaitable[Principal | None]]
"""SHA-256 of a token -> whose it is, or None."""


class Access:
    """Decides about tokens. `lookup` finds the tokens that are kept in the database."""

    def __init__(self, admin_token: Secret | None, lookup: TokenLookup | None = None) -> None:
        self.admin_enabled = admin_token is not None
        self._admin = digest(admin_token.reveal()) if admin_token else None
        self._lookup = lookup

    async def principal(self, authorization: str | None) -> Principal | None:
        """Who an Authorization header speaks for; None without a header. Raises ApiError 401 for a wrong one."""
        if authorization is None:
            return None
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthorized("The Authorization header must be 'Bearer <token>'.")
        hashed = digest(token.strip())
        if self._admin is not None and hmac.compare_digest(hashed, self._admin):
            return Principal("ADMIN_TOKEN", frozenset({"admin"}))
        found = await self._lookup(hashed) if self._lookup else None
        if found is None:
            raise unauthorized("This token is not known, or was revoked.")
        return found

    async def require(self, request: Request, scope: str, site: str | None = None) -> Principal:
        """The principal of `request`, who has `scope` for `site`.

        Raises ApiError: 403 `admin_disabled` where no token can exist, 401 without or with a wrong token,
        403 `forbidden` with too little scope.
        """
        principal = await self.principal(request.headers.get("authorization"))
        if principal is None:
            if not self.admin_enabled and self._lookup is None:
                raise ApiError(403, "admin_disabled", "Set ADMIN_TOKEN to use this.")
            raise unauthorized("This needs a token: 'Authorization: Bearer <token>'.")
        if not principal.may(scope, site):
            raise ApiError(403, "forbidden", f"This token lacks the scope {scope!r} for this site.")
        return principal


def digest(token: str) -> bytes:
    """What is stored of a token: tokens are random and long, so one SHA-256 is enough."""
    return hashlib.sha256(token.encode()).digest()


def unauthorized(message: str) -> ApiError:
    """401 with the challenge that RFC 6750 asks for."""
    return ApiError(401, "unauthorized", message, headers={"WWW-Authenticate": 'Bearer realm="portfolio-analytics"'})
