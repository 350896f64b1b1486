"""Conversions of values from files."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from deploy.cli.load import values
from deploy.cli.load.errors import RowError
from deploy.cli.load.nulls import null_paths
from deploy.cli.load.plan import automatic

BERLIN = ZoneInfo("Europe/Berlin")


def shown(value: Any, zone: ZoneInfo | None = None, pattern: str = "") -> str:
    return values.iso(values.instant(value, zone or ZoneInfo("UTC"), pattern))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2011-12-01T08:26:00", "2011-12-01T08:26:00.000Z"),
        ("2011-12-01 08:26", "2011-12-01T08:26:00.000Z"),
        ("2011-12-01", "2011-12-01T00:00:00.000Z"),
        ("20111201", "2011-12-01T00:00:00.000Z"),
        ("2011-12-01T08:26:00.1239999Z", "2011-12-01T08:26:00.123Z"),
        ("2011-12-01T08:26:00+07:00", "2011-12-01T01:26:00.000Z"),
        ("1322727960", "2011-12-01T08:26:00.000Z"),
        ("1322727960.5", "2011-12-01T08:26:00.500Z"),
        (1322727960123, "2011-12-01T08:26:00.123Z"),
        (1322727960123456, "2011-12-01T08:26:00.123Z"),
        (1322727960123456789, "2011-12-01T08:26:00.123Z"),
        (1322727960.123, "2011-12-01T08:26:00.123Z"),
        (-1, "1969-12-31T23:59:59.000Z"),
        (date(2011, 12, 1), "2011-12-01T00:00:00.000Z"),
        (datetime(2011, 12, 1, 8, tzinfo=UTC), "2011-12-01T08:00:00.000Z"),
    ],
)
def test_times_are_read_in_the_forms_files_use(value: Any, expected: str) -> None:
    assert shown(value) == expected


def test_times_without_an_offset_are_local_to_the_zone() -> None:
    assert shown("2024-07-01T12:00:00", BERLIN) == "2024-07-01T10:00:00.000Z"
    assert shown("2024-03-31T02:30:00", BERLIN) == "2024-03-31T01:30:00.000Z", "a skipped time moves forward"
    assert shown("2024-10-27T02:30:00", BERLIN) == "2024-10-27T00:30:00.000Z", "of a doubled time the first"


def test_a_pattern_reads_other_forms() -> None:
    assert shown("01/12/11 8:26", pattern="%d/%m/%y %H:%M") == "2011-12-01T08:26:00.000Z"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no timestamp"),
        ("", "no timestamp"),
        ("yesterday", "is not a time"),
        ("2011-13-01", "is not a time"),
        ("1066-10-14", "1900 to 2299"),
        ("9999-12-31T23:59:59", "1900 to 2299"),
        ("0001-01-01T00:00:00+23:59", "1900 to 2299"),
        (True, "is not a time"),
        (float("nan"), "is not a time"),
        ({}, "is not a time"),
    ],
)
def test_what_is_no_time_is_rejected_with_the_reason(value: Any, reason: str) -> None:
    with pytest.raises(RowError, match=reason):
        values.instant(value, BERLIN, "")


def test_numbers_are_exact_and_their_json_form_is_short() -> None:
    assert values.plain(values.number("2.55")) == 2.55
    assert values.number("12") == 12
    assert values.number(0.1) == Decimal("0.1")
    assert values.plain(values.number("123456789012345678901234567890")) == 1.2345678901234568e29
    assert values.plain(float("inf")) is None


@pytest.mark.parametrize("text", ["", "1,5", "0x10", "1_000", "٣", "nan", "inf", "--1", "1e"])
def test_texts_that_are_no_json_numbers_are_none(text: str) -> None:
    assert values.number_of_text(text) is None


@pytest.mark.parametrize(
    ("value", "expected"), [(None, ""), ("a b", "a b"), (7, "7"), (7.0, "7"), (7.5, "7.5"), ("007", "007")]
)
def test_ids_keep_their_spelling(value: Any, expected: str) -> None:
    assert values.identifier(value) == expected


@pytest.mark.parametrize("value", [True, {}, [], "x" * 4_097])
def test_what_is_no_id_is_rejected(value: Any) -> None:
    with pytest.raises(RowError):
        values.identifier(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", 12),
        ("1.5", 1.5),
        ("true", True),
        ("007", "007"),
        ("1e3", "1e3"),
        ("1.50", "1.50"),
        ("-0", "-0"),
        ("x", "x"),
    ],
)
def test_auto_takes_only_texts_that_a_number_gives_back(text: str, expected: Any) -> None:
    assert automatic(text) == expected
    assert type(automatic(text)) is type(expected)


def test_paths_sent_as_null_are_listed_with_dots() -> None:
    traits = b'{"plan":null,"address":{"zip":null,"city":"x"},"list":[null],"a.b":null,"name":"null"}'
    assert null_paths(traits) == ["a.b", "address.zip", "plan"]
    assert null_paths(b'{"a":1}') == ()
