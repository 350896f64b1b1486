"""The buckets of trends: found by arithmetic, moved back, and the days of a window."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import pytest

from contracts.analysis import Interval
from contracts.errors import InvalidRequest
from contracts.trends import Comparison, TrendSeries, TrendsRequest
from services.query.analysis import bucketing, buckets
from services.query.analysis.trends import periods
from services.query.frame import Frame


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def frame(start: str, end: str, *, zone: str = "UTC", as_of: str = "2030-01-01") -> Frame:
    return Frame(
        workspace=UUID(int=1),
        tables=("track",),
        timezone=zone,
        as_of=utc(as_of),
        start=utc(start),
        end=utc(end),
        pinned=True,
    )


def request(interval: Interval, offset: str = "previous") -> TrendsRequest:
    return TrendsRequest(series=(TrendSeries(),), interval=interval, compare=Comparison(offset=offset))


def moved(interval: Interval, offset: str, where: Frame) -> tuple[str, str, int]:
    asked = request(interval, offset)
    found = periods.compared(asked, where, periods.current(asked, where))
    assert found is not None
    return found.start.isoformat()[:16], found.end.isoformat()[:16], found.size


def test_previous_moves_by_as_many_intervals_as_the_range_touches() -> None:
    assert moved("day", "previous", frame("2024-03-04", "2024-03-07")) == ("2024-03-01T00:00", "2024-03-04T00:00", 3)
    # Eight days, the last one until noon, are compared with eight days, the last one until noon.
    cut = frame("2024-03-04", "2024-03-11T12:00")
    assert moved("day", "previous", cut) == ("2024-02-25T00:00", "2024-03-03T12:00", 8)
    assert moved("month", "previous", frame("2024-03-31", "2024-04-30")) == ("2024-01-31T00:00", "2024-02-29T00:00", 2)


def test_local_days_keep_their_time_of_day_across_clock_changes() -> None:
    berlin = frame("2024-03-31T22:00", "2024-04-01T22:00", zone="Europe/Berlin")  # 1 April, summer time
    assert moved("day", "-7d", berlin) == ("2024-03-24T23:00", "2024-03-25T23:00", 1)
    assert moved("hour", "-24h", berlin) == ("2024-03-30T22:00", "2024-03-31T22:00", 24)


def test_an_offset_must_lead_back_and_stay_in_the_calendar() -> None:
    for offset in ("-0d", "-500000d"):
        with pytest.raises(InvalidRequest) as refused:
            moved("day", offset, frame("2024-03-04", "2024-03-07"))
        assert refused.value.errors[0].pointer == "/compare/offset"


def test_a_window_ends_with_the_last_day_of_a_bucket_that_has_come() -> None:
    where = frame("2024-03-01", "2024-05-01", as_of="2024-04-10T12:00")
    days = periods.days_of(periods.current(request("month"), where), 7, where)
    windows = [[moment.date().isoformat() for moment in days.window(bucket)] for bucket in (0, 1, None)]
    assert windows == [["2024-03-25", "2024-04-01"], ["2024-04-04", "2024-04-11"], ["2024-04-04", "2024-04-11"]]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "Pacific/Apia"])
@pytest.mark.parametrize("interval", ["minute", "hour", "day", "week", "month"])
def test_the_division_that_finds_a_bucket_agrees_with_a_search(zone: str, interval: Interval) -> None:
    rng = Random(f"{zone} {interval}")
    length = {"minute": 3, "hour": 200}.get(interval, 700)
    start = utc("2011-10-20") + timedelta(minutes=rng.randrange(100_000))
    bounds = buckets.bounds(start, start + timedelta(days=length), interval, timezone=zone, week_start="monday")
    instants = [buckets.milliseconds(bound) for bound in bounds]
    moments = [rng.randrange(instants[0], instants[-1]) for _ in range(500)]
    moments += [bound + step for bound in instants for step in (-1, 0) if instants[0] <= bound + step < instants[-1]]
    runs = bucketing.runs(instants)
    for moment in moments:
        run = max((run for run in runs if run.start <= moment), key=lambda run: run.start)
        assert (moment - run.start) // run.length + run.number == bisect_right(instants, moment) - 1
