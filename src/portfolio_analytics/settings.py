"""Settings: everything that can be set, read once from the environment, frozen.

`Settings.load` reads every variable, collects every mistake, and raises one SettingsError that names
them all. Secrets are kept in `Secret`, whose repr and str show nothing.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from portfolio_analytics.shared.errors import SettingsError

T = TypeVar("T")

KAFKA_SECURITY = ("PLAINTEXT", "SSL", "SASL_SSL", "SASL_PLAINTEXT")
SASL_MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN")
LOG_FORMATS = ("text", "json")
CONSENT_MODES = ("cookieless", "required")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Secret:
    """A string that does not show itself."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound
"""Hosts that stand for all addresses of the machine."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One process's settings. Field names are the environment's names in lower case.

    Rate limits are a second's, in each worker process; 0 is none. `rate_limit_address` and `rate_limit_site`
    count events without a token by network and by site, `rate_limit_visitor` (a day's) by visitor and by
    session, `rate_limit_token` requests of one token. Without
    `workers` each command decides (app/cores.py).
    """

    database_url: Secret | None = None
    kafka_broker: tuple[str, ...] = ()
    kafka_user: str | None = None
    kafka_password: Secret | None = None
    kafka_topic: str = "portfolio-analytics-events"
    kafka_partitions: int = 6
    kafka_security: str = "PLAINTEXT"
    kafka_sasl_mechanism: str = "SCRAM-SHA-256"
    kafka_ca_file: Path | None = None
    kafka_group: str = "portfolio-analytics"
    kafka_dead_letter_topic: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int | None = None
    data_dir: Path = field(default_factory=lambda: default_data_dir(os.environ))
    spool_dir: Path | None = None
    spool_max_bytes: int = 1 << 30
    log_retention_days: int = 7
    retention_days: int | None = None
    allowed_origins: tuple[str, ...] = ("*",)
    admin_token: Secret | None = None
    public_stats: bool = True
    consent: str = "cookieless"
    sites: tuple[str, ...] | None = None
    max_sites: int = 50
    trusted_proxies: tuple[Network, ...] = ()
    block_automation: bool = False
    geoip_db: Path | None = None
    tracker_path: str | None = None
    allowed_query_params: tuple[str, ...] = ()
    rate_limit_address: int = 500
    rate_limit_site: int = 50_000
    rate_limit_visitor: int = 50_000
    rate_limit_token: int = 500
    log_level: str = "INFO"
    log_format: str = "text"
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None

    @classmethod
    def load(cls, environ: Mapping[str, str], *, host: str = "127.0.0.1") -> Settings:
        """Read `environ`; `host` is the command's own default.

        Raises SettingsError with one sentence for every mistake found.
        """
        source = _Source(environ)
        user = source.text("KAFKA_USER")
        password = source.text("KAFKA_PASSWORD")
        settings = cls(
            database_url=source.secret("DATABASE_URL", _database_url),
            kafka_broker=source.read("KAFKA_BROKER", _brokers, ()),
            kafka_user=user,
            kafka_password=Secret(password) if password else None,
            kafka_topic=source.read("KAFKA_TOPIC", _topic, "portfolio-analytics-events"),
            kafka_partitions=source.integer("KAFKA_PARTITIONS", 6, 1, 1000),
            kafka_security=source.choice(
                "KAFKA_SECURITY", KAFKA_SECURITY, "SASL_SSL" if user and password else "PLAINTEXT"
            ),
            kafka_sasl_mechanism=source.choice("KAFKA_SASL_MECHANISM", SASL_MECHANISMS, "SCRAM-SHA-256"),
            kafka_ca_file=source.read("KAFKA_CA_FILE", _existing_file, None),
            kafka_group=source.read("KAFKA_GROUP", _topic, "portfolio-analytics"),
            kafka_dead_letter_topic=source.read("KAFKA_DEAD_LETTER_TOPIC", _topic, None),
            host=source.text("HOST") or host,
            port=source.integer("PORT", 8080, 0, 65535),
            workers=source.optional_integer("WORKERS", 1, 256),
            data_dir=source.read("DATA_DIR", _path, default_data_dir(environ)),
            spool_dir=source.read("SPOOL_DIR", _path, None),
            spool_max_bytes=source.integer("SPOOL_MAX_BYTES", 1 << 30, 1 << 16, 1 << 50),
            log_retention_days=source.integer("LOG_RETENTION_DAYS", 7, 1, 3650),
            retention_days=source.optional_integer("RETENTION_DAYS", 1, 36500),
            allowed_origins=source.read("ALLOWED_ORIGINS", _origins, ("*",)),
            admin_token=source.secret("ADMIN_TOKEN", _token),
            public_stats=source.boolean("PUBLIC_STATS", True),
            consent=source.choice("CONSENT", CONSENT_MODES, "cookieless"),
            sites=source.read("SITES", _sites, None),
            max_sites=source.integer("MAX_SITES", 50, 1, 1_000_000),
            trusted_proxies=source.read("TRUSTED_PROXIES", _networks, ()),
            block_automation=source.boolean("BLOCK_AUTOMATION", False),
            geoip_db=source.read("GEOIP_DB", _existing_file, None),
            tracker_path=source.read("TRACKER_PATH", _tracker_path, None),
            allowed_query_params=source.read("ALLOWED_QUERY_PARAMS", _words, ()),
            rate_limit_address=source.integer("RATE_LIMIT_ADDRESS", 500, 0, 10**9),
            rate_limit_site=source.integer("RATE_LIMIT_SITE", 50_000, 0, 10**9),
            rate_limit_visitor=source.integer("RATE_LIMIT_VISITOR", 50_000, 0, 10**9),
            rate_limit_token=source.integer("RATE_LIMIT_TOKEN", 500, 0, 10**9),
            log_level=source.choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"),
            log_format=source.choice("LOG_FORMAT", LOG_FORMATS, "text"),
            metrics_host=source.text("METRICS_HOST") or "127.0.0.1",
            metrics_port=source.optional_integer("METRICS_PORT", 1, 65535),
        )
        source.problems.extend(_contradictions(settings))
        if source.problems:
            raise SettingsError(source.problems)
        return settings


def journal_path(settings: Settings) -> Path:
    """The file of the embedded event log."""
    return settings.data_dir / "journal.sqlite"


def local_url(settings: Settings) -> str:
    """Where this machine reaches the service that listens at HOST and PORT."""
    host = "127.0.0.1" if settings.host in EVERYWHERE else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def spool_path(settings: Settings) -> Path | None:
    """The producer's spool; None where none is kept."""
    return settings.spool_dir / "spool.sqlite" if settings.spool_dir is not None else None


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """Where `run` keeps its state when DATA_DIR is not set: /var/lib for root, else the XDG data folder."""
    if os.geteuid() == 0:
        return Path("/var/lib/portfolio-analytics")
    base = environ.get("XDG_DATA_HOME") or os.path.join(environ.get("HOME", "/"), ".local", "share")
    return Path(base) / "portfolio-analytics"


def _contradictions(settings: Settings) -> list[str]:
    problems = []
    sasl = settings.kafka_security.startswith("SASL")
    if sasl and not (settings.kafka_user and settings.kafka_password):
        problems.append(f"KAFKA_SECURITY={settings.kafka_security} needs KAFKA_USER and KAFKA_PASSWORD")
    if bool(settings.kafka_user) != bool(settings.kafka_password):
        problems.append("KAFKA_USER and KAFKA_PASSWORD go together: set both or neither")
    if settings.kafka_dead_letter_topic == settings.kafka_topic:
        problems.append("KAFKA_DEAD_LETTER_TOPIC must be another topic than KAFKA_TOPIC")
    if settings.retention_days is not None and settings.retention_days < settings.log_retention_days:
        problems.append(
            "RETENTION_DAYS must not be less than LOG_RETENTION_DAYS: a replay would bring dropped rows back"
        )
    return problems


class _Source:
    """Reads variables and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def text(self, name: str) -> str | None:
        value = self._environ.get(name, "").strip()
        return value or None

    def read(self, name: str, parse: Callable[[str], T], default: T) -> T:
        value = self.text(name)
        if value is None:
            return default
        try:
            return parse(value)
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
            return default

    def secret(self, name: str, check: Callable[[str], None]) -> Secret | None:
        value = self.text(name)
        if value is None:
            return None
        try:
            check(value)
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
        return Secret(value)

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        return self.read(name, lambda value: _integer(value, low, high), default)

    def optional_integer(self, name: str, low: int, high: int) -> int | None:
        return self.read(name, lambda value: _integer(value, low, high), None)

    def boolean(self, name: str, default: bool) -> bool:
        return self.read(name, _boolean, default)

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        def parse(value: str) -> str:
            for choice in allowed:
                if value.lower() == choice.lower():
                    return choice
            raise ValueError(f"{value!r} is none of {', '.join(allowed)}")

        return self.read(name, parse, default)


def _integer(value: str, low: int, high: int) -> int:
    try:
        number = int(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a whole number") from None
    if not low <= number <= high:
        raise ValueError(f"{number} is not between {low} and {high}")
    return number


def _boolean(value: str) -> bool:
    if value.lower() in ("true", "1", "yes", "on"):
        return True
    if value.lower() in ("false", "0", "no", "off"):
        return False
    raise ValueError(f"{value!r} is neither true nor false")


def _items(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]


def _words(value: str) -> tuple[str, ...]:
    return tuple(_items(value))


def _each(value: str, parse: Callable[[str], T]) -> tuple[T, ...]:
    """What `parse` makes of each item of a comma list. Raises a ValueError that tells all that are wrong."""
    found, problems = [], []
    for item in _items(value):
        try:
            found.append(parse(item))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(found)


def _sites(value: str) -> tuple[str, ...]:
    return _each(value, _site)


def _site(item: str) -> str:
    if len(item) > 253 or any(ch.isspace() or ch in "/?#" for ch in item):
        raise ValueError(f"{item!r} is not a site name (a host name such as example.com)")
    return item.lower()


def _topic(value: str) -> str:
    if len(value) > 249 or not all(ch.isascii() and (ch.isalnum() or ch in "._-") for ch in value):
        raise ValueError(f"{value!r} is not a Kafka name (letters, digits, '.', '_', '-')")
    return value


def _brokers(value: str) -> tuple[str, ...]:
    return _each(value, _broker)


def _broker(item: str) -> str:
    host, _, port = item.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{item!r} is not host:port")
    return item


def _origins(value: str) -> tuple[str, ...]:
    return _each(value, _origin)


def _origin(item: str) -> str:
    if item == "*":
        return item
    parts = urlsplit(item if "://" in item else f"https://{item}")
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/"):
        raise ValueError(f"{item!r} is not an origin such as https://example.com")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _networks(value: str) -> tuple[Network, ...]:
    return _each(value, _network)


def _network(item: str) -> Network:
    try:
        return ipaddress.ip_network(item, strict=False)
    except ValueError:
        raise ValueError(f"{item!r} is not an address or network such as 10.0.0.0/8") from None


def _path(value: str) -> Path:
    return Path(value).expanduser().absolute()


def _existing_file(value: str) -> Path | None:
    path = _path(value)
    if not path.is_file():
        raise ValueError(f"there is no file {str(path)!r}")
    return path


def _tracker_path(value: str) -> str:
    if not value.startswith("/") or not value.endswith(".js") or value.startswith("/api/") or "//" in value:
        raise ValueError(f"{value!r} is not a path such as /assets/site.js")
    return value


def _database_url(value: str) -> None:
    try:
        is_one = urlsplit(value).scheme in ("postgresql", "postgres") or "=" in value
        if is_one:
            conninfo_to_dict(value)
    except (ValueError, ProgrammingError):
        # Their messages quote what cannot be read, which may be the password.
        raise ValueError(
            "cannot be read as a PostgreSQL address; special characters of a password are percent-encoded, "
            "% itself as %25"
        ) from None
    if not is_one:
        raise ValueError("is not a PostgreSQL address such as postgresql://user:password@host/database")


def _token(value: str) -> None:
    if len(value) < 16:
        raise ValueError("must have at least 16 characters")
