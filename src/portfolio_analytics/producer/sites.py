"""The sites that intake takes events for: a snapshot, so that no request waits for the database."""

from __future__ import annotations

from collections.abc import Iterable

from portfolio_analytics.producer.policy import Exclusions
from portfolio_analytics.shared.errors import InvalidEvent, InvalidValue
from portfolio_analytics.storage.sites import Policy as SitePolicy
from portfolio_analytics.storage.sites import clean_name

DEFAULT_SITE = "default"


class KnownSite:
    """A site's name, what it excludes, if anything, and whether its first event is yet to come."""

    __slots__ = ("exclusions", "is_new", "name")

    def __init__(self, name: str, exclusions: Exclusions | None = None, is_new: bool = False) -> None:
        self.name = name
        self.exclusions = exclusions
        self.is_new = is_new


class Sites:
    """Decides whether there is a site of a name.

    `listed` (SITES) is all there is, when it is given. Else a new name is a new site, which the consumer
    makes, while there are fewer than `max_sites`. Several producers count for themselves between two
    refreshes, so that together they may overshoot by a few.
    """

    def __init__(self, listed: Iterable[str] | None, max_sites: int) -> None:
        self._listed = frozenset(listed) if listed is not None else None
        self._max_sites = max_sites
        self._known: dict[str, KnownSite] = {}
        self._fresh: dict[str, KnownSite] = {}
        self._deleted: frozenset[str] = frozenset()
        self._count = 0

    def find(self, name: str) -> KnownSite:
        """The site of that name or former name. Raises InvalidEvent 422 `unknown_site`."""
        return self._known.get(name) or self._fresh.get(name) or self._find_slowly(name)

    def keep(self, site: KnownSite) -> None:
        """A new site's first event is on its way: from now on the site counts."""
        site.is_new = False
        self._fresh[site.name] = site

    def replace(self, policies: Iterable[SitePolicy]) -> None:
        """Take over what the database holds."""
        known: dict[str, KnownSite] = {}
        deleted = set()
        names = set()
        for policy in policies:
            if policy.deleted:
                deleted.add(policy.name)
                continue
            names.add(policy.site)
            excludes = policy.host_names or policy.excluded_addresses or policy.excluded_paths
            exclusions = (
                Exclusions(policy.host_names, policy.excluded_addresses, policy.excluded_paths)
                if excludes
                else None
            )
            if self._listed is None or policy.name in self._listed or policy.site in self._listed:
                known[policy.name] = KnownSite(policy.site, exclusions)
        self._known = known
        self._deleted = frozenset(deleted)
        self._count = len(names)
        # A site whose first event is still under way to the consumer.
        self._fresh = {
            name: site for name, site in self._fresh.items() if name not in known and name not in deleted
        }

    def _find_slowly(self, given: str) -> KnownSite:
        try:
            name = clean_name(given)
        except InvalidValue:
            raise InvalidEvent(
                "invalid_field", "A site is a host name such as example.com.", "site"
            ) from None
        site = self._known.get(name) or self._fresh.get(name)
        if site is not None:
            return site
        if name in self._deleted:
            raise InvalidEvent("unknown_site", f"The site {name!r} was deleted.", "site")
        if self._listed is not None:
            if name not in self._listed:
                raise InvalidEvent("unknown_site", f"The site {name!r} is not one of SITES.", "site")
        elif self._count + len(self._fresh) >= self._max_sites:
            raise InvalidEvent(
                "unknown_site", f"There is no site {name!r}, and MAX_SITES allows no more.", "site"
            )
        return KnownSite(name, is_new=True)
