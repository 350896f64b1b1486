"""A request of trends once everything in it is settled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from contracts.caching import CachePolicy
from contracts.common import TableName
from contracts.trends import TrendSeries, TrendsRequest
from services.kit.cursor import Cursor
from services.kit.service import RequestContext
from services.query.analysis.source import asked_of_all, tables_of
from services.query.analysis.subject import Subject, subject_of
from services.query.analysis.trends import formula, periods
from services.query.analysis.trends.checks import check
from services.query.analysis.trends.formula import Expression
from services.query.analysis.trends.line import Line
from services.query.analysis.trends.periods import Period
from services.query.frame import Frame, depends_on_clock
from services.query.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`compared`: the range that `current` is compared with."""

    request: TrendsRequest
    frame: Frame
    lines: tuple[Line, ...]
    formula: Expression | None
    current: Period
    compared: Period | None

    @property
    def periods(self) -> list[Period]:
        """The ranges that are answered."""
        return [self.current] if self.compared is None else [self.current, self.compared]

    def cache_policy(self, resources: Resources, *, listed: bool = False) -> CachePolicy:
        """Return how the answer may be cached. `listed`: it lists those who are counted."""
        series = self.request.series
        asked = [predicate for one in series for predicate in (one.where, one.having)]
        single = any(one.occurrence != "any" for one in series)
        starts: list[datetime] = [line.read(period)[0] for line in self.lines for period in self.periods]
        end = self.frame.history_end if single else self.current.end
        return resources.cache_policy(
            self.request,
            self.frame,
            relative=any(map(depends_on_clock, [self.request.where, self.frame.internal, *asked])),
            resolved=any(
                line.subject.by in ("actor", "session") and (listed or single or line.series.measure in _OF_KEYS)
                for line in self.lines
            ),
            reads=(None if single else min(starts), end),
        )


_OF_KEYS = frozenset({"actors", "sessions", "per_actor", "wau", "mau"})


def _subject(request: TrendsRequest, one: TrendSeries, tables: tuple[TableName, ...]) -> Subject:
    return subject_of("session" if one.measure == "sessions" else request.analyse_by, tables)


async def settle(
    resources: Resources, request: TrendsRequest, context: RequestContext, *, page: Cursor | None = None
) -> Plan:
    """Check a request and settle what it means.

    Raises:
        InvalidRequest: something in it cannot be.
    """
    tables = tables_of(request.series)
    check(request, tables)
    expression = None if request.formula is None else formula.parse(request.formula, len(request.series))
    subjects = [_subject(request, one, tables) for one in request.series]
    frame = await resources.settle_analysis(request, tables, context, page=page)
    where = asked_of_all(request.where, frame, include_internal=request.include_internal)
    current = periods.current(request, frame)
    lines = tuple(
        Line(number=number, series=one, subject=subject, frame=frame, where=where)
        for number, (one, subject) in enumerate(zip(request.series, subjects, strict=True))
    )
    for line in lines:  # what cannot be written as SQL is refused even if this request does not need it
        line.source(line.read(current), columns={})
    return Plan(
        request=request,
        frame=frame,
        lines=lines,
        formula=expression,
        current=current,
        compared=periods.compared(request, frame, current),
    )
