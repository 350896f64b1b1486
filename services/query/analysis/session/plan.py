"""A request of sessions, checked and settled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from contracts.analysis import Breakdown
from contracts.caching import CachePolicy
from contracts.common import TableName, expand_tables
from contracts.errors import InvalidRequest
from contracts.predicates import Predicate
from contracts.session import SessionRequest
from services.kit.cursor import Cursor
from services.kit.predicates import check_predicate
from services.kit.service import RequestContext
from services.kit.sessions import Limits
from services.query.analysis import buckets
from services.query.analysis.breakdown import check_part
from services.query.analysis.source import asked_of_all
from services.query.analysis.subject import POINTER, Subject, subject_of
from services.query.frame import Frame, depends_on_clock
from services.query.resources import Resources

PAGES = ("entry_page", "exit_page")
"""Parts of a breakdown that are no fields of an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a request means. `bounds`: of the intervals (`buckets.bounds`), empty without."""

    request: SessionRequest
    frame: Frame
    start: datetime
    subject: Subject
    where: tuple[tuple[Predicate, str], ...]
    bounds: tuple[datetime, ...]

    @property
    def tables(self) -> tuple[TableName, ...]:
        """The tables whose events make the sessions."""
        return self.frame.tables

    @property
    def limits(self) -> Limits:
        """What ends a session."""
        return Limits(timeout=self.request.timeout * 1000, duration=self.request.max_duration * 1000)

    @property
    def parts(self) -> int:
        """The number of values of a group, 0 without a breakdown."""
        return 0 if self.request.breakdown is None else len(self.request.breakdown.by)

    def policy(self, resources: Resources) -> CachePolicy:
        """Return how an answer may be cached."""
        return resources.cache_policy(
            self.request,
            self.frame,
            relative=any(depends_on_clock(predicate) for predicate, _ in self.where),
            resolved=self.subject.by == "actor",
        )


async def settle(
    resources: Resources, request: SessionRequest, context: RequestContext, *, page: Cursor | None = None
) -> Plan:
    """Check a request and resolve its times.

    Raises:
        InvalidRequest: something in the request cannot be; names the field.
    """
    tables = expand_tables(request.table)
    if request.analyse_by == "session":
        raise InvalidRequest.at(POINTER, "sessions are what is counted here: name whose they are")
    if request.where is not None:
        check_predicate(request.where, tables)
    if request.breakdown is not None:
        _check_breakdown(request.breakdown, tables)
    subject = subject_of(request.analyse_by, tables)
    frame = await resources.settle_analysis(request, tables, context, page=page)
    assert frame.start is not None, "`from` has a default and cannot be null"
    bounds: list[datetime] = []
    if request.interval is not None:
        bounds = buckets.bounds(
            frame.start, frame.end, request.interval, timezone=frame.timezone, week_start=frame.week_start
        )
    return Plan(
        request=request,
        frame=frame,
        start=frame.start,
        subject=subject,
        where=asked_of_all(request.where, frame, include_internal=request.include_internal),
        bounds=tuple(bounds),
    )


def _check_breakdown(breakdown: Breakdown, tables: tuple[TableName, ...]) -> None:
    for index, part in enumerate(breakdown.by):
        at = f"/breakdown/by/{index}"
        if part not in PAGES:
            check_part(part, tables, at)
        elif "page" not in tables:
            raise InvalidRequest.at(at, "sessions have pages only where page events are read")
