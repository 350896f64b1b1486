"""The operation `profile.summary`: what one person did, counted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from contracts.profile_reads import DaySummary, NameSummary, ProfileEvents, ProfileSummary, ProfileSummaryResult
from services.kit import sql
from services.kit.event_rows import NAME_COLUMN
from services.kit.service import RequestContext
from services.profile.resources import Resources
from services.profile.timeline import person
from services.profile.timeline.frame import query, settle
from services.profile.timeline.statements import EVENTS, KEY, moment, theirs

DAYS: Final = 30
_MOST_NAMES: Final = 1_000
_EPOCH: Final = date(1970, 1, 1)


async def summary(resources: Resources, request: ProfileSummary, context: RequestContext) -> ProfileSummaryResult:
    """Answer `profile.summary`.

    Raises:
        InvalidRequest: something in the request cannot be; names the field.
        NotFound, Conflict: as `services.profile.profile.get`.
        LimitExceeded, DeadlineExceeded, Unavailable: from the stores.
    """
    history = ProfileEvents(id=request.id, timezone=request.timezone, as_of=request.as_of)
    frame = await settle(resources, history, context)
    whose = await person.find(resources, request.id, context)
    run = query(resources, context, frame)
    rows = list((await run.run(counts_sql(theirs(whose, frame), frame.timezone), external=[whose.external])).rows())
    days = {day: count for is_day, _, _, day, count, _, _ in rows if is_day}
    names = sorted((_name(row) for row in rows if not row[0]), key=lambda one: (-one.events, one.table, one.name or ""))
    today = frame.as_of.astimezone(ZoneInfo(frame.timezone)).date()
    last = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    return ProfileSummaryResult(
        profile_id=whose.profile,
        events=sum(one.events for one in names),
        first_seen_at=min((one.first_seen_at for one in names), default=None),
        last_seen_at=max((one.last_seen_at for one in names), default=None),
        days_active=len(days),
        names=tuple(names[:_MOST_NAMES]),
        truncated=len(names) > _MOST_NAMES,
        days=tuple(DaySummary(day=day, events=days.get((day - _EPOCH).days, 0)) for day in last),
        meta=run.facts(frame.as_of),
    )


def counts_sql(condition: str, timezone: str) -> str:
    """Return the events of each name and of each local day. Columns: whether it is a day's row, table, name, day (since
    1970-01-01), events, first and last time in milliseconds."""
    events = (
        "SELECT toString(source) AS table_name, any(name) AS event_name, toUnixTimestamp64Milli(timestamp) AS ts, "
        f"toInt32(toDate32(timestamp, {sql.string(timezone)})) AS day "
        f"FROM {EVENTS} PREWHERE {condition} GROUP BY {KEY}"
    )
    return (
        "SELECT grouping(day) = 0, table_name, event_name, day, count(), min(ts), max(ts) "
        f"FROM ({events}) GROUP BY GROUPING SETS ((table_name, event_name), (day))"
    )


def _name(row: Sequence[Any]) -> NameSummary:
    _, table, name, _, count, first, last = row
    source = table.decode()
    return NameSummary(
        table=source,
        name=name.decode(errors="replace") if source in NAME_COLUMN else None,
        events=count,
        first_seen_at=moment(first),
        last_seen_at=moment(last),
    )
