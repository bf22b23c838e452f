"""The errors that cross a room's door.

AnalyticsError
├── SettingsError       the environment is wrong; names every mistake at once
├── LogError
│   ├── LogUnavailable  nothing was written; try again later
│   ├── LogUncertain    the record may have been written; only the event's id can tell
│   ├── LogFull         the disk (or a set limit) is full; nothing was written
│   └── RecordTooLarge  nothing was written, and never will be
├── StorageUnavailable  PostgreSQL cannot be reached or refuses for a reason that passes
├── Fenced              another consumer owns the partition now
├── InvalidEvent        the client's mistake: an error code, a sentence, and the field
└── ActRefused          an administrative act that cannot be done as asked
    ├── UnknownName     there is no such site, token, goal, funnel or link
    ├── NameTaken       there is one already
    └── InvalidValue    a value that cannot be set
"""

from __future__ import annotations


class AnalyticsError(Exception):
    """The root: whatever the project raises on purpose."""


class SettingsError(AnalyticsError):
    """The environment cannot be used; `problems` holds one sentence a mistake."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LogError(AnalyticsError):
    """The event log did not take a record."""


class LogUnavailable(LogError):
    """Nothing was written, the log is away."""


class LogUncertain(LogError):
    """No answer in time: the record may be in the log or may not."""


class LogFull(LogError):
    """Nothing was written: no space, or the set limit is reached."""


class RecordTooLarge(LogError):
    """Nothing was written: the log never takes a record of this size."""


class StorageUnavailable(AnalyticsError):
    """PostgreSQL is away, or refuses for a reason that passes (disk full, starting up)."""


class Fenced(AnalyticsError):
    """The stored position or epoch is not the one expected: another consumer took over."""


class InvalidEvent(AnalyticsError):
    """An event that is not taken.

    `status` is the HTTP status (400 cannot be parsed, 422 parsed but invalid), `code` a stable
    word for programs, `message` a sentence for people, `field` the offending field if there is one.
    """

    def __init__(self, code: str, message: str, field: str | None = None, status: int = 422) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.status = status


class ActRefused(AnalyticsError):
    """An administrative act that cannot be done; nothing was changed.

    `code` is a stable word for programs, `message` a sentence for people, `field` the offending field.
    """

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


class UnknownName(ActRefused):
    """What is asked for does not exist."""


class NameTaken(ActRefused):
    """What is to be made exists."""


class InvalidValue(ActRefused):
    """A value that cannot be set."""
