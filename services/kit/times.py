"""The clock, the time zone and the range of a request, settled once. Meanings: docs/time.md."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from contracts.common import Moment, TimeZone
from contracts.workspace import WorkspaceSettings
from services.kit import timerange


class Times(NamedTuple):
    """Instants are UTC; `start` is None for all history."""

    timezone: str
    as_of: datetime
    start: datetime | None
    end: datetime


def settle(
    settings: WorkspaceSettings,
    *,
    from_: Moment | None = None,
    to: Moment | None = None,
    timezone: TimeZone | None = None,
    as_of: Moment | None = None,
    now: datetime,
    passed_on: datetime | None,
    fixed: tuple[datetime, str] | None = None,
) -> Times:
    """Resolve a request's times in a workspace of these settings.

    `fixed`: the clock and the time zone of the pages before. Else the clock is, in this order: the request's `as_of`,
    the one a calling service passed on, the workspace's pinned clock, `now`. Without `to` the range ends at as_of.

    Raises:
        InvalidRequest: a time or a zone that is none, or `to` before `from`.
    """
    zone = timezone or settings.timezone
    if fixed is not None:
        _, zone = fixed
    timerange.check_timezone(zone, pointer="/timezone")
    clock = passed_on or settings.clock or now
    clock = clock.astimezone(UTC).replace(microsecond=clock.microsecond // 1000 * 1000)
    moment = clock
    if fixed is not None:
        moment, _ = fixed
    elif as_of is not None:
        moment = timerange.resolve_moment(as_of, as_of=clock, timezone=zone, pointer="/as_of")
    start, end = timerange.resolve_range(from_, to, timezone=zone, as_of=moment)
    return Times(zone, moment, start, end)
