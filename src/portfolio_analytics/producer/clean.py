"""What is cut from an event before it is stored.

* Queries and fragments go from page, referrer and target, except utm_*, ref, source and an allow-list;
  user names and passwords go from addresses; a target of another scheme than http keeps its scheme alone.
* What is kept is kept exactly: no percent-decoding, no `..` resolved, no Unicode folded.
* A page, referrer or link holds at most 2,000 bytes of UTF-8, cut at a whole character: an index of
  PostgreSQL takes no entry above 2,704 bytes. Text that only describes is cut at a number of characters.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

MAX_PAGE_BYTES = 2_000
MAX_HOST_CHARS = 253
MAX_TITLE_CHARS = 500
MAX_TEXT_CHARS = 200
MAX_USER_AGENT_CHARS = 512

KEPT_PARAMETERS = frozenset({"ref", "source"})

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_WEB_SCHEMES = frozenset({"http", "https"})


def clean_page(page: str, allowed: Collection[str]) -> tuple[str | None, str]:
    """A page's host, where it is an absolute address, and its path with the kept part of its query.

    `allowed` holds further names of query parameters to keep, in lower case.
    """
    if page[0] == "/":
        if "?" not in page and "#" not in page:
            return None, cut_bytes(page, MAX_PAGE_BYTES)
        return None, clean_path(page, allowed)
    head, separator, rest = page.partition("://")
    if not separator or not _SCHEME.fullmatch(f"{head}:"):
        return None, clean_path(page, allowed)
    host, path = split_authority(rest)
    return host or None, clean_path(path, allowed)


def clean_path(path: str, allowed: Collection[str]) -> str:
    """A path with the kept part of its query; `/` when nothing is left."""
    path, _, _ = path.partition("#")
    path, _, query = path.partition("?")
    kept = keep_query(query, allowed) if query else ""
    return cut_bytes(f"{path or '/'}?{kept}" if kept else path or "/", MAX_PAGE_BYTES)


def keep_query(query: str, allowed: Collection[str]) -> str:
    """The pairs of a query string whose names are kept, as they were written and in their order."""
    return "&".join(pair for pair in query.split("&") if _is_kept(pair.partition("=")[0].lower(), allowed))


def clean_referrer(referrer: str, allowed: Collection[str]) -> str | None:
    """Where a visitor came from: scheme, host, path, kept query; None when it says nothing."""
    head, separator, rest = referrer.strip().partition("://")
    if not separator or not _SCHEME.fullmatch(f"{head}:"):
        return None
    host, path = split_authority(rest)
    if not host:
        return None
    return cut_bytes(f"{head.lower()}://{host}{clean_path(path, allowed)}", MAX_PAGE_BYTES)


def clean_link(href: str, allowed: Collection[str]) -> str | None:
    """Where a link leads: an address as of a referrer, a path as of a page, or a scheme alone (`mailto:`)."""
    href = href.strip()
    scheme = _SCHEME.match(href)
    if scheme is None:
        return clean_path(href, allowed) if href.split("#")[0] else None
    if scheme[1].lower() not in _WEB_SCHEMES:
        return f"{scheme[1].lower()[:MAX_TEXT_CHARS]}:"
    return clean_referrer(href, allowed)


def split_authority(rest: str) -> tuple[str, str]:
    """What follows `://`: the host in lower case, without user, password and port, and path plus query."""
    end = len(rest)
    for mark in "/?#\\":
        found = rest.find(mark, 0, end)
        if found >= 0:
            end = found
    host = rest[:end].rpartition("@")[2].lower()
    host = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0].rstrip(".")
    return host[:MAX_HOST_CHARS], rest[end:]


@lru_cache(maxsize=1024)
def origin_host(origin: str | None) -> str | None:
    """The host that a page's Origin header names; None for `null` and for what is no page of the web."""
    scheme, _, rest = (origin or "").partition("://")
    return split_authority(rest)[0] or None if scheme.lower() in _WEB_SCHEMES else None


def cut_bytes(text: str, limit: int) -> str:
    """`text` if it has at most `limit` bytes of UTF-8, else as many whole characters as have."""
    if len(text) * 4 <= limit:
        return text
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    return encoded[:limit].decode("utf-8", "ignore")


def cut_text(value: object, limit: int) -> str | None:
    """At most `limit` characters of a text; None when it is empty or no text."""
    return value[:limit] if isinstance(value, str) and value else None


def _is_kept(name: str, allowed: Collection[str]) -> bool:
    return name.startswith("utm_") or name in KEPT_PARAMETERS or name in allowed
