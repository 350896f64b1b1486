"""Where buckets of local time begin: known answers, and brute force around every kind of clock change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.analysis import Interval
from contracts.common import WeekStart
from contracts.errors import InvalidRequest
from services.query.analysis import buckets
from tests.oracle import buckets as oracle

CHANGES = {
    "UTC": ("2024-02-29",),
    "Europe/Berlin": ("2024-03-31", "2024-10-27", "1947-05-11"),  # 1947: clocks two hours ahead
    "America/New_York": ("2024-03-10", "2024-11-03"),
    "America/Sao_Paulo": ("2018-11-04", "2018-02-18"),  # midnight skipped; back at midnight, into the day before
    "America/Havana": ("2024-03-10", "2024-11-03"),  # midnight skipped; midnight doubled
    "America/St_Johns": ("2010-03-14", "2010-11-07"),  # at one minute past midnight
    "Australia/Lord_Howe": ("2024-04-07", "2024-10-06"),  # half an hour
    "Antarctica/Troll": ("2024-03-31", "2024-10-27"),  # two hours
    "Asia/Kathmandu": ("1986-01-01",),  # a quarter of an hour, at midnight of a year
    "Pacific/Apia": ("2011-12-30", "2011-09-24"),  # a whole day was skipped
    "Pacific/Kwajalein": ("1993-08-21", "1969-10-01"),  # so was one here; most of a day was repeated
    "America/Caracas": ("2007-12-09", "2016-05-01"),
    "Africa/Casablanca": ("2024-03-10", "2024-04-14"),
    "America/Juneau": ("1983-10-30",),  # 1983: two hours back
}
NEAR = st.sampled_from([(zone, day) for zone, days in CHANGES.items() for day in days])
INTERVALS = st.sampled_from(["minute", "hour", "day", "week", "month"])
WEEKS = st.sampled_from(["monday", "sunday"])
LONGEST = {"minute": 1, "hour": 3 * 60, "day": 3 * 1440, "week": 9 * 1440, "month": 33 * 1440}
"""Minutes that no bucket is longer than."""


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def bounds(
    start: str, end: str, interval: Interval, timezone: str = "UTC", week_start: WeekStart = "monday"
) -> list[str]:
    found = buckets.bounds(utc(start), utc(end), interval, timezone=timezone, week_start=week_start)
    return [moment.astimezone(ZoneInfo(timezone)).isoformat(timespec="minutes") for moment in found]


def test_a_day_of_a_clock_change_is_one_day() -> None:
    found = bounds("2024-03-30T12:00", "2024-04-01T12:00", "day", "Europe/Berlin")
    assert found == [f"2024-{day}T00:00+0{offset}:00" for day, offset in
                     (("03-30", 1), ("03-31", 1), ("04-01", 2), ("04-02", 2))]  # fmt: skip


def test_an_hour_that_clocks_repeat_is_two() -> None:
    assert bounds("2024-10-26T23:30", "2024-10-27T02:00", "hour", "Europe/Berlin") == [
        "2024-10-27T01:00+02:00",
        "2024-10-27T02:00+02:00",
        "2024-10-27T02:00+01:00",
        "2024-10-27T03:00+01:00",
    ]


def test_half_an_hour_repeated_belongs_to_its_hour() -> None:
    assert bounds("2024-04-06T14:00", "2024-04-06T16:00", "hour", "Australia/Lord_Howe") == [
        "2024-04-07T01:00+11:00",
        "2024-04-07T02:00+10:30",
        "2024-04-07T03:00+10:30",
    ]


def test_a_day_that_a_zone_skips_has_no_bucket() -> None:
    assert bounds("2011-12-29T12:00", "2012-01-01T00:00", "day", "Pacific/Apia") == [
        "2011-12-29T00:00-10:00",
        "2011-12-31T00:00+14:00",
        "2012-01-01T00:00+14:00",
        "2012-01-02T00:00+14:00",
    ]


def test_a_day_whose_midnight_is_skipped_begins_with_its_first_instant() -> None:
    assert bounds("2018-11-04T05:00", "2018-11-04T06:00", "day", "America/Sao_Paulo")[0] == "2018-11-04T01:00-02:00"


def test_weeks_begin_on_their_first_day_and_months_on_the_first() -> None:
    assert bounds("2024-02-29", "2024-03-01", "week") == ["2024-02-26T00:00+00:00", "2024-03-04T00:00+00:00"]
    sundays = bounds("2024-02-29", "2024-03-01", "week", week_start="sunday")
    assert sundays == ["2024-02-25T00:00+00:00", "2024-03-03T00:00+00:00"]
    months = bounds("2023-12-31", "2024-03-01T00:00:01", "month")
    assert [month[:7] for month in months] == ["2023-12", "2024-01", "2024-02", "2024-03", "2024-04"]


def test_offsets_with_seconds_are_followed() -> None:
    found = buckets.bounds(
        utc("1930-01-01T12:00"), utc("1930-01-01T13:00"), "day", timezone="Europe/Amsterdam", week_start="monday"
    )
    assert all(moment.astimezone(ZoneInfo("Europe/Amsterdam")).strftime("%H:%M:%S") == "00:00:00" for moment in found)


def test_an_empty_range_has_no_bucket() -> None:
    assert len(bounds("2024-01-01", "2024-01-01", "day")) == 1
    assert len(bounds("2024-01-01T12:00", "2024-01-01T12:00", "hour")) == 1


def test_too_many_buckets_are_refused_at_the_interval() -> None:
    assert len(bounds("2024-01-01", "2024-01-07T22:40", "minute")) == buckets.MAX_BUCKETS + 1
    with pytest.raises(InvalidRequest) as error:
        bounds("2024-01-01", "2024-01-07T22:40:01", "minute")
    assert [problem.pointer for problem in error.value.errors] == ["/interval"]


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(NEAR, INTERVALS, WEEKS, st.integers(-3_000, 3_000), st.integers(0, 5_000), st.integers(0, 59_999))
def test_bounds_are_where_the_local_clock_says(
    near: tuple[str, str], interval: Interval, week_start: WeekStart, offset: int, minutes: int, odd: int
) -> None:
    timezone, day = near
    start = utc(day) + timedelta(minutes=offset, milliseconds=odd)
    end = start + timedelta(minutes=minutes if interval != "minute" else minutes % 400)
    zone, longest = ZoneInfo(timezone), timedelta(minutes=LONGEST[interval])
    first = start.replace(second=0, microsecond=0) - longest
    every = oracle.starts(first, end + longest, interval, zone, week_start)
    head = max(moment for moment in every if moment <= start)
    tail = min(moment for moment in every if moment >= end) if end > start else head
    expected = [moment for moment in every if head <= moment <= tail]
    found = buckets.bounds(start, end, interval, timezone=timezone, week_start=week_start)
    assert found == expected


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(NEAR, INTERVALS, WEEKS, st.integers(-3_000, 3_000), st.integers(0, 5))
def test_what_comes_before_and_after_continues_the_bounds(
    near: tuple[str, str], interval: Interval, week_start: WeekStart, offset: int, count: int
) -> None:
    timezone, day = near
    moment = utc(day) + timedelta(minutes=offset)
    zone, longest = ZoneInfo(timezone), timedelta(minutes=LONGEST[interval])
    every = oracle.starts(moment - longest * (count + 1), moment + longest * (count + 1), interval, zone, week_start)
    first = max(start for start in every if start <= moment)
    place = every.index(first)
    earlier = buckets.before(first, count, interval, timezone=timezone, week_start=week_start)
    later = buckets.more(first, count, interval, timezone=timezone, week_start=week_start)
    assert earlier == every[place - count : place]
    assert later == every[place + 1 : place + 1 + count]
