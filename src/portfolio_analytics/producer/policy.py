"""What is valid and not recorded: bots, refused consent, signals not to track, what a site excludes."""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from portfolio_analytics.producer.bots import is_automation, is_crawler
from portfolio_analytics.settings import Network

REASONS = ("bot", "automation", "consent", "gpc", "dnt", "excluded")
"""Why an event is ignored; each is a counter."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The installation's choices."""

    consent_required: bool
    block_automation: bool

    def signal(self, sec_gpc: str | None, dnt: str | None) -> str | None:
        """The reason to ignore a whole request: Global Privacy Control or Do Not Track."""
        if sec_gpc == "1":
            return "gpc"
        return "dnt" if dnt == "1" else None

    def consent(self, consent: str | None) -> str | None:
        """The reason to ignore an event with this `consent` field."""
        if consent == "denied" or (self.consent_required and consent != "granted"):
            return "consent"
        return None

    def agent(self, user_agent: str) -> str | None:
        """The reason to ignore what this user agent sends."""
        if not user_agent:
            return None
        if is_crawler(user_agent):
            return "bot"
        return "automation" if self.block_automation and is_automation(user_agent) else None


class Exclusions:
    """What one site does not take: addresses, paths, and pages of hosts that are not its own."""

    def __init__(self, hosts: Iterable[str], addresses: Iterable[str], paths: Iterable[str]) -> None:
        self._hosts = frozenset(hosts)
        self._networks: tuple[Network, ...] = tuple(
            ipaddress.ip_network(address, strict=False) for address in addresses
        )
        patterns = [fnmatch.translate(re.sub(r"([\[?])", r"[\1]", path)) for path in paths]
        self._paths = re.compile("|".join(patterns)) if patterns else None

    def cover(self, host: str | None, page: str, address: str, trusted: bool) -> bool:
        """Whether a page (path and query) at `host` seen from `address` is excluded.

        `trusted`: sent with a token, by a server that has no host of its own.
        """
        if self._hosts and host not in self._hosts and not (trusted and host is None):
            return True
        if self._paths is not None and self._paths.match(page.partition("?")[0]):
            return True
        return bool(self._networks) and in_networks(address, self._networks)


def in_networks(address: str, networks: Iterable[Network]) -> bool:
    """Whether an address is in one of the networks; what is no address is in none."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
