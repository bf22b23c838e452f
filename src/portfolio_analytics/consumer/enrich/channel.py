"""Channels: which kind of acquisition a visit is, by the rules of GA4's default channel group.

Names and order follow GA4 and Plausible, with AI assistants as a channel of their own.
"""

from __future__ import annotations

import re

DIRECT = "Direct"

_PAID = re.compile(r".*cp.*|ppc|retargeting|paid.*")
_DISPLAY = frozenset({"display", "banner", "expandable", "interstitial", "cpm"})
_MEDIA = {
    **dict.fromkeys(("email", "e-mail", "e_mail", "e mail", "newsletter"), "Email"),
    **dict.fromkeys(("affiliate", "affiliates"), "Affiliates"),
    **dict.fromkeys(
        ("social", "social-network", "social-media", "sm", "social network", "social media"), "Organic Social"
    ),
    **dict.fromkeys(("audio", "podcast"), "Audio"),
    **dict.fromkeys(("ai", "ai-assistant", "ai_assistant", "llm", "chatbot"), "AI Assistants"),
    "sms": "SMS",
}
_SHOPPING_CAMPAIGN = re.compile(r"(?:.*[^a-df-z])?shop(?:ping)?(?:[^a-z].*)?")
_PAID_KINDS = {
    "shopping": "Paid Shopping",
    "search": "Paid Search",
    "social": "Paid Social",
    "video": "Paid Video",
}
_ORGANIC_KINDS = {
    "ai": "AI Assistants",
    "shopping": "Organic Shopping",
    "social": "Organic Social",
    "video": "Organic Video",
    "search": "Organic Search",
    "email": "Email",
    "audio": "Audio",
    "sms": "SMS",
    "push": "Mobile Push Notifications",
}


def channel(kind: str, paid_source: bool, has_source: bool, medium: str, campaign: str) -> str:
    """The channel of a visit.

    `kind` is the source's (see `sources.Source`; '' where it is not known), `paid_source` says that the
    utm_source names advertisements, `has_source` that there is a referrer or a utm_source at all.
    """
    medium, campaign = medium.lower(), campaign.lower()
    if "cross-network" in campaign:
        return "Cross-network"
    # GA4 puts "cpm" under Display, where the general pattern for paid media would take it too.
    display = medium in _DISPLAY
    if (paid_source or _PAID.fullmatch(medium)) and not (display and kind not in _PAID_KINDS):
        if kind not in _PAID_KINDS and _SHOPPING_CAMPAIGN.fullmatch(campaign):
            return "Paid Shopping"
        return _PAID_KINDS.get(kind, "Paid Other")
    if display:
        return "Display"
    return _organic(kind, has_source, medium, campaign)


def _organic(kind: str, has_source: bool, medium: str, campaign: str) -> str:
    if medium in _MEDIA:
        return _MEDIA[medium]
    if "video" in medium:
        return "Organic Video"
    if medium.endswith("push") or "mobile" in medium or "notification" in medium:
        return "Mobile Push Notifications"
    if kind in _ORGANIC_KINDS:
        return _ORGANIC_KINDS[kind]
    if medium == "organic":
        return "Organic Search"
    if _SHOPPING_CAMPAIGN.fullmatch(campaign):
        return "Organic Shopping"
    return "Referral" if has_source or medium in ("referral", "link", "app") else DIRECT
