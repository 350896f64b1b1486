"""A series of a request, settled: which of its events are read, and what is read of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from contracts.analysis import LETTERS, Letter
from contracts.predicates import Predicate
from contracts.trends import FIELD_MEASURES, TrendSeries
from services.kit.predicates import Scope, check_field, compile_field
from services.kit.predicates.operations import is_number_text
from services.query.analysis.source import Column, Source, tables_of
from services.query.analysis.subject import Subject
from services.query.analysis.trends.periods import WINDOW_DAYS, Days, Period, days_of
from services.query.frame import Frame

FIRST: Final = datetime(1900, 1, 1, tzinfo=UTC)
"""The earliest moment of an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A series of a checked request."""

    number: int
    series: TrendSeries
    subject: Subject
    frame: Frame
    where: tuple[tuple[Predicate, str], ...]

    @property
    def letter(self) -> Letter:
        """Its name in formulas and answers."""
        return LETTERS[self.number]

    @property
    def pointer(self) -> str:
        """Where it stands in the request."""
        return f"/series/{self.number}"

    def days(self, period: Period) -> Days | None:
        """Return the days it looks back to, None for a measure that looks at the range alone."""
        length = WINDOW_DAYS.get(self.series.measure)
        return None if length is None else days_of(period, length, self.frame)

    def read(self, period: Period) -> tuple[datetime, datetime]:
        """Return the range whose events are read for a period."""
        days = self.days(period)
        return (period.start if days is None else max(FIRST, min(period.start, days.window(0)[0]))), period.end

    def source(
        self,
        span: tuple[datetime, datetime],
        *,
        columns: Mapping[str, Column],
        counted: bool = False,
        resolved: bool = False,
    ) -> str:
        """Return a SELECT of `actor`, `ts`, `columns`, and `value` for a measure of a field: a Nullable(Float64), for
        `unique` a Nullable(String). `counted`: events are, so each must be there once. An event with several values is
        there once for each."""
        start, end = span
        field = self.series.field
        values: dict[str, Column] = {} if field is None else {"value": self._value}
        source = Source(
            frame=self.frame,
            subject=self.subject,
            series=(self.series,),
            start=start,
            end=end,
            where=self.where,
            columns={**columns, **values},
            distinct=counted,
            resolved=resolved,
            pointers=(self.pointer,),
        ).sql()
        if field is None or not self._is_array(field):
            return source
        listed = ", ".join(["actor", "ts", *columns])
        # A row without values stays, for its group is there even so.
        return f"SELECT {listed}, arrayJoin(if(empty(value), [NULL], value)) AS value FROM ({source})"

    def _is_array(self, field: str) -> bool:
        path = check_field(field, tables_of([self.series]), f"{self.pointer}/field").path
        return path is not None and bool(path.steps)

    def _value(self, scope: Scope) -> str:
        assert self.series.field is not None and self.series.measure in FIELD_MEASURES
        found = compile_field(self.series.field, scope, f"{self.pointer}/field")
        array = self._is_array(self.series.field)
        if self.series.measure == "unique":
            return f"CAST({found.texts}, 'Array(Nullable(String))')" if array else found.text
        if not array:
            return found.number
        return f"arrayMap(x -> if({is_number_text('x')}, toFloat64OrNull(x), NULL), {found.texts})"
