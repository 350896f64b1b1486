"""The earlier range that a stickiness is compared with."""

from __future__ import annotations

from typing import Final

from contracts.errors import InvalidRequest
from contracts.stickiness import StickinessRequest
from services.kit import timerange
from services.query.analysis import buckets
from services.query.analysis.activity.plan import FIRST, Plan, Span, span_of, until_now

OFFSET: Final = "/compare/offset"


def compared(request: StickinessRequest, plan: Plan) -> Span | None:
    """Return the periods of the earlier range, if there is one.

    Raises:
        InvalidRequest: the offset is no step back, or leads out of the calendar or to too many periods.
    """
    if request.compare is None:
        return None
    frame, bounds = plan.frame, plan.span.bounds
    if request.compare.offset == "previous":
        if bounds[0] - FIRST < bounds[-1] - bounds[0]:
            raise InvalidRequest.at(OFFSET, "leads to before 1900, where no events are")
        before = buckets.before(
            bounds[0], plan.span.size, request.period, timezone=frame.timezone, week_start=frame.week_start
        )
        return until_now((*before, bounds[0]), frame)
    back = timerange.parse_duration(request.compare.offset[1:], OFFSET)
    if not back.amount:
        raise InvalidRequest.at(OFFSET, "must go back by more than nothing")
    assert frame.start is not None
    start, end = (
        timerange.shift(moment, back, sign=-1, timezone=frame.timezone, pointer=OFFSET)
        for moment in (frame.start, frame.end)
    )
    return span_of(start, end, request, frame)
