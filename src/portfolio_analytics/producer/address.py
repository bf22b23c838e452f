"""The client's address: where it is read, what country it is in. It goes no further than this process."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import iptocc
import maxminddb
import msgspec

from portfolio_analytics.producer.policy import in_networks
from portfolio_analytics.settings import Network


class Place(msgspec.Struct, frozen=True, gc=False):
    """ISO 3166-1 country, ISO 3166-2 region and the city's English name; None where it is not known."""

    country: str | None = None
    region: str | None = None
    city: str | None = None


NOWHERE = Place()


def peer_address(client: str) -> str:
    """The address of a peer that the server names as `address:port`; IPv4 in IPv6 becomes IPv4."""
    host = client.rpartition(":")[0]
    return plain_address(host.strip("[]")) if ":" in host else host


def client_address(peer: str, forwarded: Sequence[str], trusted: Iterable[Network]) -> str:
    """The client's address behind the proxies in `trusted`.

    `forwarded` are the X-Forwarded-For headers in order. Each proxy appends the peer it saw, so the
    right-most address that is not a trusted proxy is the client; what stands left of it is whatever
    the client wrote.
    """
    address = peer
    for entry in reversed([part for header in forwarded for part in header.split(",")]):
        if not in_networks(address, trusted):
            return address
        hop = _forwarded_address(entry)
        if hop is None:
            return address
        address = hop
    return address


def plain_address(text: str) -> str:
    """An IP address in its usual form, IPv4 in IPv6 as IPv4; anything else as it is."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return text
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


class Places:
    """Finds countries: in the MaxMind file `geoip_db` if there is one, else in iptocc's own data."""

    def __init__(self, geoip_db: Path | None) -> None:
        self._reader = maxminddb.open_database(geoip_db) if geoip_db else None

    def of(self, address: str) -> Place:
        """Where an address is."""
        if self._reader is None:
            country = iptocc.country_code(address)
            return NOWHERE if country is None else Place(country)
        try:
            found = self._reader.get(address)
        except ValueError:
            return NOWHERE
        return _place(found) if isinstance(found, dict) else NOWHERE

    def close(self) -> None:
        """Let go of the file."""
        if self._reader is not None:
            self._reader.close()


def _place(found: dict[str, Any]) -> Place:
    country = _text(found.get("country"), "iso_code") or _text(found.get("registered_country"), "iso_code")
    divisions = found.get("subdivisions")
    division = _text(divisions[0], "iso_code") if isinstance(divisions, list) and divisions else None
    city = found.get("city")
    return Place(
        country,
        f"{country}-{division}" if country and division else None,
        _text(city.get("names"), "en") if isinstance(city, dict) else None,
    )


def _text(record: object, key: str) -> str | None:
    value = record.get(key) if isinstance(record, dict) else None
    return value if isinstance(value, str) and value else None


def _forwarded_address(entry: str) -> str | None:
    """One entry of X-Forwarded-For: an address, some proxies add a port."""
    text = entry.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return None
    return plain_address(text)
