"""Who is a bot, by its user agent: crawlers, monitors, previewers; and, apart from them, automation.

HTTP libraries and headless browsers are automation, not bots: people test with curl, and servers send events.
"""

from __future__ import annotations

import re
from functools import lru_cache

import crawleruseragents  # type: ignore[import-untyped]

_AUTOMATION_TAGS = frozenset({"http-library", "browser-automation"})
_CHUNK = 25  # patterns a regular expression; one of all 1,500 takes five times as long


@lru_cache(maxsize=4096)
def is_crawler(user_agent: str) -> bool:
    """Whether the user agent is a crawler's, monitor's or previewer's: 190 us, then remembered."""
    return any(pattern.search(user_agent) for pattern in _CRAWLERS)


@lru_cache(maxsize=4096)
def is_automation(user_agent: str) -> bool:
    """Whether the user agent is an HTTP library's or a headless browser's."""
    return any(pattern.search(user_agent) for pattern in _AUTOMATION)


def _compiled(automation: bool) -> list[re.Pattern[str]]:
    patterns = [
        entry["pattern"]
        for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA
        if (_AUTOMATION_TAGS.issuperset(entry["tags"]) and bool(entry["tags"])) is automation
    ]
    return [re.compile("|".join(patterns[i : i + _CHUNK])) for i in range(0, len(patterns), _CHUNK)]


_CRAWLERS = _compiled(automation=False)
_AUTOMATION = _compiled(automation=True)
