"""Who may do what: tokens, sessions of browsers, public links; scopes and sites.

Scopes: `ingest` (send events past the public limits), `import` (send visitors, countries and old times),
`read` (statistics), `admin` (everything). A token is for one site or for all.

A request speaks for the first of these that it carries:

1. `Authorization: Bearer <token>`;
2. `?share=<public link>`, which reads one site;
3. the session cookie, which no other site's page can use: SameSite=Strict, and for what is not a GET the
   browser must say that the request comes from our own page.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from starlette.requests import Request

from portfolio_analytics.settings import Secret
from portfolio_analytics.shared.errors import StorageUnavailable
from portfolio_analytics.shared.http import ApiError
from portfolio_analytics.shared.ratelimit import KeyMaker, Limiter
from portfolio_analytics.shared.wrong_tokens import WrongTokens

T = TypeVar("T")

SCOPES = ("ingest", "import", "read", "admin")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_CREDENTIAL = 512  # characters; nothing that we hand out is nearly as long
MAX_DELAYED = 200  # refusals that wait at the same time; past that they are 429 at once


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `site` is None for all sites; `token_id` is that of a token in the database."""

    name: str
    scopes: frozenset[str]
    site: str | None = None
    token_id: int | None = None

    def may(self, scope: str, site: str | None) -> bool:
        """Whether this principal has `scope` for `site` (None: for all sites at once)."""
        return ("admin" in self.scopes or scope in self.scopes) and (self.site is None or self.site == site)


ADMINISTRATOR = Principal("ADMIN_TOKEN", frozenset({"admin"}))


class Directory(Protocol):
    """What is kept of tokens, sessions and links. Every method may raise StorageUnavailable."""

    async def token(self, hashed: bytes, fresh: bool) -> Principal | None:
        """Whose token has this SHA-256. Unless `fresh`, a recent answer will do."""

    async def session(self, session: str, admin_digest: bytes | None) -> Principal | None:
        """Whose session it is."""

    async def link(self, hashed: bytes) -> Principal | None:
        """The reader of one site that a public link with this SHA-256 makes."""

    async def any_token(self) -> bool:
        """Whether there is a token in use."""


class Access:
    """Decides who may. `directory` knows the tokens that are kept in the database.

    `limiter` bounds the requests that one principal makes through `require`; None for no bound.
    """

    def __init__(
        self,
        admin_token: Secret | None,
        directory: Directory | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        self.admin_enabled = admin_token is not None
        self.admin_digest = digest(admin_token.reveal()) if admin_token else None
        self._directory = directory
        self._limiter = limiter
        self._keys = KeyMaker()
        self._wrong = WrongTokens()
        self._delayed = 0

    async def principal(self, authorization: str | None, fresh: bool = False) -> Principal | None:
        """Who an Authorization header speaks for; None without a header. Raises ApiError 401 for a wrong one.

        Unless `fresh`, a token that was good a few seconds ago is: intake does not wait for the database.
        """
        if authorization is None:
            return None
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise unauthorized("The Authorization header must be 'Bearer <token>'.")
        return await self._bearer(token, fresh)

    async def _bearer(self, token: str, fresh: bool) -> Principal:
        hashed = digest(token)
        if self.admin_digest is not None and hmac.compare_digest(hashed, self.admin_digest):
            return ADMINISTRATOR
        found = None
        if self._directory and len(token) <= MAX_CREDENTIAL:
            try:
                found = await self._directory.token(hashed, fresh)
            except StorageUnavailable as error:
                raise unavailable() from error
        if found is None:
            raise unauthorized("This token is not known, or was revoked.")
        return found

    async def identify(self, request: Request) -> Principal | None:
        """Who `request` speaks for; None when it carries nothing, or a session that is over.

        Raises ApiError: 401 for a wrong token or link, after a delay that grows with their number; 403
        `cross_site` when a cookie comes with a request that is not from our own page.
        """
        authorization = request.headers.get("authorization")
        share = request.query_params.get("share")
        if authorization is not None:
            return await self.slowly(request, self.principal(authorization, fresh=True))
        if share is not None:
            return await self.slowly(request, self._linked(share))
        return await self._signed_in(request)

    async def sign_in(self, request: Request, token: str) -> Principal:
        """Whose token a person typed. Raises ApiError as `identify` does."""
        return await self.slowly(request, self._bearer(token, fresh=True))

    async def known(self, request: Request) -> Principal:
        """The principal of `request`, whoever it is.

        Raises ApiError: 403 `admin_disabled` where no token can be right, 401 without or with a wrong one,
        429 `rate_limited`, 503 while the database is away.
        """
        try:
            principal = await self.identify(request)
        except ApiError as error:
            if error.status == 401 and await self._disabled():
                raise disabled() from error
            raise
        if principal is None:
            if not self.admin_enabled:
                raise disabled()
            raise unauthorized("This needs a token: 'Authorization: Bearer <token>'.")
        self._limit(request, principal)
        return principal

    async def require(self, request: Request, scope: str, site: str | None = None) -> Principal:
        """The principal of `request`, who has `scope` for `site` (None: for all sites).

        Raises ApiError: 403 `forbidden` with too little scope, and as `known` does.
        """
        principal = await self.known(request)
        check_may(principal, scope, site)
        return principal

    async def _linked(self, share: str) -> Principal:
        found = None
        if self._directory and len(share) <= MAX_CREDENTIAL:
            try:
                found = await self._directory.link(digest(share))
            except StorageUnavailable as error:
                raise unavailable() from error
        if found is None:
            raise unauthorized("This link is not known, or was revoked.")
        return found

    async def _signed_in(self, request: Request) -> Principal | None:
        session = request.cookies.get(cookie_name(request))
        if not session or not self._directory or len(session) > MAX_CREDENTIAL:
            return None
        try:
            found = await self._directory.session(session, self.admin_digest)
        except StorageUnavailable as error:
            raise unavailable() from error
        if found is not None and request.method not in SAFE_METHODS:
            check_same_origin(request)
        return found

    async def _disabled(self) -> bool:
        """Whether no token at all can be right: none is set, and none is kept."""
        if self.admin_enabled:
            return False
        try:
            return self._directory is None or not await self._directory.any_token()
        except StorageUnavailable:
            return False

    def _limit(self, request: Request, principal: Principal) -> None:
        if self._limiter is None:
            return
        if principal.token_id is None and principal is not ADMINISTRATOR:
            key = self._keys.of_address(client_address(request))  # a public link is shared by strangers
        else:
            key = self._keys.of(principal.name.encode())
        now = time.monotonic()
        wait = self._limiter.allow(key, now)
        if wait is not None:
            raise self._limiter.refusal(key, now, wait)
        request.state.rate_limit = self._limiter.headers(key, now)

    async def slowly(self, request: Request, check: Awaitable[T]) -> T:
        """What `check` finds at once; a 401 after the delay that its client has earned."""
        try:
            return await check
        except ApiError as error:
            if error.status == 401:
                await self._delay(request)
            raise

    async def _delay(self, request: Request) -> None:
        seconds = self._wrong.count(self._keys.of_address(client_address(request)), time.monotonic())
        if not seconds:
            return
        if self._delayed >= MAX_DELAYED:
            raise ApiError(429, "rate_limited", "Too many wrong tokens.", headers={"Retry-After": "1"})
        self._delayed += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._delayed -= 1


def check_may(principal: Principal, scope: str, site: str | None) -> None:
    """Raises ApiError 403 `forbidden` unless the principal has `scope` for `site`."""
    if not principal.may(scope, site):
        raise ApiError(403, "forbidden", f"This token lacks the scope {scope!r} for this site.")


def digest(token: str) -> bytes:
    """What is stored of a token: tokens are random and long, so one SHA-256 is enough."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def client_address(request: Request) -> str:
    """The client's address as the server settled it, trusted proxies included; empty when it does not say."""
    return request.client.host if request.client else ""


def check_same_origin(request: Request) -> None:
    """Raises ApiError 403 `cross_site` unless the browser says that our own page sends this request.

    Sec-Fetch-Site says so, which no page can forge; where it is missing (plain HTTP, an old browser), Origin
    must name the host that was asked. A request with neither is refused: programs use tokens.
    """
    fetched_from = request.headers.get("sec-fetch-site")
    if fetched_from is not None:
        same = fetched_from == "same-origin"
    else:
        origin = request.headers.get("origin", "")
        same = bool(origin) and urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    if not same:
        raise ApiError(403, "cross_site", "A signed-in browser may do this from the dashboard alone.")


def cookie_name(request: Request) -> str:
    """What the session cookie is called: `__Host-` binds it to this host and to HTTPS."""
    return "portfolio_session" if on_plain_loopback(request) else "__Host-portfolio_session"


def on_plain_loopback(request: Request) -> bool:
    """Whether the browser talks plain HTTP to its own machine.

    There alone the cookie goes without `Secure`: Chromium would keep a Secure one, not every browser does.
    """
    forwarded = request.headers.get("x-forwarded-proto", "http")
    return request.url.scheme == forwarded == "http" and _is_loopback(request.url.hostname or "")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def unauthorized(message: str) -> ApiError:
    """401 with the challenge that RFC 6750 asks for."""
    challenge = 'Bearer realm="portfolio-analytics"'
    return ApiError(401, "unauthorized", message, headers={"WWW-Authenticate": challenge})


def disabled() -> ApiError:
    """403 where nobody can be let in."""
    return ApiError(403, "admin_disabled", "Set ADMIN_TOKEN, or make a token with 'tokens create'.")


def unavailable() -> ApiError:
    """503 while nobody can tell whose token it is."""
    message = "The database is away; try again."
    return ApiError(503, "storage_unavailable", message, headers={"Retry-After": "5"})
