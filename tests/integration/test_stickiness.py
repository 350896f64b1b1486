"""Stickiness on small histories with known answers; what is refused; lists, CSV, caching."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import nats
import pytest

from tests.analyses import ask, everyone, key_of
from tests.api import Api

SERIES = {"series": [{"names": ["Visit"]}]}
RANGE = {"from": "2026-01-05", "to": "2026-01-09", "as_of": "2026-01-20T00:00:00Z"}


def visit(user: str, at: str, **fields: Any) -> dict[str, Any]:
    moment = round(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() * 1000)
    base = {"table": "track", "event": "Visit", "user_id": user, "message_id": f"{user}-{at}", "properties": {}}
    return base | {"timestamp": moment, "received_at": moment + 5} | fields


def days(user: str, numbers: Iterable[int], **fields: Any) -> list[dict[str, Any]]:
    return [visit(user, f"2026-01-{day:02}T{hour}:00", **fields) for day in numbers for hour in (10, 12)]


async def stickiness(api: Api, **body: Any) -> dict[str, Any]:
    found: dict[str, Any] = await ask(api, api.workspace, "/query/stickiness", SERIES | RANGE | body)
    return found


async def test_actors_are_counted_by_their_number_of_distinct_periods(api: Api) -> None:
    await api.write([*days("a", [5]), *days("b", [5, 7]), *days("c", [4, 6, 8, 9]), *days("d", [5, 6, 7, 8])])
    (line,) = (await stickiness(api))["data"]
    assert (line["actors"], line["counts"], line["mean"]) == (4, [1, 2, 0, 1], 2.25)
    assert line["rates"] == [0.25, 0.5, 0, 0.25]
    (line,) = (await stickiness(api, cumulative=True))["data"]
    assert (line["actors"], line["counts"], line["mean"]) == (4, [4, 3, 1, 1], 2.25)
    assert line["rates"] == [1, 0.75, 0.25, 0.25]


async def test_nobody_has_no_rates(api: Api) -> None:
    (line,) = (await stickiness(api))["data"]
    assert (line["actors"], line["counts"]) == (0, [0, 0, 0, 0])
    assert (line["mean"], line["rates"], line["compared"]) == (None, [None] * 4, None)
    empty = await stickiness(api, to="2026-01-05")
    assert (empty["periods"], empty["data"][0]["counts"]) == ([], [])


async def test_the_range_is_widened_to_whole_periods_but_not_beyond_now(api: Api) -> None:
    await api.write([visit("u", "2026-01-05T00:30"), visit("u", "2026-01-06T23:30"), visit("v", "2026-01-06T11:30")])
    body = {"from": "2026-01-05T12:00:00Z", "to": "2026-01-06T12:00:00Z"}
    (line,) = (await stickiness(api, **body))["data"]
    assert line["counts"] == [1, 1]
    found = await stickiness(api, **body, as_of="2026-01-06T12:00:00Z")
    assert [period["incomplete"] for period in found["periods"]] == [False, True]
    assert found["data"][0]["counts"] == [2, 0]


async def test_weeks_begin_where_the_request_says(api: Api) -> None:
    await api.write([visit("u", "2026-01-10T12:00"), visit("u", "2026-01-11T12:00")])  # Saturday and Sunday
    body = {"period": "week", "from": "2026-01-05", "to": "2026-01-12"}
    (monday,) = (await stickiness(api, **body))["data"]
    (sunday,) = (await stickiness(api, **body, week_start="sunday"))["data"]
    assert (monday["counts"], sunday["counts"]) == ([1], [0, 1])


async def test_an_anonymous_past_counts_with_the_user(api: Api) -> None:
    await api.write([*days("", [5], anonymous_id="x"), *days("u", [6], anonymous_id="x"), *days("u", [7])])
    (line,) = (await stickiness(api))["data"]
    assert line["counts"] == [0, 0, 1, 0]
    (line,) = (await stickiness(api, analyse_by="anonymous_id"))["data"]
    assert line["counts"] == [0, 1, 0, 0]


async def test_a_comparison_is_over_as_many_periods_before(api: Api) -> None:
    await api.write([*days("u", [1, 2, 5]), *days("v", [3])])
    found = await stickiness(api, compare={"offset": "previous"})
    assert [period["start"][:10] for period in found["compared"]] == [f"2026-01-0{day}" for day in (1, 2, 3, 4)]
    (line,) = found["data"]
    assert (line["counts"], line["compared"]["counts"]) == ([1, 0, 0, 0], [1, 1, 0, 0])
    assert line["compared"]["mean"] == 1.5
    found = await stickiness(api, compare={"offset": "-2d"})
    assert [period["start"][:10] for period in found["compared"]] == [f"2026-01-0{day}" for day in (3, 4, 5, 6)]
    assert found["data"][0]["compared"]["counts"] == [2, 0, 0, 0]


async def test_an_actor_stands_under_the_values_of_the_first_event_in_the_range(api: Api) -> None:
    await api.write(
        [
            *days("u", [1], properties={"from": "ad"}),
            *days("u", [5], properties={"from": "mail"}),
            *days("u", [6], properties={"from": "ad"}),
            *days("v", [7], properties={"from": "mail"}),
            *days("w", [8]),
        ]
    )
    breakdown = {"by": ["properties.from"]}
    found = (await stickiness(api, breakdown=breakdown, compare={"offset": "previous"}))["data"]
    groups = [(line["group"], line["counts"], line["compared"]["counts"]) for line in found]
    assert groups == [
        ({"values": ["mail"], "other": False}, [1, 1, 0, 0], [0, 0, 0, 0]),
        ({"values": [None], "other": False}, [1, 0, 0, 0], [0, 0, 0, 0]),
        ({"values": [], "other": True}, [0, 0, 0, 0], [1, 0, 0, 0]),
    ]


async def test_lists_hold_those_that_were_counted(api: Api) -> None:
    await api.write([*days("a", [2, 5]), *days("b", [3, 5, 7]), *days("c", [4, 5, 6, 7])])
    query = SERIES | RANGE | {"compare": {"offset": "previous"}}

    async def listed(query: dict[str, Any], **body: Any) -> set[Any]:
        found = await everyone(api, api.workspace, "/query/stickiness/actors", {"query": query, **body}, limit=1)
        return {key_of(entry)[1] for entry in found}

    assert await listed(query, periods=1) == {"a"}
    assert await listed(query, periods=2) == {"b"}
    assert await listed(query, periods=4) == set()
    assert await listed(query | {"cumulative": True}, periods=2) == {"b", "c"}
    assert await listed(query, periods=1, compared=True) == {"a", "b", "c"}


async def test_the_table_has_a_row_for_each_count(api: Api) -> None:
    await api.write([*days("u", [5]), *days("v", [3, 5, 6])])
    body = SERIES | RANGE | {"to": "2026-01-07", "compare": {"offset": "previous"}}
    answer = await api.call("/query/stickiness", body, accept="text/csv")
    header, *rows = csv.reader(io.StringIO(answer.body.decode()))
    assert header == ["series", "label", "range", "periods", "count", "rate"]
    assert rows == [
        ["A", "", "current", "1", "1", "0.5"],
        ["A", "", "current", "2", "1", "0.5"],
        ["A", "", "compared", "1", "1", "1.0"],
        ["A", "", "compared", "2", "0", "0.0"],
    ]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"series": [{"occurrence": "last"}]}, "/series/0/occurrence"),
        ({"series": [{"where": {"op": "gt", "field": "timestamp", "value": 1}}]}, "/series/0/where/op"),
        ({"breakdown": {"by": ["nothing"]}}, "/breakdown/by/0"),
        ({"analyse_by": "traits.x"}, "/analyse_by"),
        ({"period": "minute"}, "/period"),
        ({"period": "hour", "from": "2020-01-01"}, "/period"),
        ({"compare": {"offset": "-0d"}}, "/compare/offset"),
        ({"compare": {"offset": "1d"}}, "/compare/offset"),
        ({"compare": {"offset": "-900m"}, "from": "1950-01-01", "period": "month"}, "/compare/offset"),
        (
            {"compare": {"offset": "previous"}, "from": "1930-01-01", "to": "1990-01-01", "period": "month"},
            "/compare/offset",
        ),
    ],
)
async def test_what_cannot_be_is_refused_at_its_field(api: Api, body: dict[str, Any], pointer: str) -> None:
    answer = await api.call("/query/stickiness", SERIES | RANGE | body)
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, pointer)
    inside = await api.call("/query/stickiness/actors", {"query": SERIES | RANGE | body, "periods": 1})
    assert (inside.status, inside.json["errors"][0]["pointer"]) == (400, f"/query{pointer}")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"periods": 0}, "/periods"),
        ({"periods": 5}, "/periods"),
        ({"compared": True}, "/compared"),
        ({"series": "C"}, "/series"),
        ({"group": {"values": ["x"]}}, "/group"),
    ],
)
async def test_lists_of_what_no_answer_has_are_refused(api: Api, body: dict[str, Any], pointer: str) -> None:
    answer = await api.call("/query/stickiness/actors", {"query": SERIES | RANGE, "periods": 1} | body)
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, pointer)


async def test_an_answer_of_the_past_is_kept_until_events_of_its_days_come(api: Api) -> None:
    body = (
        SERIES
        | RANGE
        | {"analyse_by": "user_id", "from": "2025-01-05T12:00:00Z", "to": "2025-01-09", "as_of": "2025-02-01"}
    )
    connection = await nats.connect(api.settings.nats_url)
    headers = {"Cdp-Workspace": str(api.workspace)}
    compared = body | {"compare": {"offset": "previous"}}
    spans = []
    for asked in (body, compared):
        reply = await connection.request(
            "cdp.query.v1.stickiness", json.dumps(asked).encode(), timeout=10, headers=headers
        )
        policy = json.loads((reply.headers or {})["Cdp-Cache"])
        assert policy["closed"] is True
        spans.append(
            tuple(datetime.fromtimestamp(policy[end] / 1000, UTC).isoformat()[:10] for end in ("start", "end"))
        )
    await connection.close()
    assert spans == [("2025-01-05", "2025-01-09"), ("2025-01-01", "2025-01-09")]
