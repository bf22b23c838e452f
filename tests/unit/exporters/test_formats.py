"""The formats of an export: what is written is inert, and reads back as it was."""

from __future__ import annotations

import csv
import datetime
import io
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_analytics.exporters.columns import COLUMNS, NAMES, Kind, Row
from portfolio_analytics.exporters.formats import ACTIVE, MEDIA_TYPES, instant_text, make_format
from portfolio_analytics.importers.access_log import ImportProblem
from portfolio_analytics.importers.export_file import read_export

FORMATS = list(MEDIA_TYPES)
text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12) | st.sampled_from(
    [
        "",
        "'",
        "''",
        "=1+1",
        "+1",
        "-1",
        "@x",
        "\tx",
        "\rx",
        "'=1",
        'a"b',
        "a,b",
        "a\nb",
        "a\r\nb",
        " ",
        "null",
    ]
)
number = st.integers(-(1 << 63), (1 << 63) - 1)
moment = st.integers(0, 253_402_300_799_999)
SPECIAL = {
    "event_id": st.uuids().map(str),
    "flags": st.integers(0, 32767),
    "log_partition": st.integers(-32768, 32767),
    "duration_ms": st.none() | st.integers(0, (1 << 31) - 1),
    "scroll_depth": st.none() | st.integers(0, 100),
    "target": st.none() | st.fixed_dictionaries({"tag": text, "class": text}).map(json.dumps),
    "props": st.none()
    | st.dictionaries(
        text, text | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
    ).map(json.dumps),
}
KINDS = {
    Kind.TEXT: text,
    Kind.OPTIONAL: st.none() | text,
    Kind.NUMBER: number,
    Kind.TIME: moment,
    Kind.DATE: st.dates(datetime.date(1970, 1, 1)),
}
ORIGIN = slice(NAMES.index("referrer"), NAMES.index("utm_content") + 1)


@st.composite
def rows(draw: st.DrawFn) -> Row:
    values = [
        draw(SPECIAL[column.name] if column.name in SPECIAL else KINDS[column.kind]) for column in COLUMNS
    ]
    if draw(st.booleans()):
        values[ORIGIN] = [None] * 8
    else:
        values[NAMES.index("channel")] = "Direct"
    return tuple(values)


def written(name: str, found: list[Row]) -> bytes:
    form = make_format(name)
    return form.begin() + form.rows(found) + form.end()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.mark.parametrize("name", FORMATS)
@given(found=st.lists(rows(), min_size=1, max_size=4))
def test_what_is_written_reads_back(folder: Path, name: str, found: list[Row]) -> None:
    path = folder / f"export.{name}"
    path.write_bytes(written(name, found))
    back = [event for event, _ in read_export(path)]
    assert len(back) == len(found)
    for event, row in zip(back, found, strict=True):
        values = dict(zip(NAMES, row, strict=True))
        if name == "csv":  # without an origin, the words of an origin are empty
            values |= {key: values[key] or "" for key in NAMES[ORIGIN]}
        for key in event.__struct_fields__:
            got = getattr(event, key)
            if key in ("time", "accepted_at"):
                got = int(got.timestamp()) * 1000 + got.microsecond // 1000
            elif key == "event_id":
                got = str(got)
            elif key == "target" and got is not None:
                assert json.loads(str(values[key])) == {"tag": got.tag, "class": got.class_}
                continue
            elif key == "props" and got is not None:
                assert got == json.loads(str(values[key]))
                continue
            assert got == values[key], key


@given(found=st.lists(rows(), min_size=1, max_size=3))
def test_no_cell_of_csv_is_a_formula(found: list[Row]) -> None:
    lines = list(csv.reader(io.StringIO(written("csv", found).decode(), newline="")))
    assert tuple(lines[0]) == NAMES
    for line in lines[1:]:
        assert not any(cell.startswith(ACTIVE) and not cell.startswith("'") for cell in line)


def test_a_line_of_json_is_an_object_with_every_name() -> None:
    row: Row = tuple(
        {"props": '{"a":1}', "time": 1_700_000_000_007, "day": datetime.date(2024, 1, 2)}.get(name)
        for name in NAMES
    )
    found = json.loads(written("ndjson", [row]))
    assert tuple(found) == NAMES
    assert found["props"] == {"a": 1}
    assert found["time"] == "2023-11-14T22:13:20.007Z"
    assert found["day"] == "2024-01-02"
    assert found["title"] is None


@given(moment)
def test_an_instant_is_rfc_3339(ms: int) -> None:
    parsed = msgspec.convert(instant_text(ms), datetime.datetime)
    assert (parsed - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) == datetime.timedelta(
        milliseconds=ms
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"site":"a"}\n', "event 1: .*required field"),
        (b'{"site":"a"', "event 1: "),
        (b"site,time_zone\r\na,UTC\r\n", "event 1: .*required field"),
        (b"\xff\xfe", "event 1: "),
    ],
)
def test_what_is_no_export_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "some.file"
    path.write_bytes(content)
    with pytest.raises(ImportProblem, match=message):
        list(read_export(path))
