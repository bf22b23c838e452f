"""A real PostgreSQL in a directory, for installations that bring no database of their own."""

from portfolio_analytics.storage.embedded.errors import (
    AlreadyRunning,
    EmbeddedPostgresError,
    StartFailed,
    UnusableDirectory,
)
from portfolio_analytics.storage.embedded.place import make_data_dir
from portfolio_analytics.storage.embedded.server import EmbeddedPostgres, running_dsn

__all__ = [
    "AlreadyRunning",
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "StartFailed",
    "UnusableDirectory",
    "make_data_dir",
    "running_dsn",
]
