"""From a client's event to the record that goes into the log. Here the address ends."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from uuid import UUID

import msgspec

from portfolio_analytics.producer.address import NOWHERE, Place, Places
from portfolio_analytics.producer.clean import (
    MAX_TEXT_CHARS,
    MAX_TITLE_CHARS,
    MAX_USER_AGENT_CHARS,
    clean_link,
    clean_page,
    clean_referrer,
    cut_text,
)
from portfolio_analytics.producer.event import MAX_INT4, ClientEvent, ClientTarget, ImportedText
from portfolio_analytics.producer.identity import identify
from portfolio_analytics.producer.limits import Limits, may_exceed
from portfolio_analytics.producer.policy import Policy
from portfolio_analytics.producer.salts import Salts
from portfolio_analytics.producer.sender import Sender, Standing
from portfolio_analytics.producer.sites import DEFAULT_SITE, Sites
from portfolio_analytics.producer.visitor import (
    DAY_MS,
    Visitor,
    carries_over,
    imported_visitor,
    known_visitor,
    registrable_domain,
)
from portfolio_analytics.shared.errors import AnalyticsError, InvalidEvent
from portfolio_analytics.shared.record import IMPORTED, EventRecord, Scalar, Target, encode_record, log_key

KNOWN_TYPES = frozenset({"page_view", "click", "time_spent", "navigation"})

_COUNTRY = re.compile(r"[A-Za-z]{2}")


class NotReady(AnalyticsError):
    """No salt of today is known: the database has not been reached since this process, or the day, began."""


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """A record, ready for the log. `named`: the client gave the id, so it can send the event again."""

    event_id: UUID
    key: bytes
    value: bytes
    named: bool


class Recorder:
    """Makes records for one worker. `trace` gives the traceparent of the request that is answered."""

    def __init__(
        self,
        worker: str,
        policy: Policy,
        sites: Sites,
        salts: Salts,
        places: Places,
        limits: Limits,
        allowed_parameters: Collection[str],
        trace: Callable[[], str | None] | None = None,
    ) -> None:
        self._worker = worker
        self._policy = policy
        self._sites = sites
        self._salts = salts
        self._places = places
        self._limits = limits
        self._trace = trace
        self._allowed = frozenset(name.lower() for name in allowed_parameters)

    def prepare(self, event: ClientEvent, sender: Sender, now: int) -> Prepared | str:
        """The record of an event that came at `now` (Unix milliseconds), or why it is ignored.

        Raises InvalidEvent, or NotReady.
        """
        reason = sender.signal or self._policy.consent(event.consent)
        if reason is not None:
            return reason

        host, page = clean_page(event.page, self._allowed)
        standing = sender.standings.get((event.user_agent, event.site, host))
        if standing is None:
            standing = self._standing(event, sender, host)
        if isinstance(standing, str):
            return standing

        kind = event.event_type
        if kind not in KNOWN_TYPES and not kind.isprintable():
            raise InvalidEvent("invalid_field", "A type has printable characters alone.", "event_type")
        site, host, may_import = standing.site, standing.host, standing.may_import
        trusted = sender.principal is not None
        if not may_exceed(sender.principal, site.name):
            self._limits.site(site.name, time.monotonic())
        if site.exclusions is not None and site.exclusions.cover(host, page, sender.address, trusted=trusted):
            return "excluded"

        identity = identify(event.event_id, event.timestamp, now, any_past=may_import)
        visitor = standing.visitor
        if visitor is None or event.visitor_id is not None or event.visitor is not None:
            visitor = self._visitor(event, sender, standing, now)
        place = self._place(event, standing) if may_import else standing.place
        session = self._limits.visitor(sender, site.name, visitor.hash, event.session_id or None, now)
        before = visitor.before if session is None else None
        record = EventRecord(
            id=identity.id,
            site=site.name,
            type=kind,
            page=page,
            time=identity.time,
            at=now,
            day=identity.day,
            worker=self._worker,
            visitor=visitor.hash,
            session=session,
            flags=identity.flags | visitor.flags | (IMPORTED if may_import else 0),
            user_agent=standing.user_agent or None,
            screen_width=event.screen_width,
            screen_height=event.screen_height,
        )
        if before is not None:
            record.visitor_before = before
        if host != site.name:
            record.host = host
        if place is not NOWHERE:
            record.country, record.region, record.city = place.country, place.region, place.city
        self._describe(record, event)
        if site.is_new:
            self._sites.keep(site)
        key = log_key(site.name, session, visitor.hash, before)
        return Prepared(identity.id, key, encode_record(record), event.event_id is not None)

    def _standing(self, event: ClientEvent, sender: Sender, host: str | None) -> Standing | str:
        """How the sender stands to what an event names, also for the next; or why to ignore such."""
        named = (event.user_agent, event.site, host)
        principal = sender.principal
        user_agent = (event.user_agent or sender.user_agent)[:MAX_USER_AGENT_CHARS]
        if principal is None:
            reason = self._policy.agent(user_agent)
            if reason is None and user_agent != sender.user_agent:
                reason = self._policy.agent(sender.user_agent)
            if reason is not None:
                sender.standings[named] = reason
                return reason
        site = self._sites.find(event.site or sender.origin_host or DEFAULT_SITE)
        standing = Standing(
            user_agent,
            site,
            host or sender.origin_host,
            principal is not None and principal.may("import", site.name),
            self._places.of(sender.address),
        )
        # A site that is new is asked for again: until one of its events is taken, another may take its place.
        if not site.is_new:
            sender.standings[named] = standing
        return standing

    def _describe(self, record: EventRecord, event: ClientEvent) -> None:
        """What an event may say besides. Set where it is said: most is not, and each argument costs."""
        if event.referrer:
            record.referrer = clean_referrer(event.referrer, self._allowed)
        if event.title:
            record.title = cut_text(event.title, MAX_TITLE_CHARS)
        if event.duration_ms is not None or event.duration_seconds is not None:
            record.duration_ms = _duration_ms(event)
        if event.target is not None or event.element is not None:
            record.target = self._target(event)
        if event.scroll_depth is not None:
            record.scroll_depth = round(event.scroll_depth)
        if event.props:
            record.props = _props(event)
        if event.consent == "granted":
            record.consent = "granted"
        if event.consent_version is not None:
            record.consent_version = event.consent_version
        if self._trace is not None:
            record.trace = self._trace()

    def _visitor(self, event: ClientEvent, sender: Sender, standing: Standing, now: int) -> Visitor:
        if event.visitor is not None and standing.may_import:
            return imported_visitor(standing.site.name, _text(event.visitor, "visitor"))
        if event.visitor_id is not None and event.consent == "granted":
            return known_visitor(standing.site.name, event.visitor_id)
        if standing.visitor is None:
            standing.visitor = self._hashed(sender, standing, now)
        return standing.visitor

    def _hashed(self, sender: Sender, standing: Standing, now: int) -> Visitor:
        today = self._salts.of(now // DAY_MS)
        if today is None:
            raise NotReady("the salt of today is not known: the database has not been reached yet")
        site, user_agent = standing.site.name, standing.user_agent
        domain = registrable_domain(standing.host or site)
        hashed = today.of(user_agent, sender.address, site, domain)
        if not carries_over(now):
            return Visitor(hashed, None, 0)
        yesterday = self._salts.of(now // DAY_MS - 1)
        before = yesterday.of(user_agent, sender.address, site, domain) if yesterday else None
        return Visitor(hashed, before, 0)

    def _place(self, event: ClientEvent, standing: Standing) -> Place:
        """Where an importer's event happened."""
        if event.country is not None:
            country = _text(event.country, "country")
            if not _COUNTRY.fullmatch(country):
                raise InvalidEvent("invalid_field", "A country is a code of two letters.", "country")
            return Place(country.upper())
        if event.visitor is not None:
            return NOWHERE  # the address is the importer's own
        return standing.place

    def _target(self, event: ClientEvent) -> Target | None:
        given = event.target if event.target is not None else event.element
        if given is None:
            return None
        if isinstance(given, str):
            given = ClientTarget(href=given)
        target = Target(
            tag=cut_text(given.tag, MAX_TEXT_CHARS),
            id=cut_text(given.id, MAX_TEXT_CHARS),
            class_=cut_text(given.class_, MAX_TEXT_CHARS),
            text=cut_text(given.text, MAX_TEXT_CHARS),
            href=clean_link(given.href, self._allowed) if isinstance(given.href, str) else None,
        )
        return target if target != _NO_TARGET else None


_NO_TARGET = Target()


def _duration_ms(event: ClientEvent) -> int | None:
    if event.duration_ms is not None:
        return round(event.duration_ms)
    if event.duration_seconds is not None:
        return min(round(event.duration_seconds * 1000), MAX_INT4)
    return None


def _props(event: ClientEvent) -> dict[str, Scalar] | None:
    return {key: value for key, value in (event.props or {}).items() if value is not None} or None


def _text(value: object, field: str) -> str:
    """A field that only an importer may send: text, as long as a session may be."""
    try:
        return msgspec.convert(value, ImportedText)
    except msgspec.ValidationError:
        raise InvalidEvent("invalid_field", f"The {field} is text of 1 to 128 characters.", field) from None
