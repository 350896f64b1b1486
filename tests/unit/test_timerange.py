"""Moments, ranges and durations: examples, refusals, and the brute-force oracle over many clock changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import InvalidRequest
from services.kit import timerange
from tests.oracle import timerange as oracle

NOON = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",  # midnight itself was skipped
    "Australia/Lord_Howe",  # half an hour of summer time
    "Asia/Kathmandu",
    "Pacific/Apia",  # a whole day was skipped
    "Africa/Casablanca",
    "America/Havana",  # midnight skipped, and doubled in autumn
)
CHANGES = [
    datetime(2024, 3, 10, tzinfo=UTC),
    datetime(2024, 3, 31, tzinfo=UTC),
    datetime(2024, 4, 7, tzinfo=UTC),
    datetime(2024, 10, 6, tzinfo=UTC),
    datetime(2024, 10, 27, tzinfo=UTC),
    datetime(2024, 11, 3, tzinfo=UTC),
    datetime(2018, 11, 4, tzinfo=UTC),
    datetime(2018, 2, 18, tzinfo=UTC),
    datetime(2011, 12, 30, tzinfo=UTC),
    datetime(2024, 2, 29, tzinfo=UTC),
]
MOMENTS = st.builds(
    lambda day, minutes: day + timedelta(minutes=minutes), st.sampled_from(CHANGES), st.integers(-3000, 3000)
)
UNITS = st.sampled_from(["min", "h", "d", "w", "m"])
ORACLE = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def moment(text: str, as_of: datetime = NOON, timezone: str = "UTC") -> datetime:
    return timerange.resolve_moment(text, as_of=as_of, timezone=timezone, pointer="/from")


def pointers(error: pytest.ExceptionInfo[InvalidRequest]) -> list[str]:
    return [problem.pointer for problem in error.value.errors]


@pytest.mark.parametrize(
    ("text", "timezone", "instant"),
    [
        ("2026-01-31", "UTC", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31", "Europe/Berlin", "2026-01-30T23:00:00+00:00"),
        ("2026-01-31T09:00", "Europe/Berlin", "2026-01-31T08:00:00+00:00"),
        ("2026-01-31 09:00:30.25", "UTC", "2026-01-31T09:00:30.250000+00:00"),
        ("2026-01-31T09:00:00.123456789Z", "Europe/Berlin", "2026-01-31T09:00:00.123456+00:00"),
        ("2026-01-31T09:00+05:30", "Europe/Berlin", "2026-01-31T03:30:00+00:00"),
        ("2026-01-31T09:00-0800", "UTC", "2026-01-31T17:00:00+00:00"),
        ("2026-01-31T09:00+05", "UTC", "2026-01-31T04:00:00+00:00"),
        ("2024-03-31T02:30", "Europe/Berlin", "2024-03-31T01:30:00+00:00"),  # skipped: 03:30 summer time
        ("2024-10-27T02:30", "Europe/Berlin", "2024-10-27T00:30:00+00:00"),  # doubled: the first
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00+00:00"),  # midnight skipped: 01:00 local
        ("-90min", "UTC", "2026-03-31T10:30:00+00:00"),
        ("-24h", "Europe/Berlin", "2026-03-30T12:00:00+00:00"),
        ("-0d", "UTC", "2026-03-31T00:00:00+00:00"),
        ("-7d", "UTC", "2026-03-24T00:00:00+00:00"),
        ("-7d", "Europe/Berlin", "2026-03-23T23:00:00+00:00"),  # before the change of 29 March
        ("+1d", "UTC", "2026-04-01T00:00:00+00:00"),
        ("-2w", "UTC", "2026-03-17T00:00:00+00:00"),
        ("-1m", "UTC", "2026-02-28T00:00:00+00:00"),
        ("-25m", "UTC", "2024-02-29T00:00:00+00:00"),
    ],
)
def test_a_moment_is_the_instant_the_definition_names(text: str, timezone: str, instant: str) -> None:
    assert moment(text, timezone=timezone).isoformat() == instant


@pytest.mark.parametrize(
    "text",
    [
        "yesterday", "2026", "20260131", "2026-02-30", "2026-13-01", "2026-01-31T24:00", "2026-01-31T09", "-7", "7d",
        "2026-01-31T09:00:60", "2026-01-31T09:00.5", "2026-01-31T09:00+25:00", "2026-01-31Z", " 2026-01-31",
        "2026-01-31\n", "-7y", "-\u0667d", "\u0662026-01-31", "--7d", "-1.5d", "2026-W05-1",
        "2026-01-31T09:00:00.1234567890Z",
    ],
)  # fmt: skip
def test_other_texts_are_refused_at_their_field(text: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        moment(text)
    assert pointers(error) == ["/from"]


@pytest.mark.parametrize(
    ("text", "timezone"),
    [
        ("1899-12-31", "UTC"),
        ("1900-01-01", "Asia/Tokyo"),  # still 1899 in UTC
        ("2300-01-01", "UTC"),
        ("9999-12-31T23:59-12:00", "UTC"),
        ("0001-01-01T00:00+12:00", "UTC"),
        ("-999999999m", "UTC"),
        ("+999999999d", "UTC"),
        ("-999999999h", "UTC"),
        ("+999999999w", "UTC"),
    ],
)
def test_a_moment_outside_1900_to_2299_is_refused(text: str, timezone: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        moment(text, timezone=timezone)
    assert pointers(error) == ["/from"]
    assert "1900 to 2299" in error.value.errors[0].message


def test_a_range_is_open_below_and_ends_at_as_of_unless_told() -> None:
    assert timerange.resolve_range(None, None, as_of=NOON, timezone="UTC") == (None, NOON)
    start, end = timerange.resolve_range("-1d", "2026-03-31", as_of=NOON, timezone="UTC")
    assert (start, end) == (datetime(2026, 3, 30, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC))
    assert timerange.resolve_range("2026-03-31", "2026-03-31", as_of=NOON, timezone="UTC")[0] == end


@pytest.mark.parametrize(
    ("from_", "to", "timezone", "pointer"),
    [
        ("2026-03-31", "2026-03-30", "UTC", "/q/to"),
        ("+1d", None, "UTC", "/q/from"),
        ("x-", None, "UTC", "/q/from"),
        (None, "x-", "UTC", "/q/to"),
        (None, None, "Europe/Bern", "/q/timezone"),
        (None, None, "../etc/localtime", "/q/timezone"),
        (None, None, "europe/berlin", "/q/timezone"),
    ],
)
def test_a_bad_range_is_refused_at_the_field_to_change(
    from_: str | None, to: str | None, timezone: str, pointer: str
) -> None:
    with pytest.raises(InvalidRequest) as error:
        timerange.resolve_range(from_, to, as_of=NOON, timezone=timezone, pointer="/q")
    assert pointers(error) == [pointer]


@pytest.mark.parametrize("text", ["7", "d", "-7d", "7d\n", "\u0667d", "7y", "1.5h", ""])
def test_a_bad_duration_is_refused_at_its_value(text: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        timerange.parse_duration(text, "/where/value")
    assert pointers(error) == ["/where/value"]


def test_only_signed_moments_are_relative() -> None:
    assert timerange.is_relative("-7d")
    assert timerange.is_relative("+1h")
    assert not timerange.is_relative("2026-01-31")


def test_an_instant_without_an_offset_is_utc() -> None:
    assert timerange.parse_instant("2026-01-31T09:00", "/value") == datetime(2026, 1, 31, 9, tzinfo=UTC)
    with pytest.raises(InvalidRequest):
        timerange.parse_instant("-7d", "/value")


@ORACLE
@given(MOMENTS, st.sampled_from(ZONES))
def test_local_times_agree_with_the_oracle(near: datetime, timezone: str) -> None:
    local = near.replace(tzinfo=None)
    zone = ZoneInfo(timezone)
    assert moment(local.isoformat(), timezone=timezone) == oracle.instant_of(local, zone)
    midnight = datetime.combine(local.date(), time())
    assert moment(local.date().isoformat(), timezone=timezone) == oracle.instant_of(midnight, zone)


@ORACLE
@given(MOMENTS, st.sampled_from(ZONES), st.integers(-40, 40), UNITS)
def test_relative_moments_agree_with_the_oracle(as_of: datetime, timezone: str, amount: int, unit: str) -> None:
    expected = oracle.relative(amount, unit, as_of, ZoneInfo(timezone))
    assert moment(f"{amount:+d}{unit}", as_of=as_of, timezone=timezone) == expected


@ORACLE
@given(MOMENTS, st.sampled_from(ZONES), st.integers(0, 40), UNITS, st.sampled_from([-1, 1]))
def test_durations_agree_with_the_oracle(as_of: datetime, timezone: str, amount: int, unit: str, sign: int) -> None:
    duration = timerange.parse_duration(f"{amount}{unit}", "/value")
    shifted = timerange.shift(as_of, duration, sign=sign, timezone=timezone, pointer="/value")
    assert shifted == oracle.shifted(as_of, sign * amount, unit, ZoneInfo(timezone))


@ORACLE
@given(st.dates(date(1910, 1, 1), date(2290, 1, 1)), st.integers(-1000, 1000))
def test_months_agree_with_the_oracle_over_centuries(day: date, months: int) -> None:
    expected = oracle.months_away(day, months)
    as_of = datetime(day.year, day.month, day.day, 15, tzinfo=UTC)
    if expected.year in timerange.YEARS:
        assert moment(f"{months:+d}m", as_of=as_of).date() == expected
    else:
        with pytest.raises(InvalidRequest):
            moment(f"{months:+d}m", as_of=as_of)
