"""Logging, configured in one place: lines for people, or one JSON object a line for programs (LOG_FORMAT).

A line may carry the ids of IDS, given as `extra`. No message holds an address, a user agent or a secret: who
logs sees to it, and a test reads what a service wrote.
"""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

import msgspec

TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
IDS = ("partition", "offset", "event_id", "request_id", "trace_id")

SERVER: dict[str, object] = {
    "loggers": {"_granian": {"propagate": True}, "granian.access": {"propagate": True}},
    "handlers": {},
}
"""For the HTTP server, so that it logs through the root as everyone else."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_encode = msgspec.json.Encoder().encode


class JsonFormatter(logging.Formatter):
    """One object a line: time (UTC), level, logger, role, message, ids, and an error's traceback.

    `role` is what the process does: producer, consumer, ...
    """

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """The line of `record`."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "role": self._role,
            "message": record.getMessage(),
        }
        for name in IDS:
            value = getattr(record, name, None)
            if value is not None:
                line[name] = value if isinstance(value, int) else str(value)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return _encode(line).decode()


def configure(level: str, form: str, role: str, stream: TextIO | None = None) -> None:
    """Log at `level` to `stream` (standard error), in the form `text` or `json`, as `role`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(role) if form == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=level, handlers=[handler])
    if form == "json":
        logging.captureWarnings(True)
        sys.excepthook = _log_uncaught


def request_id(header: str | None) -> str | None:
    """The id that a request carries in X-Request-Id, if it is one."""
    return header if header is not None and _REQUEST_ID.fullmatch(header) else None


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger(__name__).critical("The process ends.", exc_info=(kind, error, trace))
