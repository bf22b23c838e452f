"""Which sites are taken."""

from __future__ import annotations

import pytest

from portfolio_analytics.producer.sites import Sites
from portfolio_analytics.shared.errors import InvalidEvent
from portfolio_analytics.storage.sites import Policy


def policy(name: str, site: str = "", *, deleted: bool = False, paths: tuple[str, ...] = ()) -> Policy:
    return Policy(name, site or name, [], [], list(paths), deleted)


def take(sites: Sites, name: str) -> str:
    site = sites.find(name)
    if site.is_new:
        sites.keep(site)
    return site.name


def refused(sites: Sites, name: str) -> str:
    with pytest.raises(InvalidEvent) as caught:
        sites.find(name)
    assert (caught.value.status, caught.value.field) == (422, "site")
    return caught.value.code


def test_a_new_site_is_taken_up_to_a_number() -> None:
    sites = Sites(None, max_sites=3)
    sites.replace([policy("known.example")])
    assert take(sites, "one.example") == "one.example"
    assert take(sites, "two.example") == "two.example"
    assert take(sites, "one.example") == "one.example"
    assert refused(sites, "three.example") == "unknown_site"
    assert sites.find("known.example").name == "known.example"


def test_a_new_site_counts_once_when_the_database_has_it() -> None:
    sites = Sites(None, max_sites=2)
    take(sites, "one.example")
    sites.replace([policy("one.example")])
    assert take(sites, "two.example") == "two.example"
    sites.replace([policy("one.example")])  # two.example is still on its way
    assert refused(sites, "three.example") == "unknown_site"


def test_a_site_whose_event_was_not_taken_does_not_count() -> None:
    sites = Sites(None, max_sites=1)
    sites.find("invalid.example")
    assert take(sites, "valid.example") == "valid.example"
    assert refused(sites, "invalid.example") == "unknown_site"


def test_a_list_is_all_there_is() -> None:
    sites = Sites(["a.example"], max_sites=50)
    sites.replace([policy("b.example")])
    assert sites.find("A.Example ").name == "a.example"
    assert refused(sites, "b.example") == "unknown_site"
    assert refused(sites, "default") == "unknown_site"


def test_a_former_name_is_the_site() -> None:
    sites = Sites(None, max_sites=1)
    sites.replace([policy("new.example"), policy("old.example", "new.example")])
    assert sites.find("old.example").name == "new.example"
    assert refused(sites, "other.example") == "unknown_site"


def test_a_deleted_site_does_not_come_back() -> None:
    sites = Sites(None, max_sites=50)
    sites.replace([policy("gone.example", deleted=True)])
    assert refused(sites, "gone.example") == "unknown_site"
    sites.replace([])
    take(sites, "going.example")
    sites.replace([policy("going.example", deleted=True)])
    assert refused(sites, "going.example") == "unknown_site"


def test_exclusions_come_with_the_site() -> None:
    sites = Sites(None, max_sites=50)
    sites.replace([policy("a.example", paths=("/admin",)), policy("b.example")])
    exclusions = sites.find("a.example").exclusions
    assert exclusions is not None
    assert exclusions.cover("a.example", "/admin", "", trusted=False)
    assert sites.find("b.example").exclusions is None


@pytest.mark.parametrize("name", ["a b", "a/b", "a?b", "a\nb", "\u202e", " ", "#"])
def test_what_is_no_name_is_422(name: str) -> None:
    assert refused(Sites(None, 50), name) == "invalid_field"
