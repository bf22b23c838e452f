"""Lines for programs."""

from __future__ import annotations

import json
import logging
import uuid

import pytest

from portfolio_analytics.shared.logs import JsonFormatter, request_id


def test_a_line_is_one_object_with_its_ids() -> None:
    record = logging.LogRecord("a.logger", logging.WARNING, __file__, 1, 'one\n"%s"', ("two",), None)
    record.event_id = event_id = uuid.uuid4()
    record.partition, record.offset, record.something_else = 0, 7, "kept out"
    line = JsonFormatter("consumer").format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "level": "WARNING", "logger": "a.logger", "role": "consumer", "message": 'one\n"two"',
        "partition": 0, "offset": 7, "event_id": str(event_id),
    }  # fmt: skip


def test_an_error_brings_its_traceback() -> None:
    with pytest.raises(ValueError, match="why") as raised:
        int("why")
    info = (raised.type, raised.value, raised.tb)
    record = logging.LogRecord("a", logging.ERROR, __file__, 1, "failed", (), info)
    assert "ValueError: invalid literal" in json.loads(JsonFormatter("run").format(record))["error"]


@pytest.mark.parametrize(
    ("header", "found"),
    [("a-1.b_c:2", "a-1.b_c:2"), (None, None), ("", None), ("x" * 65, None), ("a\nb", None), ("a b", None)],
)
def test_request_ids(header: str | None, found: str | None) -> None:
    assert request_id(header) == found
