"""Funnels that cannot be. Each is refused naming the field."""

from __future__ import annotations

from contracts.common import TableName, expand_tables
from contracts.errors import InvalidRequest
from contracts.funnel import FunnelActorsRequest, FunnelRequest, Step
from services.kit.predicates import check_field, check_predicate
from services.query.analysis.breakdown import check_breakdown
from services.query.analysis.source import check_series


def check(request: FunnelRequest, tables: tuple[TableName, ...]) -> None:
    """Refuse what cannot be answered, whatever the events; `tables`: those the steps and exclusions name.

    Raises:
        InvalidRequest: names the field.
    """
    for index, step in enumerate(request.steps):
        _check_step(request, index, step)
    _check_exclusions(request)
    for index, name in enumerate(request.holding):
        if name in request.holding[:index]:
            raise InvalidRequest.at(f"/holding/{index}", f"{name!r} is named twice: name each field once")
        reference = check_field(name, tables, f"/holding/{index}")
        if reference.path is not None and reference.path.steps:
            raise InvalidRequest.at(f"/holding/{index}", "must be a field with one value an event, not of an array")
    if request.where is not None:
        check_predicate(request.where, tables)
    _check_breakdown(request, tables)
    convert = request.time_to_convert
    if convert is not None:
        if convert.to_step > len(request.steps):
            raise InvalidRequest.at("/time_to_convert/to_step", f"there are only {len(request.steps)} steps")
        if convert.from_step >= convert.to_step:
            raise InvalidRequest.at("/time_to_convert/from_step", "must be before to_step")


def _check_step(request: FunnelRequest, index: int, step: Step) -> None:
    at = f"/steps/{index}"
    check_series(step, at)
    if not step.names and step.where is None and expand_tables(step.table) == ("track",):
        raise InvalidRequest.at(f"{at}/names", "name an event, or ask something of it with `where`")
    if step.optional:
        if index == 0:
            raise InvalidRequest.at(f"{at}/optional", "the first step cannot be optional")
        if request.order != "ordered":
            raise InvalidRequest.at(f"{at}/optional", "only ordered funnels have optional steps")
        if request.exclusions:
            raise InvalidRequest.at(f"{at}/optional", "a funnel with exclusions has no optional steps")


def _check_exclusions(request: FunnelRequest) -> None:
    last = len(request.steps)
    for index, exclusion in enumerate(request.exclusions):
        at = f"/exclusions/{index}"
        check_series(exclusion, at)
        if not exclusion.names and exclusion.where is None and expand_tables(exclusion.table) == ("track",):
            raise InvalidRequest.at(f"{at}/names", "name an event, or ask something of it with `where`")
        to_step = last if exclusion.to_step is None else exclusion.to_step
        if to_step > last:
            raise InvalidRequest.at(f"{at}/to_step", f"there are only {last} steps")
        if exclusion.from_step >= to_step:
            raise InvalidRequest.at(f"{at}/from_step", "must be before to_step")
        if request.order == "any" and (exclusion.from_step != 1 or to_step != last):
            field = "from_step" if exclusion.from_step != 1 else "to_step"
            raise InvalidRequest.at(f"{at}/{field}", "in any order an exclusion spans the whole funnel: leave it out")


def _check_breakdown(request: FunnelRequest, tables: tuple[TableName, ...]) -> None:
    breakdown = request.breakdown
    if breakdown is None:
        return
    check_breakdown(breakdown, tables)
    if breakdown.attribution != "step":
        if breakdown.step is not None:
            raise InvalidRequest.at("/breakdown/step", "goes with attribution `step`")
    elif breakdown.step is None:
        raise InvalidRequest.at("/breakdown/step", "say which step: attribution `step` takes the values of its event")
    elif breakdown.step > len(request.steps):
        raise InvalidRequest.at("/breakdown/step", f"there are only {len(request.steps)} steps")


def check_actors(request: FunnelActorsRequest) -> None:
    """Refuse a number that an answer does not have.

    Raises:
        InvalidRequest: names the field.
    """
    query = request.query
    if request.step > len(query.steps):
        raise InvalidRequest.at("/step", f"there are only {len(query.steps)} steps")
    if request.dropped and request.step == 1:
        raise InvalidRequest.at("/dropped", "there is nothing before step 1")
    if query.breakdown is None:
        if request.group is not None:
            raise InvalidRequest.at("/group", "the query has no breakdown")
    elif request.group is None:
        raise InvalidRequest.at("/group", "say which group of the breakdown, as the answer has it")
    elif request.group.other:
        if request.group.values:
            raise InvalidRequest.at("/group/values", "`other` has no values")
    elif len(request.group.values) != len(query.breakdown.by):
        raise InvalidRequest.at("/group/values", f"name {len(query.breakdown.by)} values, one for each part")
    if request.interval is not None and query.trend is None:
        raise InvalidRequest.at("/interval", "the query has no trend")
