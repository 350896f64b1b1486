"""A request of paths, checked and settled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from contracts.caching import CachePolicy
from contracts.common import TableName, expand_tables
from contracts.errors import InvalidRequest
from contracts.paths import PathsRequest
from contracts.predicates import Predicate
from services.kit.cursor import Cursor
from services.kit.predicates import check_field, check_predicate
from services.kit.service import RequestContext
from services.kit.sessions import Limits
from services.query.analysis.source import asked_of_all
from services.query.analysis.subject import ACTOR, Subject, subject_of
from services.query.frame import Frame, depends_on_clock
from services.query.resources import Resources

PATH: Final = "path"
"""What `page` says for the path of a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a request means. `subject`: who is counted; `whose`: whose events make the sessions."""

    request: PathsRequest
    frame: Frame
    start: datetime
    subject: Subject
    where: tuple[tuple[Predicate, str], ...]

    @property
    def whose(self) -> Subject:
        """Whose sessions they are: where sessions are counted, those of actors."""
        return ACTOR if self.subject.by == "session" else self.subject

    @property
    def limits(self) -> Limits:
        """What ends a session."""
        return Limits(timeout=self.request.timeout * 1000, duration=self.request.max_duration * 1000)

    @property
    def backward(self) -> bool:
        """Whether paths are read from their end."""
        return self.request.end is not None

    def policy(self, resources: Resources) -> CachePolicy:
        """Return how an answer may be cached."""
        return resources.cache_policy(
            self.request,
            self.frame,
            relative=any(depends_on_clock(predicate) for predicate, _ in self.where),
            resolved=self.whose.by == "actor",
        )


async def settle(
    resources: Resources, request: PathsRequest, context: RequestContext, *, page: Cursor | None = None
) -> Plan:
    """Check a request and resolve its times.

    Raises:
        InvalidRequest: something in the request cannot be; names the field.
    """
    tables = expand_tables(request.table)
    if request.start is not None and request.end is not None:
        raise InvalidRequest.at("/end", "a path has one anchor: name its start or its end")
    for pointer, anchor in (("/start", request.start), ("/end", request.end)):
        if anchor is not None and (anchor in request.exclude or (request.names and anchor not in request.names)):
            raise InvalidRequest.at(pointer, "must be one of the steps that are kept")
    named: tuple[tuple[TableName, str], ...] = (("track", request.track), ("page", request.page))
    for table, field in named:
        if table in tables and (table, field) != ("page", PATH):
            check_field(field, (table,), f"/{table}")
    if request.where is not None:
        check_predicate(request.where, tables)
    subject = subject_of(request.analyse_by, tables)
    frame = await resources.settle_analysis(request, tables, context, page=page)
    assert frame.start is not None, "`from` has a default and cannot be null"
    return Plan(
        request=request,
        frame=frame,
        start=frame.start,
        subject=subject,
        where=asked_of_all(request.where, frame, include_internal=request.include_internal),
    )
