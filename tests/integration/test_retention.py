"""Retention on small histories with known answers, refusals, CSV, and the actors behind cells."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.api import Api

DAY = 86_400_000
FIRST = round(datetime(2026, 3, 2, tzinfo=UTC).timestamp() * 1000)
"""A Monday."""


def event(number: int, who: str, day: float, name: str = "buy", **more: Any) -> dict[str, Any]:
    timestamp = FIRST + round(day * DAY)
    return {
        "table": "track",
        "message_id": f"m{number}",
        "user_id": who,
        "timestamp": timestamp,
        "received_at": timestamp,
        "event": name,
        **more,
    }


def history(*events: tuple[Any, ...], **properties: Any) -> list[dict[str, Any]]:
    return [
        event(number, *one[:3], **({"properties": one[3]} if len(one) > 3 else {})) for number, one in enumerate(events)
    ]


WEEK: dict[str, Any] = {
    "start": {"names": ["visit"]},
    "return": {"names": ["buy"]},
    "period": "day",
    "periods": 3,
    "from": "2026-03-02",
    "to": "2026-03-05",
    "as_of": "2026-03-20",
}


async def ask(api: Api, **changes: Any) -> Any:
    body = {key: value for key, value in (WEEK | changes).items() if value is not None}
    answer = await api.call("/query/retention", body)
    assert answer.status == 200, (answer.body, body)
    return answer.json


def counts(answer: Any, group: int = 0) -> list[list[int | None]]:
    return [row["counts"] for row in answer["data"][group]["rows"]]


SHOP = history(
    ("ann", 0.5, "visit"),
    ("ann", 1.2, "buy"),
    ("ann", 1.3, "buy"),
    ("ann", 2.9, "buy"),
    ("bob", 0.1, "visit"),
    ("bob", 1.0, "visit"),
    ("bob", 3.0, "buy"),
    ("eve", 2.0, "visit"),
    ("eve", 2.5, "buy"),
    ("eve", 8.0, "buy"),
)


async def test_each_cell_counts_who_returns_in_its_period(api: Api) -> None:
    await api.write(SHOP)
    answer = await ask(api)
    assert counts(answer) == [[2, 1, 1], [1, 0, 1], [1, 0, 0]]
    assert [row["size"] for row in answer["data"][0]["rows"]] == [2, 1, 1]
    assert answer["data"][0]["rows"][0]["rates"] == [1.0, 0.5, 0.5]
    assert answer["data"][0]["mean"] == [1.0, 0.25, 0.5]
    assert answer["data"][0]["median"] == [1.0, 0.0, 0.5]
    assert answer["columns"] == [{"first": k, "last": k} for k in range(3)]


async def test_first_time_cohorts_hold_an_actor_once(api: Api) -> None:
    await api.write(SHOP)
    assert counts(await ask(api, cohorts="first_time")) == [[2, 1, 1], [0, 0, 0], [1, 0, 0]]


async def test_on_or_after_counts_later_returns_too_beyond_the_last_column(api: Api) -> None:
    await api.write(SHOP)
    answer = await ask(api, on_or_after=True)
    assert counts(answer) == [[2, 2, 2], [1, 1, 1], [1, 1, 1]]
    assert answer["columns"][1] == {"first": 1, "last": None}


async def test_occurrences_are_counted_within_one_cell(api: Api) -> None:
    await api.write([*SHOP, SHOP[1] | {"received_at": SHOP[1]["received_at"] + 5}])
    assert counts(await ask(api, min_occurrences=2)) == [[2, 1, 0], [1, 0, 0], [1, 0, 0]]
    assert counts(await ask(api, min_occurrences=3, brackets=[2], periods=None)) == [[2, 1], [1, 0], [1, 0]]


async def test_rolling_cells_are_counted_from_each_actors_anchor(api: Api) -> None:
    await api.write(SHOP)
    assert counts(await ask(api, cells="rolling")) == [[2, 0, 2], [1, 0, 1], [1, 0, 0]]


async def test_brackets_are_several_periods(api: Api) -> None:
    await api.write(SHOP)
    answer = await ask(api, brackets=[1, 5], periods=None)
    assert answer["columns"] == [{"first": 0, "last": 0}, {"first": 1, "last": 1}, {"first": 2, "last": 6}]
    assert counts(answer) == [[2, 1, 2], [1, 0, 1], [1, 0, 1]]


async def test_cells_that_have_not_begun_are_null_and_running_ones_are_flagged(api: Api) -> None:
    await api.write(SHOP)
    answer = await ask(api, as_of="2026-03-04T12:00:00Z")
    assert counts(answer) == [[2, 1, 0], [1, 0, None], [1, None, None]]
    rows = answer["data"][0]["rows"]
    assert [row["incomplete"] for row in rows] == [[False, False, True], [False, True, False], [True, False, False]]
    assert answer["data"][0]["mean"] == [1.0, 0.5, None], "only complete cells count"


async def test_rows_that_have_not_begun_have_no_size(api: Api) -> None:
    await api.write(SHOP)
    answer = await ask(api, to="2026-03-07", as_of="2026-03-04")
    assert [row["size"] for row in answer["data"][0]["rows"]] == [2, 1, None, None, None]
    assert answer["data"][0]["rows"][2] == {
        "start": "2026-03-04T00:00:00+00:00",
        "size": None,
        "counts": [None] * 3,
        "rates": [None] * 3,
        "values": None,
        "incomplete": [False] * 3,
    }
    answer = await ask(api, as_of="2026-03-01")
    assert counts(answer) == [[None] * 3] * 3


async def test_rolling_cells_have_begun_when_the_first_actors_has_and_run_until_the_lasts_ends(api: Api) -> None:
    await api.write(SHOP)
    rows = (await ask(api, cells="rolling", as_of="2026-03-04T12:00:00Z"))["data"][0]["rows"]
    assert [row["counts"] for row in rows] == [[2, 0, 0], [1, 0, None], [1, None, None]]
    assert [row["incomplete"] for row in rows] == [[False, True, True], [False, True, False], [True, False, False]]


async def test_the_range_is_widened_to_whole_periods(api: Api) -> None:
    await api.write(SHOP)
    answer = await ask(api, **{"from": "2026-03-02T20:00:00Z", "to": "2026-03-04T01:00:00Z"})
    assert counts(answer) == [[2, 1, 1], [1, 0, 1], [1, 0, 0]]


async def test_with_range_all_nothing_after_the_end_is_read(api: Api) -> None:
    await api.write(SHOP)
    answer = await ask(api, range="all", to="2026-03-04T11:00:00Z")
    assert counts(answer) == [[2, 1, 0], [1, 0, None], [1, None, None]]
    assert answer["data"][0]["rows"][2]["incomplete"] == [True, False, False]


async def test_weeks_and_months_are_local_and_whole(api: Api) -> None:
    def at(moment: str, number: int) -> dict[str, Any]:
        timestamp = round(datetime.fromisoformat(moment).timestamp() * 1000)
        return event(number, "ann", 0) | {"timestamp": timestamp, "received_at": timestamp}

    moments = ("2026-01-31T23:30:00+01:00", "2026-02-28T23:59:59+01:00", "2026-03-31T23:30:00+02:00")
    await api.write([at(moment, number) for number, moment in enumerate(moments)])
    body = {
        "start": {"names": ["buy"]},
        "return": None,
        "from": "2026-01-01",
        "to": "2026-04-01",
        "as_of": "2026-06-01",
        "timezone": "Europe/Berlin",
    }
    answer = await ask(api, **body, period="month")
    assert counts(answer) == [[1, 1, 1], [1, 1, 0], [1, 0, 0]]
    assert [row["start"] for row in answer["data"][0]["rows"]] == [
        "2026-01-01T00:00:00+01:00",
        "2026-02-01T00:00:00+01:00",
        "2026-03-01T00:00:00+01:00",
    ]
    weeks = await ask(api, **body | {"from": "2026-03-23", "to": "2026-04-06"}, period="week", week_start="sunday")
    assert [row["start"] for row in weeks["data"][0]["rows"]] == [
        "2026-03-22T00:00:00+01:00",
        "2026-03-29T00:00:00+01:00",
        "2026-04-05T00:00:00+02:00",
    ]
    assert [row["size"] for row in weeks["data"][0]["rows"]] == [0, 1, 0]


async def test_a_day_of_25_hours_is_one_day_and_a_repeated_hour_is_two(api: Api) -> None:
    def at(moment: str, number: int) -> dict[str, Any]:
        timestamp = round(datetime.fromisoformat(moment).timestamp() * 1000)
        return event(number, "ann", 0) | {"timestamp": timestamp, "received_at": timestamp}

    await api.write([at("2025-10-26T02:30:00+02:00", 0), at("2025-10-26T02:30:00+01:00", 1)])
    body = {
        "start": {"names": ["buy"]},
        "return": None,
        "from": "2025-10-26",
        "to": "2025-10-26T04:00",
        "as_of": "2025-12-01",
        "timezone": "Europe/Berlin",
        "periods": 2,
    }
    assert counts(await ask(api, **body)) == [[1, 0]]
    hours = await ask(api, **body, period="hour")
    assert counts(hours) == [[0, 0], [0, 0], [1, 1], [1, 0], [0, 0]]
    assert [row["start"][11:] for row in hours["data"][0]["rows"]][2:4] == ["02:00:00+02:00", "02:00:00+01:00"]


async def test_an_anonymous_visit_and_the_users_return_are_one_actor(api: Api) -> None:
    await api.write(
        [
            event(1, "", 0.1, "visit", anonymous_id="x"),
            event(2, "ann", 0.5, "login", anonymous_id="x"),
            event(3, "ann", 1.5, "buy"),
        ]
    )
    assert counts(await ask(api)) == [[1, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert counts(await ask(api, analyse_by="anonymous_id")) == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert counts(await ask(api, analyse_by="user_id")) == [[0, 0, 0]] * 3


async def test_the_first_start_of_all_keys_of_an_actor_decides_its_cohort(api: Api) -> None:
    await api.write(
        [
            event(1, "", -3, "visit", anonymous_id="x"),
            event(2, "ann", 0.5, "visit", anonymous_id="x"),
            event(3, "bob", 0.5, "visit"),
        ]
    )
    assert counts(await ask(api, cohorts="first_time")) == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


async def test_having_is_asked_of_the_first_start_ever(api: Api) -> None:
    phone = {"op": "eq", "field": "properties.device", "value": "phone"}
    await api.write(
        history(
            ("ann", -2, "visit", {"device": "desk"}),
            ("ann", 0.2, "visit", {"device": "phone"}),
            ("bob", 0.2, "visit", {"device": "phone"}),
        )
    )
    ever = {"start": {"names": ["visit"], "having": phone}, "cohorts": "first_time"}
    assert counts(await ask(api, **ever))[0] == [1, 0, 0], "bob alone: ann's first visit was at a desk"
    first = {"start": {"names": ["visit"], "where": phone}, "cohorts": "first_time"}
    assert counts(await ask(api, **first))[0] == [2, 0, 0]


PRICES = history(
    ("ann", 0.5, "visit", {"plan": "pro"}),
    ("ann", 0.6, "buy", {"price": 1, "plan": "pro"}),
    ("ann", 1.2, "buy", {"price": "2.5", "plan": "pro"}),
    ("ann", 1.3, "buy", {"price": 4, "plan": "free"}),
    ("bob", 0.1, "visit", {"plan": "free"}),
    ("bob", 0.2, "visit", {"plan": "pro"}),
    ("bob", 1.0, "buy", {"price": "much", "plan": "pro"}),
    ("eve", 0.3, "visit"),
    ("eve", 1.3, "buy", {"price": 8}),
)


async def test_sums_and_means_of_returns(api: Api) -> None:
    await api.write([*PRICES, PRICES[2] | {"received_at": PRICES[2]["received_at"] + 9}])
    body = {"periods": 2, "to": "2026-03-03"}
    answer = await ask(api, **body, measure={"kind": "sum", "field": "properties.price"})
    assert answer["data"][0]["rows"][0]["values"] == [1.0, 14.5]
    assert answer["data"][0]["mean_values"] == [1.0, 14.5]
    answer = await ask(api, **body, measure={"kind": "mean", "field": "properties.price"})
    assert counts(answer) == [[3, 3]]
    assert answer["data"][0]["rows"][0]["values"] == [1 / 3, 14.5 / 3]
    twice = await ask(api, **body, measure={"kind": "sum", "field": "properties.price"}, min_occurrences=2)
    assert (counts(twice), twice["data"][0]["rows"][0]["values"]) == ([[3, 1]], [1.0, 6.5]), "of those who count"


async def test_a_breakdown_is_by_the_first_start_and_adds_up_to_the_whole(api: Api) -> None:
    await api.write(PRICES)
    body = {"periods": 2, "to": "2026-03-03"}
    answer = await ask(api, **body, breakdown={"by": ["properties.plan"]})
    assert [group["group"]["values"] for group in answer["data"]] == [[None], ["free"], ["pro"]], "ties by text"
    assert [group["rows"][0]["counts"] for group in answer["data"]] == [[1, 1], [1, 1], [1, 1]]
    answer = await ask(api, **body, breakdown={"by": ["properties.plan"], "limit": 1})
    assert [group["group"] for group in answer["data"]] == [
        {"values": [None], "other": False},
        {"values": [], "other": True},
    ]
    assert answer["data"][1]["rows"][0]["counts"] == [2, 2]


async def test_held_breakdowns_count_returns_that_carry_the_same_value(api: Api) -> None:
    await api.write(PRICES)
    body = {"periods": 2, "to": "2026-03-03", "measure": {"kind": "sum", "field": "properties.price"}}
    answer = await ask(api, **body, breakdown={"by": ["properties.plan"], "holding": True})
    assert [(group["rows"][0]["counts"], group["rows"][0]["values"]) for group in answer["data"]] == [
        ([1, 1], [0.0, 8.0]),
        ([1, 0], [0.0, 0.0]),
        ([1, 1], [1.0, 2.5]),
    ]
    folded = await ask(api, **body, breakdown={"by": ["properties.plan"], "holding": True, "limit": 1})
    assert folded["data"][1]["rows"][0]["counts"] == [2, 2], "free and pro are one value now"


async def test_internal_users_are_left_out_unless_asked_for(api: Api) -> None:
    await api.write(SHOP)
    settings = {"internal_users": {"op": "eq", "field": "user_id", "value": "ann"}}
    assert (await api.call("/workspace", settings, method="PUT")).status == 200
    assert counts(await ask(api))[0] == [1, 0, 0]
    assert counts(await ask(api, include_internal=True))[0] == [2, 1, 1]


async def test_lists_open_every_cell_and_page_through_it(api: Api) -> None:
    await api.write(history(*((f"u{number}", 0.5, "visit") for number in range(7)), ("u3", 1.5, "buy")))
    asked = {"query": WEEK, "row": "2026-03-02", "k": 1}
    answer = await api.call("/query/retention/actors", asked)
    assert answer.json["data"] == [{"actor": {"kind": "user", "id": "u3"}}]
    assert answer.json["total"] == 1
    left: list[str] = []
    cursor = None
    while True:
        body = asked | {"retained": False, "limit": 4} | ({"cursor": cursor} if cursor else {})
        page = (await api.call("/query/retention/actors", body)).json
        assert page["total"] == 6
        left += [entry["actor"]["id"] for entry in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(left) == ["u0", "u1", "u2", "u4", "u5", "u6"]
    row = (await ask(api))["data"][0]["rows"][0]["start"]
    assert (await api.call("/query/retention/actors", asked | {"row": row, "k": 0})).json["total"] == 7


async def test_lists_of_a_group(api: Api) -> None:
    await api.write(PRICES)
    query = WEEK | {"breakdown": {"by": ["properties.plan"], "limit": 1}}
    asked = {"query": query, "row": "2026-03-02", "k": 1, "group": {"other": True}}
    listed = (await api.call("/query/retention/actors", asked)).json["data"]
    assert sorted(entry["actor"]["id"] for entry in listed) == ["ann", "bob"]
    asked["group"] = {"values": [None]}
    assert (await api.call("/query/retention/actors", asked)).json["data"] == [{"actor": {"kind": "user", "id": "eve"}}]


async def test_csv_has_a_line_for_each_group_row_and_column(api: Api) -> None:
    await api.write(PRICES)
    body = WEEK | {"periods": 2, "to": "2026-03-03", "as_of": "2026-03-03T09:00:00Z"}
    answer = await api.call("/query/retention", body, accept="text/csv")
    assert answer.body.decode().splitlines() == [
        "start,size,k,first,last,count,rate,incomplete",
        "2026-03-02T00:00:00+00:00,3,0,0,0,3,1.0,false",
        "2026-03-02T00:00:00+00:00,3,1,1,1,3,1.0,true",
    ]
    body |= {
        "breakdown": {"by": ["properties.plan"], "limit": 1},
        "measure": {"kind": "sum", "field": "properties.price"},
    }
    answer = await api.call("/query/retention", body, accept="text/csv")
    assert answer.body.decode().splitlines()[::2] == [
        "group_1,other,start,size,k,first,last,count,rate,value,incomplete",
        ",false,2026-03-02T00:00:00+00:00,1,1,1,1,1,1.0,8.0,true",
        ",true,2026-03-02T00:00:00+00:00,2,1,1,1,2,1.0,6.5,true",
    ]


async def test_an_empty_range_has_no_rows(api: Api) -> None:
    answer = await ask(api, **{"from": "2026-03-02", "to": "2026-03-02"})
    assert answer["data"] == [
        {
            "group": None,
            "rows": [],
            "mean": [None] * 3,
            "median": [None] * 3,
            "mean_values": None,
            "median_values": None,
        }
    ]
    nobody = await ask(api, breakdown={"by": ["properties.plan"]})
    assert nobody["data"] == []


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"cells": "rolling", "periods": None, "brackets": [1]}, "/brackets"),
        ({"cells": "rolling", "measure": {"kind": "sum", "field": "properties.price"}}, "/measure"),
        ({"on_or_after": True, "min_occurrences": 2}, "/min_occurrences"),
        ({"brackets": [1]}, "/periods"),
        ({"periods": None, "brackets": [600, 600]}, "/brackets"),
        ({"periods": 0}, "/periods"),
        ({"periods": 181}, "/periods"),
        ({"min_occurrences": 0}, "/min_occurrences"),
        ({"period": "year"}, "/period"),
        ({"cohorts": "first_time", "start": {"occurrence": "last"}}, "/start/occurrence"),
        ({"start": {"having": {"op": "exists", "field": "user_id"}}}, "/start/having"),
        ({"start": {"table": "identify", "names": ["x"]}}, "/start/names"),
        ({"return": {"where": {"op": "exists", "field": "traits.x"}}}, "/return/where/field"),
        ({"where": {"op": "exists", "field": "nothing"}}, "/where/field"),
        ({"measure": {"kind": "sum", "field": "traits.x"}}, "/measure/field"),
        ({"measure": {"kind": "median", "field": "properties.x"}}, "/measure/kind"),
        ({"breakdown": {"by": ["traits.plan"]}}, "/breakdown/by/0"),
        ({"breakdown": {"by": ["event"], "holding": True}, "return": {"table": "page"}}, "/breakdown/by/0"),
        ({"breakdown": {"by": []}}, "/breakdown/by"),
        ({"analyse_by": "nothing"}, "/analyse_by"),
        ({"timezone": "Mars/Olympus"}, "/timezone"),
        ({"from": "2026-04-01", "to": "2026-03-01"}, "/to"),
        ({"period": "hour", "from": "2020-01-01"}, "/period"),
        ({"period": "hour", "periods": 180, "from": "2025-01-01", "to": "2026-01-01"}, "/period"),
        ({"periods": 180, "from": "2025-01-01", "breakdown": {"by": ["event"]}}, "/breakdown/limit"),
        ({"start": None}, ""),
        ({"steps": 3}, ""),
    ],
)
async def test_what_cannot_be_is_refused_with_its_field(api: Api, changes: dict[str, Any], pointer: str) -> None:
    body = {key: value for key, value in (WEEK | changes).items() if value is not None}
    answer = await api.call("/query/retention", body)
    assert (answer.status, answer.json["errors"][0].get("pointer", "")) == (400, pointer), answer.body
    answer = await api.call("/query/retention/actors", {"query": body, "row": "2026-03-02", "k": 0})
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, f"/query{pointer}"), answer.body


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"row": "2026-03-02T01:00:00Z"}, "/row"),
        ({"row": "2026-03-06"}, "/row"),
        ({"row": "soon"}, "/row"),
        ({"k": 3}, "/k"),
        ({"k": -1}, "/k"),
        ({"row": "2026-03-04", "k": 1, "query": WEEK | {"as_of": "2026-03-04T12:00:00Z"}}, "/k"),
        ({"group": {"values": ["x"]}}, "/group"),
        ({"query": WEEK | {"breakdown": {"by": ["event"]}}}, "/group"),
        ({"query": WEEK | {"breakdown": {"by": ["event"]}}, "group": {"values": ["nothing"]}}, "/group"),
        ({"cursor": "bm8"}, "/cursor"),
    ],
)
async def test_lists_of_cells_that_are_not_there_are_refused(api: Api, changes: dict[str, Any], pointer: str) -> None:
    await api.write(SHOP)
    answer = await api.call("/query/retention/actors", {"query": WEEK, "row": "2026-03-02", "k": 1} | changes)
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, pointer), answer.body


async def test_sessions_can_be_counted_where_starts_and_returns_fall_into_one(api: Api) -> None:
    hour = 1 / 24
    await api.write(
        history(
            ("ann", 0.5, "visit"),
            ("ann", 0.5 + hour / 3, "scroll"),
            ("ann", 0.5 + hour * 2 / 3, "scroll"),
            ("ann", 0.5 + hour, "buy"),
            ("bob", 0.5, "visit"),
            ("bob", 0.5 + hour, "buy"),
        )
    )
    body = {"period": "hour", "periods": 2, "from": "2026-03-02T12:00:00Z", "to": "2026-03-02T13:00:00Z"}
    assert counts(await ask(api, **body)) == [[2, 2]]
    assert counts(await ask(api, **body, analyse_by="session")) == [[2, 1]], "bob's session was over"
    first = await ask(api, **body, analyse_by="session", cohorts="first_time")
    assert counts(first) == [[2, 1]]


@pytest.mark.parametrize("how", [{}, {"cohorts": "first_time"}, {"min_occurrences": 2}, {"cells": "rolling"}])
async def test_an_event_of_the_horizons_millisecond_lies_before_its_microseconds(api: Api, how: dict[str, Any]) -> None:
    await api.write(history(("ann", 0.5, "visit"), ("bob", 0.5 + 1 / DAY, "visit")))
    assert counts(await ask(api, **how, as_of="2026-03-02T12:00:00.000500Z"))[0] == [1, None, None]
    assert counts(await ask(api, **how, as_of="2026-03-02T12:00:00Z"))[0] == [0, None, None]
