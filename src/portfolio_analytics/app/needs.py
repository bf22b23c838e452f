"""What a producer needs of its machine before it starts: files, folders and its port."""

from __future__ import annotations

import socket

import maxminddb

from portfolio_analytics.producer.address import Places
from portfolio_analytics.settings import Settings


def missing(settings: Settings) -> list[str]:
    """A sentence for everything named in `settings` that cannot be used. Makes folders that are missing."""
    problems = []
    if settings.geoip_db is not None:
        try:
            Places(settings.geoip_db).close()
        except (OSError, maxminddb.InvalidDatabaseError) as error:
            problems.append(f"GEOIP_DB: {settings.geoip_db} cannot be used: {error}")
    folders = {"SPOOL_DIR": settings.spool_dir} if settings.kafka_broker else {"DATA_DIR": settings.data_dir}
    for name, folder in folders.items():
        try:
            if folder is not None:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            problems.append(f"{name}: {folder} cannot be used: {error.strerror}")
    problem = port_problem(settings.host, settings.port)
    return problems if problem is None else [*problems, problem]


def port_problem(host: str, port: int, names: str = "HOST, PORT") -> str | None:
    """The server's sockets share a port with whoever else shares it; a second server must not be one.

    `names` are the settings that say where.
    """
    try:
        address = address_of(host)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        return (
            f"{names}: {host}:{port} cannot be had: {error.strerror}; "
            f"set another {names.rsplit(maxsplit=1)[-1]}, or end what has it"
        )
    return None


def address_of(host: str) -> str:
    """The address of a host, IPv4 where there is one. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return str(min(found, key=lambda info: info[0] != socket.AF_INET)[4][0])
