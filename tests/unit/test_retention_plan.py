"""What a retention reads, which cells it has, and which SQL answers it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from contracts.retention import RetentionRequest
from contracts.workspace import WorkspaceSettings
from services.query.analysis.retention import masks
from services.query.analysis.retention.events import text_of
from services.query.analysis.retention.plan import Plan, planned, series_of
from services.query.analysis.source import tables_of
from services.query.analysis.subject import subject_of
from services.query.frame import settle

NOW = datetime(2026, 4, 15, 12, tzinfo=UTC)


def plan_of(**changes: Any) -> Plan:
    body = {"start": {"names": ["a"]}, "from": "2026-03-01", "to": "2026-03-03", "periods": 4} | changes
    request = msgspec.convert({key: value for key, value in body.items() if value is not None}, RetentionRequest)
    tables = tables_of(series_of(request))
    settings = WorkspaceSettings()
    frame = settle(request, UUID(int=1), settings, tables=tables, now=NOW, passed_on=None)
    return planned(request, frame, subject_of(request.analyse_by, tables))


def march(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "reads"),
    [
        ({}, (march(1), march(6))),
        ({"cells": "rolling"}, (march(1), march(7))),
        ({"periods": None, "brackets": [2, 5]}, (march(1), march(10))),
        ({"range": "all"}, (march(1), march(3))),
        ({"cohorts": "first_time"}, (None, march(6))),
        ({"return": {"occurrence": "last"}}, (None, NOW)),
        ({"on_or_after": True}, (march(1), NOW)),
        ({"as_of": "2026-03-02T06:00:00Z"}, (march(1), march(2, 6))),
        ({"period": "month"}, (march(1), NOW)),
    ],
)
def test_it_reads_from_the_first_row_to_the_last_cell_or_the_horizon(changes: dict[str, Any], reads: Any) -> None:
    assert plan_of(**changes).reads == reads


@pytest.mark.parametrize(
    ("changes", "grows"),
    [
        ({}, False),
        ({"on_or_after": True}, True),
        ({"on_or_after": True, "range": "all"}, False),
        ({"period": "week"}, False),
        ({"period": "month"}, True),
        ({"period": "month", "range": "all"}, False),
        ({"periods": 60}, True),
        ({"cells": "rolling", "periods": 43}, False),
        ({"cells": "rolling", "periods": 44}, True),
    ],
)
def test_an_answer_grows_while_cells_are_open(changes: dict[str, Any], grows: bool) -> None:
    assert plan_of(**changes).grows == grows


def test_the_axis_ends_with_what_is_read() -> None:
    assert plan_of(as_of="2026-03-02T06:00:00Z").axis == [march(1), march(2)]
    assert plan_of().axis == [march(day) for day in range(1, 6)]
    assert plan_of(on_or_after=True).axis == [march(day) for day in range(1, 7)], "one more for all that is later"


def test_the_plain_question_removes_no_duplicates_unless_a_predicate_could_tell_them_apart() -> None:
    assert masks.suits(plan_of())
    assert "FINAL" not in masks.cells_sql(plan_of())
    stable = {"names": ["a"], "where": {"op": "eq", "field": "user_id", "value": "u"}}
    assert "FINAL" not in masks.cells_sql(plan_of(start=stable))
    told = {"names": ["a"], "where": {"op": "exists", "field": "properties.x"}}
    assert "FINAL" in masks.cells_sql(plan_of(start=told))


@pytest.mark.parametrize(
    "changes",
    [
        {"cells": "rolling"},
        {"min_occurrences": 2},
        {"measure": {"kind": "sum", "field": "properties.x"}},
        {"breakdown": {"by": ["event"]}},
        {"period": "hour", "to": "2026-03-20"},
    ],
)
def test_what_sets_of_periods_cannot_tell_is_not_plain(changes: dict[str, Any]) -> None:
    assert not masks.suits(plan_of(**changes))


def test_tuples_of_values_have_texts_of_their_own() -> None:
    tuples = [("a", "b"), ("ab", None), (None, "ab"), ("a", None), ("", "a"), ("-", None), ("1:a", None), ("é", "b")]
    assert len({text_of(values) for values in tuples}) == len(tuples)
    assert text_of(("é", None)) == "2:é-", "lengths are bytes, as the engine counts"
