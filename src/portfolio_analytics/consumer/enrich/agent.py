"""User agents: which browser, operating system and kind of device a header speaks of."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from ua_parser import Parser
from ua_parser.core import OS, UserAgent
from ua_parser.loaders import load_builtins
from ua_parser.regex import Resolver

MAX_LENGTH = 512
CACHED_AGENTS = 8192

# The names that people know from Plausible, where ua-parser tells variants of one browser apart.
_BROWSERS = {
    "Chrome Mobile": "Chrome",
    "Chrome Mobile iOS": "Chrome",
    "Chrome Mobile WebView": "Mobile App",
    "Mobile Safari": "Safari",
    "Mobile Safari UI/WKWebView": "Mobile App",
    "Firefox Mobile": "Firefox",
    "Firefox iOS": "Firefox",
    "Firefox Alpha": "Firefox",
    "Firefox Beta": "Firefox",
    "Edge": "Microsoft Edge",
    "Edge Mobile": "Microsoft Edge",
    "IE": "Internet Explorer",
    "IE Mobile": "Internet Explorer",
    "IE Large Screen": "Internet Explorer",
    "Samsung Internet": "Samsung Browser",
    "Opera Mobile": "Opera",
    "DuckDuckGo Mobile": "DuckDuckGo",
    "Ecosia Android": "Ecosia",
    "Ecosia iOS": "Ecosia",
    "QQ Browser Mobile": "QQ Browser",
    "Other": "",
}
_SYSTEMS = {"Mac OS X": "Mac", "Mac OS": "Mac", "Linux": "GNU/Linux", "ATV OS X": "tvOS", "Other": ""}
_DESKTOP_SYSTEMS = frozenset(
    {
        *("Mac", "Windows", "GNU/Linux", "Chrome OS", "Ubuntu", "Debian", "Fedora", "Red Hat", "Gentoo"),
        *("Arch Linux", "Slackware", "SUSE", "Mandriva", "Linux Mint", "Kubuntu", "Puppy", "PCLinuxOS"),
        *("VectorLinux", "CentOS", "FreeBSD", "OpenBSD", "NetBSD", "Solaris", "tvOS"),
    }
)

_TABLET = re.compile(r"iPad|Tablet(?! PC)|PlayBook|Kindle|\bSilk/(?!.*Mobile)|Nexus (?:7|9|10)\b")
_BIG_SCREEN = re.compile(
    r"\bTV\b|SmartTV|SMART-TV|AppleTV|GoogleTV|HbbTV|NetCast|Web0S|BRAVIA|CrKey|\bAFT[A-Z]|Roku|"
    r"PlayStation|Xbox|Nintendo"
)
_MOBILE = re.compile(
    r"Mobi|iPhone|iPod|Opera M(?:ini|obi)|BlackBerry|\bBB10\b|Windows (?:Phone|CE)|Symbian|SymbOS|Nokia|"
    r"KAIOS|webOS|J2ME|MIDP|UP\.Browser|Watch",
    re.IGNORECASE,
)


class Agent(NamedTuple):
    """What a user agent says; each is '' where it is not known.

    `browser_version` is the major version, `os_version` major or major.minor, `device` one of
    Desktop, Mobile, Tablet (television sets and consoles are Desktop, as Plausible has it).
    """

    browser: str = ""
    browser_version: str = ""
    os: str = ""
    os_version: str = ""
    device: str = ""


UNKNOWN = Agent()


def parse_agent(user_agent: str | None) -> Agent:
    """What `user_agent` says of itself. Only its first 512 characters are looked at."""
    if not user_agent:
        return UNKNOWN
    return _parse(user_agent[:MAX_LENGTH])


@lru_cache(maxsize=CACHED_AGENTS)
def _parse(user_agent: str) -> Agent:
    parser = _parser()
    browser, version = _browser(parser.parse_user_agent(user_agent))
    system, system_version = _system(parser.parse_os(user_agent))
    return Agent(browser, version, system, system_version, _device(user_agent, system))


@lru_cache(maxsize=1)
def _parser() -> Parser:
    """Made on first use: its rules take 0.4 s to compile, and most commands need none of them."""
    return Parser(Resolver(load_builtins()))


def _browser(found: UserAgent | None) -> tuple[str, str]:
    if found is None:
        return "", ""
    name = _BROWSERS.get(found.family, found.family)
    # Of an app that shows a page the engine's version says nothing about the app.
    return name, "" if name in ("", "Mobile App") else found.major or ""


def _system(found: OS | None) -> tuple[str, str]:
    if found is None:
        return "", ""
    name = _SYSTEMS.get(found.family, found.family)
    if not name or not found.major:
        return name, ""
    return name, f"{found.major}.{found.minor}" if found.minor else found.major


def _device(user_agent: str, system: str) -> str:
    if _BIG_SCREEN.search(user_agent):
        return "Desktop"
    if _TABLET.search(user_agent):
        return "Tablet"
    if _MOBILE.search(user_agent):
        return "Mobile"
    # Google asks makers to leave "Mobile" out of a tablet's user agent.
    if system == "Android":
        return "Tablet"
    return "Desktop" if system in _DESKTOP_SYSTEMS else ""
