"""What a request of trends cannot be."""

from __future__ import annotations

from contracts.common import TableName, expand_tables
from contracts.errors import InvalidRequest
from contracts.trends import FIELD_MEASURES, TrendSeries, TrendsRequest
from services.kit.predicates import COLUMNS, check_field, check_predicate
from services.query.analysis.breakdown import check_breakdown
from services.query.analysis.source import check_series, tables_of
from services.query.analysis.subject import SESSION_TABLES
from services.query.analysis.trends.periods import WINDOW_DAYS


def check(request: TrendsRequest, tables: tuple[TableName, ...]) -> None:
    """Refuse a request that cannot be; `tables` are those its series name. The formula is checked where it is parsed.

    Raises:
        InvalidRequest: at the part.
    """
    for number, one in enumerate(request.series):
        pointer = f"/series/{number}"
        check_series(one, pointer)
        _check_field(one, pointer)
        _check_sessions(request, one, pointer)
        if request.cumulative and one.measure in WINDOW_DAYS:
            raise InvalidRequest.at(f"{pointer}/measure", f"{one.measure} cannot be cumulative: it is of its own days")
    if request.where is not None:
        check_predicate(request.where, tables)
    if request.breakdown is not None:
        check_breakdown(request.breakdown, tables)


def _check_sessions(request: TrendsRequest, one: TrendSeries, pointer: str) -> None:
    if one.measure == "sessions" and request.analyse_by not in ("actor", "session"):
        raise InvalidRequest.at(f"{pointer}/measure", "sessions are those of actors: analyse by actor")
    of_sessions = one.measure == "sessions" or request.analyse_by == "session"
    if of_sessions and not set(expand_tables(one.table)) & set(SESSION_TABLES):
        raise InvalidRequest.at(f"{pointer}/table", "only track and page events belong to sessions")


def _check_field(one: TrendSeries, pointer: str) -> None:
    if one.measure not in FIELD_MEASURES:
        if one.field is not None:
            raise InvalidRequest.at(f"{pointer}/field", f"goes with a measure of a field, not with {one.measure}")
        return
    if one.field is None:
        raise InvalidRequest.at(f"{pointer}/field", f"{one.measure} needs a field: name it")
    reference = check_field(one.field, tables_of([one]), f"{pointer}/field")
    kind = COLUMNS[reference.column].kind
    if one.measure != "unique" and (kind in ("time", "table") or (kind == "object" and reference.path is None)):
        raise InvalidRequest.at(f"{pointer}/field", f"{one.field!r} has no numbers: {one.measure} cannot be of it")
