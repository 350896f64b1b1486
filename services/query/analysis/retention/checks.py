"""Requests for retention that cannot be. Reasons: docs/retention.md."""

from __future__ import annotations

from typing import Final

from contracts.analysis import Series
from contracts.common import expand_tables
from contracts.errors import InvalidRequest
from contracts.retention import RetentionBreakdown, RetentionRequest
from services.kit.predicates import check_field, check_predicate
from services.query.analysis.breakdown import check_breakdown, check_part
from services.query.analysis.retention.plan import Plan, series_of
from services.query.analysis.source import check_series, tables_of

MAX_CELLS: Final = 500_000


def check(request: RetentionRequest) -> None:
    """Refuse what cannot be, before anything else is known.

    Raises:
        InvalidRequest: names the field.
    """
    _check_columns(request)
    if request.cohorts == "first_time" and request.start.occurrence == "last":
        raise InvalidRequest.at("/start/occurrence", "first_time cohorts begin with the first one")
    start, returns = series_of(request)
    check_series(start, "/start")
    check_series(returns, "/return")
    if request.where is not None:
        check_predicate(request.where, tables_of([start, returns]), "/where")
    if request.measure is not None:
        check_field(request.measure.field, expand_tables(returns.table), "/measure/field")
    if request.breakdown is not None:
        check_breakdown(request.breakdown, expand_tables(start.table), "/breakdown")
        if request.breakdown.holding:
            _check_held(request.breakdown, returns)


def _check_columns(request: RetentionRequest) -> None:
    if request.brackets:
        if request.periods is not None:
            raise InvalidRequest.at("/periods", "the brackets are the columns: leave this out")
        if sum(request.brackets) > 1_000:
            raise InvalidRequest.at("/brackets", "must be at most 1,000 periods together")
    if request.cells == "rolling":
        if request.brackets:
            raise InvalidRequest.at("/brackets", "goes with calendar cells only")
        if request.measure is not None:
            raise InvalidRequest.at("/measure", "goes with calendar cells only")
    if request.on_or_after and request.min_occurrences > 1:
        raise InvalidRequest.at("/min_occurrences", "is of one period or bracket: not with on_or_after")


def _check_held(breakdown: RetentionBreakdown, returns: Series) -> None:
    for index, part in enumerate(breakdown.by):
        check_part(part, expand_tables(returns.table), f"/breakdown/by/{index}")


def check_size(plan: Plan) -> None:
    """Refuse an answer of too many cells.

    Raises:
        InvalidRequest: names what to change.
    """
    cells = plan.rows * len(plan.spans)
    if cells > MAX_CELLS:
        raise InvalidRequest.at("/period", f"makes more than {MAX_CELLS:,} cells: take longer periods")
    breakdown = plan.request.breakdown
    if breakdown is not None and cells * (breakdown.limit + 1) > MAX_CELLS:
        raise InvalidRequest.at(
            "/breakdown/limit", f"makes more than {MAX_CELLS:,} cells: take fewer groups or longer periods"
        )
