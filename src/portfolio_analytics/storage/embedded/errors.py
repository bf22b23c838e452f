"""What can go wrong with the embedded PostgreSQL.

    EmbeddedPostgresError
    ├── AlreadyRunning      another live launcher holds the directory
    ├── UnusableDirectory   the directory cannot be used as it is
    └── StartFailed         a PostgreSQL program failed or took too long

Every message is one line that says what to do.
"""

from portfolio_analytics.shared.errors import AnalyticsError


class EmbeddedPostgresError(AnalyticsError):
    """The embedded PostgreSQL cannot do what was asked; the message is one line for the user."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class AlreadyRunning(EmbeddedPostgresError):
    """Another live process runs the embedded PostgreSQL of this directory; `pid` is its id, if known."""

    def __init__(self, message: str, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid


class UnusableDirectory(EmbeddedPostgresError):
    """The data directory, or something in it, is not what it must be: wrong kind, owner, mode or version."""


class StartFailed(EmbeddedPostgresError):
    """initdb or the server ended with an error, or was not ready in time."""
