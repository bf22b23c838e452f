"""Which origins a browser lets read the answers. Posting is not decided here: SITES decides what is taken."""

from __future__ import annotations

from collections.abc import Iterable

from portfolio_analytics.shared.rsgi import HeaderList

SECURITY_HEADERS = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
]
"""On every answer but those of intake, which only `nosniff` concerns: they are never shown as a page.

A page brings a policy of its own; what is no page may load nothing, should a browser show it.
"""

_VARY = ("vary", "Origin")
_NOSNIFF = ("x-content-type-options", "nosniff")
_JSON = ("content-type", "application/json")
# A tracker on another origin obeys Retry-After, which browsers hide from it unless told otherwise.
_EXPOSE = ("access-control-expose-headers", "Retry-After")
_ANY = [("access-control-allow-origin", "*"), _EXPOSE]


class Cors:
    """Makes headers for an allow-list of origins; `*` allows all. The lists that it returns are shared."""

    def __init__(self, allowed: Iterable[str]) -> None:
        origins = set(allowed)
        self._any = "*" in origins
        self._grants: dict[str, HeaderList] = {
            origin: [("access-control-allow-origin", origin), _EXPOSE] for origin in origins - {"*"}
        }
        self._json_any: HeaderList = [_JSON, _NOSNIFF, _VARY, *_ANY]
        self._json_none: HeaderList = [_JSON, _NOSNIFF, _VARY]
        self._json = {origin: [_JSON, _NOSNIFF, _VARY, *grant] for origin, grant in self._grants.items()}

    def json(self, origin: str | None) -> HeaderList:
        """The headers of a JSON answer to a request from `origin`."""
        if self._any:
            return self._json_any
        return self._json.get(origin, self._json_none) if origin is not None else self._json_none

    def grant(self, origin: str | None) -> HeaderList:
        """The headers that let `origin` read an answer, and `Vary`."""
        granted = _ANY if self._any else self._grants.get(origin or "", [])
        return [_VARY, *granted]

    def preflight(self, origin: str | None, methods: str) -> HeaderList:
        """The headers of the answer to a preflight."""
        granted = self.grant(origin)
        if len(granted) == 1:
            return granted
        return [
            *granted,
            ("access-control-allow-methods", methods),
            ("access-control-allow-headers", "Authorization, Content-Encoding, Content-Type"),
            ("access-control-max-age", "86400"),
        ]
