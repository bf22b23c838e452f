"""Origins: where a visit came from, by its referrer and its page's campaign parameters."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_plus, urlsplit

from portfolio_analytics.consumer.enrich.channel import channel
from portfolio_analytics.consumer.enrich.sources import (
    names_advertisements,
    source_of_host,
    source_of_name,
)

MAX_LENGTH = 255
MAX_REFERRER = 1000
CACHED_ORIGINS = 8192

UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
_SOURCE_PARAMETERS = ("utm_source", "source", "ref")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SCHEMES = ("http", "https", "android-app", "ios-app")


class Origin(NamedTuple):
    """Where a visit came from; each part is '' where there is none.

    `referrer` is host and path, `source` a name for people, `channel` one of channel.py's names.
    """

    referrer: str
    source: str
    channel: str
    utm_source: str
    utm_medium: str
    utm_campaign: str
    utm_term: str
    utm_content: str


Campaign = tuple[str, str, str, str, str, str]
"""The values of utm_source, utm_medium, utm_campaign, utm_term, utm_content, and of ref or source."""

_NO_CAMPAIGN: Campaign = ("", "", "", "", "", "")


def classify(referrer: str | None, page: str, site: str, host: str | None) -> tuple[Origin | None, str]:
    """Where an event came from, and its page without utm_*, ref and source parameters.

    `page` is a path with a query, `site` the site's name, `host` the page's host where it is another.
    A referrer on the site's own host, with or without www., is none. The origin is None where there is
    neither a referrer nor a campaign (the channel Direct).
    """
    path, query, rest = page.partition("?")
    campaign = _NO_CAMPAIGN
    if query:
        campaign, kept = _split_query(rest)
        page = f"{path}?{kept}" if kept else path
    if not referrer and campaign is _NO_CAMPAIGN:
        return None, page
    return _origin((referrer or "")[:MAX_REFERRER], site, host, campaign), page


@lru_cache(maxsize=CACHED_ORIGINS)
def _origin(referrer: str, site: str, host: str | None, campaign: Campaign) -> Origin | None:
    place = referrer_place(referrer)
    referrer_host = ""
    if place is not None:
        referrer_host = place.partition("/")[0]
        if referrer_host in (_bare_host(site), _bare_host(host or "")):
            place, referrer_host = None, ""
    if place is None and campaign == _NO_CAMPAIGN:
        return None
    utm_source, utm_medium, utm_campaign, _, _, named = campaign
    name = utm_source or named
    if name:
        known, source = source_of_name(name), _bare_host(name) if "." in name else name
    else:
        known, source = source_of_host(referrer_host), referrer_host
    kind = known.kind if known else ""
    return Origin(
        place or "",
        known.name if known else source,
        channel(kind, names_advertisements(name), bool(source), utm_medium, utm_campaign),
        *campaign[:5],
    )


def referrer_place(referrer: str) -> str | None:
    """Host (without www. and port) and path of a referrer; None where it names no host."""
    text = referrer.strip()
    if "://" not in text:
        bare = text.removeprefix("//")
        text = f"https://{bare}" if "." in bare.partition("/")[0] else ""
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        return None
    if not host or parts.scheme not in _SCHEMES or any(ch.isspace() for ch in host):
        return None
    return _clean(_bare_host(host) + parts.path.rstrip("/"))


def _bare_host(host: str) -> str:
    return host.lower().partition(":")[0].rstrip(".").removeprefix("www.")


@lru_cache(maxsize=CACHED_ORIGINS)
def _split_query(query: str) -> tuple[Campaign, str]:
    """A query's campaign values, and what is left of the query, in its own order and writing."""
    found: dict[str, str] = {}
    kept = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        name = unquote_plus(name).lower()
        if name.startswith("utm_") or name in _SOURCE_PARAMETERS:
            value = _clean(unquote_plus(value)).strip()
            if value:
                found.setdefault(name, value)
        elif part:
            kept.append(part)
    if not found:
        return _NO_CAMPAIGN, "&".join(kept)
    values = [found.get(name, "") for name in UTM]
    named = found.get("source") or found.get("ref") or ""
    campaign: Campaign = (values[0], values[1], values[2], values[3], values[4], named)
    return campaign if any(campaign) else _NO_CAMPAIGN, "&".join(kept)


def _clean(text: str) -> str:
    """Bounded, without the control characters that percent-encoding can bring: PostgreSQL takes no NUL."""
    return _CONTROLS.sub("", text[:MAX_LENGTH])
