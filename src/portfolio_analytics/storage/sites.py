"""Sites: what they are called, what they take, and how they end.

Functions return steps: carry them out with `steps.run` or `steps.run_async`.

A record in the log names its site, so a name outlives what happens to the site:

* renamed: the old name stays an alias, under which records and unchanged pages still count;
* reset: the rows go, and records accepted before `counts_from` are no longer taken. The site gets another
  site_id, so that nothing a consumer remembers of the old one (dictionaries) is taken for the new;
* deleted: the rows and settings go, the row with its name and `deleted_at` stays, so that a backlog or a
  replay does not bring the site back. Adding the name again revives it, as empty as a reset one.

A consumer's transaction runs LOCK_FOR_RECORDS before it touches a site's rows. It waits for a reset or
delete under way, makes those wait for it, and reads the state that holds until its commit. A site_id that
is missing then was reset meanwhile: the batch has to find its sites anew.
"""

from __future__ import annotations

import datetime
import ipaddress
import zoneinfo
from typing import Any, LiteralString

import msgspec

from portfolio_analytics.shared.errors import InvalidValue, NameTaken, UnknownName
from portfolio_analytics.storage import audit
from portfolio_analytics.storage.steps import Query, Row, Steps

LOCK_FOR_RECORDS: LiteralString = """
    SELECT site_id, name, time_zone, counts_from, deleted_at
    FROM sites WHERE site_id = ANY(%(site_ids)s) ORDER BY site_id FOR SHARE"""
"""What a consumer's transaction runs before it touches a site's rows."""

EMPTY: tuple[LiteralString, ...] = (
    "DELETE FROM events WHERE site_id = %(site_id)s",
    "DELETE FROM visits WHERE site_id = %(site_id)s",
    "DELETE FROM visitors WHERE site_id = %(site_id)s",
    "DELETE FROM pages WHERE site_id = %(site_id)s",
    "DELETE FROM origins WHERE site_id = %(site_id)s",
    "DELETE FROM clients WHERE site_id = %(site_id)s",
    "DELETE FROM rollups WHERE site_id = %(site_id)s",
    "DELETE FROM rollup_months WHERE site_id = %(site_id)s",
    "DELETE FROM closed_months WHERE site_id = %(site_id)s",
    "DELETE FROM event_totals WHERE site_id = %(site_id)s",
    "DELETE FROM bad_rows WHERE site = ANY(%(names)s)",
)
"""What a reset takes away. `suppressions` stay: what was erased stays erased."""

REMOVE: tuple[LiteralString, ...] = (
    "DELETE FROM goals WHERE site_id = %(site_id)s",
    "DELETE FROM funnels WHERE site_id = %(site_id)s",
    "DELETE FROM public_links WHERE site_id = %(site_id)s",
    "UPDATE tokens SET revoked_at = now() WHERE site_id = %(site_id)s AND revoked_at IS NULL",
)
"""What a delete takes away besides. The former names stay, as the name does."""

MAX_ENTRIES = 200
MAX_PATTERN = 500

_SITES = """
    SELECT s.site_id, s.name, s.time_zone, s.host_names, s.excluded_addresses, s.excluded_paths, s.created_at,
        s.rebuild_wanted_at IS NOT NULL AS rebuild_wanted,
        ARRAY(SELECT a.name FROM site_aliases a WHERE a.site_id = s.site_id ORDER BY a.name) AS aliases
    FROM sites s
    WHERE s.deleted_at IS NULL AND (
        %(name)s::text IS NULL OR s.name = %(name)s
        OR s.site_id = (SELECT site_id FROM site_aliases WHERE name = %(name)s))
    ORDER BY s.name"""

_LOCK = "SELECT 1 AS locked FROM sites WHERE site_id = %(site_id)s FOR UPDATE"

_TAKEN = """
    SELECT s.name, s.deleted_at FROM sites s WHERE s.name = %(name)s
    UNION ALL
    SELECT s.name, NULL FROM site_aliases a JOIN sites s USING (site_id) WHERE a.name = %(name)s"""

_ADD = """
    INSERT INTO sites (name, time_zone) VALUES (%(name)s, %(time_zone)s)
    ON CONFLICT (name) DO NOTHING RETURNING site_id"""
_DELETED = "SELECT site_id FROM sites WHERE name = %(name)s AND deleted_at IS NOT NULL FOR UPDATE"
_REVIVE = """
    UPDATE sites SET deleted_at = NULL, created_at = now(), time_zone = %(time_zone)s
    WHERE site_id = %(site_id)s"""

_RENAME = "UPDATE sites SET name = %(new)s WHERE site_id = %(site_id)s"
_KEEP_OLD_NAME = "INSERT INTO site_aliases (name, site_id) VALUES (%(old)s, %(site_id)s)"
_DROP_ALIAS = "DELETE FROM site_aliases WHERE name = %(name)s AND site_id = %(site_id)s"

_CHANGE = """
    UPDATE sites SET
        time_zone = coalesce(%(time_zone)s, time_zone),
        host_names = coalesce(%(host_names)s::text[], host_names),
        excluded_addresses = coalesce(%(excluded_addresses)s::text[], excluded_addresses),
        excluded_paths = coalesce(%(excluded_paths)s::text[], excluded_paths),
        rebuild_wanted_at = CASE
            WHEN %(time_zone)s <> time_zone
                 AND EXISTS (SELECT FROM event_totals t WHERE t.site_id = sites.site_id)
            THEN now() ELSE rebuild_wanted_at END
    WHERE site_id = %(site_id)s"""

_KNOWN_ZONE = "SELECT 1 AS known FROM pg_timezone_names WHERE name = %(time_zone)s"
_REBUILT = "UPDATE sites SET rebuild_wanted_at = NULL WHERE name = %(name)s"

_RENUMBER = """
    UPDATE sites SET site_id = DEFAULT, counts_from = now(), rebuild_wanted_at = NULL
    WHERE site_id = %(site_id)s RETURNING site_id"""
_MOVE: tuple[LiteralString, ...] = (
    "UPDATE suppressions SET site_id = %(new_id)s WHERE site_id = %(site_id)s",
    "UPDATE audit_log SET site_id = %(new_id)s WHERE site_id = %(site_id)s",
)
_DELETE = """
    UPDATE sites SET deleted_at = now(), counts_from = now(), rebuild_wanted_at = NULL,
        time_zone = 'UTC', host_names = '{}', excluded_addresses = '{}', excluded_paths = '{}'
    WHERE site_id = %(site_id)s"""

_POLICIES = """
    SELECT n.name, s.name AS site, s.host_names, s.excluded_addresses, s.excluded_paths,
        s.deleted_at IS NOT NULL AS deleted
    FROM sites s
    CROSS JOIN LATERAL (
        SELECT s.name UNION ALL SELECT a.name FROM site_aliases a WHERE a.site_id = s.site_id) n"""


class Site(msgspec.Struct, frozen=True):
    """One site as its administrators see it."""

    name: str
    time_zone: str
    host_names: list[str]
    excluded_addresses: list[str]
    excluded_paths: list[str]
    aliases: list[str]
    created_at: datetime.datetime
    rebuild_wanted: bool


class SiteChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to set; None leaves a setting as it is, an empty list clears it."""

    time_zone: str | None = None
    host_names: list[str] | None = None
    excluded_addresses: list[str] | None = None
    excluded_paths: list[str] | None = None


class Policy(msgspec.Struct, frozen=True):
    """What intake must know of one name: whose it is, what it takes, whether the site was deleted."""

    name: str
    site: str
    host_names: list[str]
    excluded_addresses: list[str]
    excluded_paths: list[str]
    deleted: bool


def list_all() -> Steps[list[Site]]:
    """All sites by name, without the deleted ones."""
    rows = yield Query(_SITES, {"name": None})
    return [_site(row) for row in rows]


def find(name: str) -> Steps[Site]:
    """The site of that name or former name. Raises UnknownName."""
    row = yield from _row(name)
    return _site(row)


def add(name: str, time_zone: str, actor: str) -> Steps[Site]:
    """A new site, or a deleted one again, empty. Raises InvalidValue, NameTaken."""
    name = clean_name(name)
    yield from _check_zone(time_zone)
    yield from _check_free(name)
    deleted = yield Query(_DELETED, {"name": name})
    if deleted:
        site_id = yield from _renumber(deleted[0]["site_id"])
        yield Query(_REVIVE, {"site_id": site_id, "time_zone": time_zone})
    else:
        rows = yield Query(_ADD, {"name": name, "time_zone": time_zone})
        if not rows:
            raise _taken(name)
        site_id = rows[0]["site_id"]
    yield from audit.record(actor, "site.add", site_id, name, time_zone=time_zone)
    return (yield from find(name))


def rename(name: str, new_name: str, actor: str) -> Steps[Site]:
    """Call a site differently; the old name goes on counting for it.

    Raises UnknownName, InvalidValue, NameTaken.
    """
    new_name = clean_name(new_name)
    row = yield from _locked(name)
    site_id, old = row["site_id"], row["name"]
    if new_name != old:
        if new_name in row["aliases"]:
            yield Query(_DROP_ALIAS, {"name": new_name, "site_id": site_id})
        yield from _check_free(new_name, or_deleted=True)
        yield Query(_RENAME, {"new": new_name, "site_id": site_id})
        yield Query(_KEEP_OLD_NAME, {"old": old, "site_id": site_id})
        yield from audit.record(actor, "site.rename", site_id, new_name, before=old)
    return (yield from find(new_name))


def change(name: str, wanted: SiteChange, actor: str) -> Steps[Site]:
    """Change settings. Another time zone marks the site for `rebuild`. Raises UnknownName, InvalidValue."""
    row = yield from _locked(name)
    if wanted.time_zone is not None:
        yield from _check_zone(wanted.time_zone)
    yield Query(_CHANGE, {**_checked(wanted), "site_id": row["site_id"]})
    yield from audit.record(actor, "site.set", row["site_id"], row["name"], **_told(wanted))
    return (yield from find(name))


def rebuilt(name: str) -> Steps[None]:
    """Note that the rollups of a site stand in its time zone again."""
    yield Query(_REBUILT, {"name": name})


def reset(name: str, actor: str) -> Steps[Site]:
    """Forget all that was counted for a site, records in flight included. Raises UnknownName."""
    row = yield from _locked(name)
    site_id = yield from _renumber(row["site_id"])
    yield from _take_away(EMPTY, row)
    yield from audit.record(actor, "site.reset", site_id, row["name"])
    return (yield from find(name))


def delete(name: str, actor: str) -> Steps[None]:
    """End a site: rows, settings, goals, funnels and links go, its tokens are revoked. Raises UnknownName."""
    row = yield from _locked(name)
    site_id = row["site_id"]
    yield Query(_DELETE, {"site_id": site_id})
    yield from _take_away(EMPTY + REMOVE, row)
    yield from audit.record(actor, "site.delete", site_id, row["name"])


def policies() -> Steps[list[Policy]]:
    """What intake must know, for every name and former name."""
    rows = yield Query(_POLICIES)
    return [Policy(**row) for row in rows]


def site_id_of(name: str) -> Steps[int]:
    """The number of the site of that name or former name. Raises UnknownName."""
    row = yield from _row(name)
    return int(row["site_id"])


def clean_name(value: str) -> str:
    """A site's name as it is kept: lower case, no spaces around. Raises InvalidValue."""
    name = value.strip().lower()
    if (
        not 0 < len(name) <= 253
        or not name.isprintable()
        or any(ch.isspace() or ch in "/?#*," for ch in name)
    ):
        raise InvalidValue("invalid_name", "A site's name is a host name such as example.com.", "name")
    return name


def _row(name: str) -> Steps[Row]:
    rows = yield Query(_SITES, {"name": name.strip().lower()})
    if not rows:
        raise UnknownName("unknown_site", f"There is no site {name!r}.", "site")
    return rows[0]


def _locked(name: str) -> Steps[Row]:
    """The site's row as it is once no consumer and no other act is at work on it."""
    row = yield from _row(name)
    yield Query(_LOCK, {"site_id": row["site_id"]})
    return (yield from _row(name))


def _site(row: Row) -> Site:
    return Site(**{field: row[field] for field in Site.__struct_fields__})


def _check_free(name: str, or_deleted: bool = False) -> Steps[None]:
    """Raises NameTaken; a deleted site's name is taken only when `or_deleted`."""
    rows = yield Query(_TAKEN, {"name": name})
    for row in rows:
        if row["name"] != name:
            raise NameTaken("site_exists", f"{name!r} is a former name of {row['name']!r}.", "name")
        if row["deleted_at"] is None:
            raise _taken(name)
        if or_deleted:
            raise NameTaken("site_exists", f"{name!r} was the name of a site that is deleted.", "name")


def _check_zone(time_zone: str) -> Steps[None]:
    """Raises InvalidValue unless Python and PostgreSQL both know the zone by this name."""
    rows: list[Row] = []
    if _is_zone(time_zone):
        rows = yield Query(_KNOWN_ZONE, {"time_zone": time_zone})
    if not rows:
        message = f"{time_zone!r} is not a time zone such as Europe/Berlin."
        raise InvalidValue("invalid_time_zone", message, "time_zone")


def _renumber(site_id: int) -> Steps[int]:
    """Give a site another number, from now on; what belongs to the site and not to its rows follows."""
    rows = yield Query(_RENUMBER, {"site_id": site_id})
    new_id = int(rows[0]["site_id"])
    for statement in _MOVE:
        yield Query(statement, {"site_id": site_id, "new_id": new_id})
    return new_id


def _taken(name: str) -> NameTaken:
    return NameTaken("site_exists", f"There is a site {name!r} already.", "name")


def _is_zone(name: str) -> bool:
    if "\0" in name:
        return False
    try:
        zoneinfo.ZoneInfo(name)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return True


def _checked(wanted: SiteChange) -> dict[str, Any]:
    """The parameters of _CHANGE. Raises InvalidValue."""
    return {
        "time_zone": wanted.time_zone,
        "host_names": _each(wanted.host_names, "host_names", clean_name),
        "excluded_addresses": _each(wanted.excluded_addresses, "excluded_addresses", _network),
        "excluded_paths": _each(wanted.excluded_paths, "excluded_paths", _path),
    }


def _each(values: list[str] | None, field: str, check: Any) -> list[str] | None:
    if values is None:
        return None
    if len(values) > MAX_ENTRIES:
        raise InvalidValue("too_many", f"{field} takes at most {MAX_ENTRIES} entries.", field)
    try:
        return [check(value) for value in values]
    except InvalidValue as error:
        raise InvalidValue(error.code, error.message, field) from None


def _network(value: str) -> str:
    """The network as it was written, once it can be read as one."""
    text = value.strip()
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        message = "An excluded address is an address or network such as 192.0.2.0/24."
        raise InvalidValue("invalid_address", message) from None
    return text


def _path(value: str) -> str:
    if not value.startswith(("/", "*")) or len(value) > MAX_PATTERN or not value.isprintable():
        message = "An excluded path is a path such as /admin/*, where * stands for any characters."
        raise InvalidValue("invalid_path", message)
    return value


def _told(wanted: SiteChange) -> dict[str, Any]:
    """What the audit log is told of a change: of addresses only how many."""
    told = {field: value for field, value in msgspec.structs.asdict(wanted).items() if value is not None}
    if wanted.excluded_addresses is not None:
        told["excluded_addresses"] = len(wanted.excluded_addresses)
    return told


def _take_away(statements: tuple[LiteralString, ...], row: Row) -> Steps[None]:
    params = {"site_id": row["site_id"], "names": [row["name"], *row["aliases"]]}
    for statement in statements:
        yield Query(statement, params)
