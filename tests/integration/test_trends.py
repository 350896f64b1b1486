"""Trends over HTTP: hand-made cases with known answers, refusals, lists of actors, CSV, caching."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import nats
import pytest

from contracts.caching import CachePolicy
from contracts.operations import BY_ID
from tests.analyses import ask, asked, everyone
from tests.api import Api
from tests.oracle.events import Event

START = datetime(2024, 3, 4, tzinfo=UTC)  # a Monday
_numbers = count()


def at(
    day: float, name: str = "buy", user: str = "u", *, anonymous: str = "", table: str = "track", **properties: Any
) -> Event:
    """An event some days after START."""
    timestamp = round((START + timedelta(days=day)).timestamp() * 1000)
    return {
        "table": table,
        "message_id": f"m{next(_numbers)}",
        "user_id": user,
        "anonymous_id": anonymous,
        "timestamp": timestamp,
        "received_at": timestamp,
        "event": name,
        "name": name,
        "group_id": "",
        "properties": properties,
        "traits": {},
        "context": {},
    }


def body(*series: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"series": list(series), "from": "2024-03-04", "to": "2024-03-07", "as_of": "2024-06-01", **more}


async def answer(api: Api, *series: Mapping[str, Any], **more: Any) -> Any:
    return await ask(api, api.workspace, "/query/trends", body(*series, **more))


async def values(api: Api, measure: str, field: str | None = None, **more: Any) -> tuple[list[Any], Any]:
    """Return the values and the total of the one line of a measure."""
    series = {"measure": measure} | ({"field": field} if field else {})
    (line,) = (await answer(api, series, **more))["data"]
    return line["values"], line["total"]


async def test_each_measure_of_a_day_and_of_the_range(api: Api) -> None:
    prices = [(0, "u", 1), (0, "u", "3"), (0, "v", 2), (2, "u", 10), (2.5, "w", "x"), (2.5, "w", None)]
    await api.write([at(day, user=user, price=price) for day, user, price in prices])
    field = "properties.price"
    assert await values(api, "total") == ([3, 0, 3], 6)
    assert await values(api, "actors") == ([2, 0, 2], 3)
    assert await values(api, "per_actor") == ([1.5, None, 1.5], 2.0)
    assert await values(api, "sum", field) == ([6.0, 0, 10.0], 16.0)
    assert await values(api, "avg", field) == ([2.0, None, 10.0], 4.0)
    assert await values(api, "min", field) == ([1.0, None, 10.0], 1.0)
    assert await values(api, "max", field) == ([3.0, None, 10.0], 10.0)
    assert await values(api, "median", field) == ([2.0, None, 10.0], 2.5)
    assert await values(api, "p90", field) == ([2.8, None, 10.0], pytest.approx(7.9))
    assert await values(api, "unique", field) == ([3, 0, 2], 5)
    assert await values(api, "wau") == ([2, 2, 3], 3)


async def test_cumulative_values_are_of_all_so_far(api: Api) -> None:
    prices = [(0, "u", 1), (0, "u", "3"), (0, "v", 2), (2, "u", 10), (2.5, "w", "x"), (2.5, "w", None)]
    await api.write([at(day, user=user, price=price) for day, user, price in prices])
    field = "properties.price"
    assert await values(api, "total", cumulative=True) == ([3, 3, 6], 6)
    assert await values(api, "actors", cumulative=True) == ([2, 2, 3], 3)
    assert await values(api, "per_actor", cumulative=True) == ([1.5, 1.5, 2.0], 2.0)
    assert await values(api, "sum", field, cumulative=True) == ([6.0, 6.0, 16.0], 16.0)
    assert await values(api, "median", field, cumulative=True) == ([2.0, 2.0, 2.5], 2.5)
    assert await values(api, "unique", field, cumulative=True) == ([3, 3, 5], 5)


async def test_a_message_sent_again_is_one_event_and_its_first_form_counts(api: Api) -> None:
    first = at(0, price=1)
    await api.write([first])
    later = first | {"received_at": first["received_at"] + 1, "properties": {"price": 100}}
    earlier = first | {"received_at": first["received_at"] - 1, "properties": {"price": 7}}
    await api.write([later])
    await api.write([earlier])
    assert await values(api, "total") == ([1, 0, 0], 1)
    assert await values(api, "sum", "properties.price") == ([7.0, 0, 0], 7.0)


async def test_anonymous_events_count_for_the_person_they_became(api: Api) -> None:
    await api.write(
        [at(0, user="", anonymous="device"), at(1, user="u", anonymous="device"), at(2, user="", anonymous="device")]
    )
    assert await values(api, "actors") == ([1, 1, 1], 1)
    assert await values(api, "actors", analyse_by="anonymous_id") == ([1, 1, 1], 1)
    assert await values(api, "actors", analyse_by="user_id") == ([0, 1, 0], 1)
    # Who has no key is left out of every number.
    assert await values(api, "total", analyse_by="user_id") == ([0, 1, 0], 1)


async def test_every_element_of_an_array_is_a_value(api: Api) -> None:
    products = [{"sku": "a", "price": 2}, {"sku": "b", "price": "3.5"}, {"sku": "a"}]
    await api.write(
        [at(0, products=products), at(0, products=[]), at(1, user="v", products=[{"sku": "c", "price": 1}])]
    )
    assert await values(api, "sum", "properties.products[].price") == ([5.5, 1.0, 0], 6.5)
    assert await values(api, "avg", "properties.products[].price") == ([2.75, 1.0, None], pytest.approx(6.5 / 3))
    assert await values(api, "unique", "properties.products[].sku") == ([2, 1, 0], 3)


async def test_weekly_actors_look_back_before_the_range(api: Api) -> None:
    days = [(-6, "a"), (-5, "b"), (-4, "a"), (0, "c"), (2, "c")]
    await api.write([at(day, user=user) for day, user in days])
    # The window of 4 March begins on 27 February, that of 6 March on 29 February, five days before the 5th.
    assert await values(api, "wau") == ([3, 3, 2], 2)
    assert await values(api, "mau") == ([3, 3, 3], 3)
    # The week has not ended: its window does not reach into the days to come, and nothing after `to` counts.
    assert await values(api, "wau", interval="week") == ([2], 2)
    assert await values(api, "wau", interval="month", to="2024-03-10") == ([1], 1)
    assert await values(api, "wau", interval="month", to="2024-03-20", as_of="2024-03-05T12:00Z") == ([3], 3)


async def test_sessions_are_told_apart_by_half_an_hour_of_silence(api: Api) -> None:
    minutes = [0, 30, 61, 62, 1440]
    await api.write([at(minute / 1440, name="open" if minute != 62 else "buy") for minute in minutes])
    assert await values(api, "sessions") == ([2, 1, 0], 3)
    assert await values(api, "sessions", where={"op": "eq", "field": "event", "value": "buy"}) == ([1, 0, 0], 1)
    asked = {"query": body({"measure": "sessions"}), "bucket": "2024-03-04"}
    listed = await everyone(api, api.workspace, "/query/trends/actors", asked)
    assert {entry["key"] for entry in listed} == {"2024-03-04T00:00:00.000Z", "2024-03-04T01:01:00.000Z"}


async def test_a_day_of_a_clock_change_is_one_bucket(api: Api) -> None:
    zone = {"timezone": "Europe/Berlin", "from": "2024-03-30", "to": "2024-04-02"}
    # 31 March 2024 begins at 23:00 UTC of the day before and has 23 hours.
    moments = [25.96, 26 + 22.9 / 24, 26 + 23 / 24, 27 + 21.9 / 24, 27 + 22 / 24]
    await api.write([at(moment) for moment in moments])
    found = await answer(api, {}, **zone)
    assert [bucket["start"] for bucket in found["buckets"]] == [
        "2024-03-30T00:00:00+01:00",
        "2024-03-31T00:00:00+01:00",
        "2024-04-01T00:00:00+02:00",
    ]
    assert found["data"][0]["values"] == [2, 2, 1]


async def test_the_running_bucket_and_those_that_the_range_cuts_are_incomplete(api: Api) -> None:
    found = await answer(api, {}, **{"from": "2024-03-04T12:00Z", "to": "2024-03-08", "as_of": "2024-03-06T09:00Z"})
    assert [bucket["incomplete"] for bucket in found["buckets"]] == [True, False, True, True]


async def test_a_range_is_compared_with_as_many_intervals_before_or_any_offset(api: Api) -> None:
    await api.write([at(day) for day in (-3, -2.9, -1, 0, 0.1, 0.2, 2)])
    found = await answer(api, {}, compare={"offset": "previous"})
    assert [bucket["start"][:10] for bucket in found["compared"]] == ["2024-03-01", "2024-03-02", "2024-03-03"]
    (line,) = found["data"]
    assert (line["values"], line["total"]) == ([3, 0, 1], 4)
    assert line["compared"] == {"values": [2, 0, 1], "total": 3}
    month = await answer(api, {}, compare={"offset": "-1m"}, to="2024-03-31")
    assert (len(month["buckets"]), len(month["compared"])) == (27, 25), "4 February to 29 February, clamped"
    asked = {"query": body({}, compare={}), "bucket": "2024-03-01", "compared": True}
    assert len(await everyone(api, api.workspace, "/query/trends/actors", asked)) == 1


async def test_a_formula_is_computed_of_values_totals_and_groups(api: Api) -> None:
    await api.write([at(0, "view"), at(0, "view", "v"), at(0, "buy", price=3), at(1, "buy", price=4)])
    views = {"names": ["view"]}
    spent = {"names": ["buy"], "measure": "sum", "field": "properties.price", "label": "Spent"}
    found = await answer(api, views, spent, formula="B / A * 10", formula_label="Ten times")
    assert [(line["series"], line["label"]) for line in found["data"]] == [
        ("A", ""), ("B", "Spent"), ("formula", "Ten times"),
    ]  # fmt: skip
    line = found["data"][2]
    assert (line["values"], line["total"]) == ([15.0, None, None], 35.0)
    grouped = await answer(api, views, spent, formula="A - B", breakdown={"by": ["user_id"]})
    assert [(line["series"], line["group"]["values"], line["total"]) for line in grouped["data"]] == [
        ("A", ["u"], 1), ("A", ["v"], 1), ("B", ["u"], 7.0), ("B", ["v"], 0), ("formula", ["u"], -6.0),
        ("formula", ["v"], 1),
    ]  # fmt: skip


async def test_groups_beyond_the_limit_are_one_computed_from_its_events(api: Api) -> None:
    rows = [("x", "u"), ("x", "v"), ("x", "w"), (1, "u"), ("1", "v"), ("z", "u"), ("y", "u"), (None, "u")]
    await api.write([at(0, user=user, kind=kind) for kind, user in rows])
    breakdown = {"by": ["properties.kind"], "limit": 2}
    found = (await answer(api, {"measure": "actors"}, breakdown=breakdown))["data"]
    assert [(line["group"], line["total"]) for line in found] == [
        ({"values": ["x"], "other": False}, 3),
        ({"values": ["1"], "other": False}, 2),
        ({"values": [], "other": True}, 1),
    ]
    ties = (await answer(api, {}, breakdown={"by": ["properties.kind"], "limit": 4}))["data"]
    assert [line["group"]["values"] for line in ties] == [["x"], ["1"], [None], ["y"], []]
    other = {"query": body({"measure": "actors"}, breakdown=breakdown), "group": {"other": True}}
    listed = await everyone(api, api.workspace, "/query/trends/actors", other)
    assert listed == [{"actor": {"kind": "user", "id": "u"}}]


async def test_groups_that_only_other_series_have_follow_by_text(api: Api) -> None:
    await api.write([at(0, "a", kind="m"), at(0, "b", kind="z"), at(1, "b", kind="k"), at(1, "b")])
    found = await answer(api, {"names": ["a"]}, {"names": ["b"]}, breakdown={"by": ["properties.kind"], "limit": 3})
    assert [(line["group"]["values"], line["total"]) for line in found["data"]] == [
        (["m"], 1), ([None], 0), (["k"], 0), ([], 0), (["m"], 0), ([None], 1), (["k"], 1), ([], 1),
    ]  # fmt: skip


async def test_the_first_event_ever_is_counted_once(api: Api) -> None:
    await api.write([at(-40), at(0), at(0, user="new"), at(1, user="new"), at(2, user="late", price=1)])
    first = {"occurrence": "first"}
    (line,) = (await answer(api, first))["data"]
    assert (line["values"], line["total"]) == ([1, 0, 1], 2)
    having = first | {"having": {"op": "exists", "field": "properties.price"}}
    (line,) = (await answer(api, having))["data"]
    assert (line["values"], line["total"]) == ([0, 0, 1], 1)


async def test_the_same_numbers_as_csv(api: Api) -> None:
    await api.write([at(0, kind='a,"b"', price=1.5), at(2, price=2)])
    series = {"measure": "sum", "field": "properties.price", "label": "Spent"}
    query = body(series, breakdown={"by": ["properties.kind"]}, to="2024-03-06", compare={})
    found = await asked(api, api.workspace, "/query/trends", query, accept="text/csv")
    assert found.headers["Content-Type"].startswith("text/csv")
    assert found.body.decode().splitlines() == [
        "series,label,properties.kind,other,period,start,incomplete,value",
        'A,Spent,"a,""b""",false,current,2024-03-04T00:00:00+00:00,false,1.5',
        'A,Spent,"a,""b""",false,current,2024-03-05T00:00:00+00:00,false,0.0',
        'A,Spent,"a,""b""",false,current,,,1.5',
        'A,Spent,"a,""b""",false,compared,2024-03-02T00:00:00+00:00,false,0.0',
        'A,Spent,"a,""b""",false,compared,2024-03-03T00:00:00+00:00,false,0.0',
        'A,Spent,"a,""b""",false,compared,,,0.0',
    ]


async def test_what_is_too_large_for_a_double_is_null(api: Api) -> None:
    await api.write([at(0, price="1e400"), at(0, price=1), at(1, price=2)])
    assert await values(api, "sum", "properties.price") == ([None, 2.0, 0], None)
    assert await values(api, "max", "properties.price") == ([None, 2.0, None], None)
    assert await values(api, "min", "properties.price") == ([1.0, 2.0, None], 1.0)


async def test_an_empty_range_has_no_buckets(api: Api) -> None:
    await api.write([at(0)])
    for measure in ("total", "actors", "median", "wau", "sessions", "per_actor"):
        field = {"field": "properties.price"} if measure == "median" else {}
        found = await answer(api, {"measure": measure} | field, to="2024-03-04", compare={"offset": "-1d"})
        assert (found["buckets"], found["compared"], found["data"][0]["values"]) == ([], [], [])


async def test_what_a_later_link_can_change_is_kept_long_only_until_events_arrive(api: Api) -> None:
    over = {"from": "2024-03-04", "to": "2024-03-07"}
    day, start = 86_400_000, round(START.timestamp() * 1000)
    cases: list[tuple[dict[str, Any], bool, int | None, int | None]] = [
        ({}, True, None, start),
        ({"measure": "unique", "field": "event"}, True, None, start),
        ({"measure": "actors"}, True, 60, start),
        ({"measure": "sessions"}, True, 60, start),
        ({"measure": "mau"}, True, 60, start - 29 * day),
        ({"occurrence": "first"}, True, 60, None),
        ({"where": {"op": "within_last", "field": "timestamp", "value": "7d"}}, False, None, start),
    ]
    connection = await nats.connect(api.settings.nats_url)
    for series, closed, after_events, read_from in cases:
        request = json.dumps({"series": [series], **over}).encode()
        headers = {"Cdp-Workspace": str(api.workspace)}
        reply = await connection.request(BY_ID["query.trends"].subject, request, timeout=10, headers=headers)
        policy = CachePolicy.parse((reply.headers or {})["Cdp-Cache"])
        assert (policy.closed, policy.ttl_after_events, policy.start) == (closed, after_events, read_from), series
    await connection.close()


SUM = {"measure": "sum"}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"series": []}, "/series"),
        ({"series": [{}] * 11}, "/series"),
        ({"series": [{"measure": "mode"}]}, "/series/0/measure"),
        ({"series": [SUM]}, "/series/0/field"),
        ({"series": [{"field": "properties.x"}]}, "/series/0/field"),
        ({"series": [SUM | {"field": "timestamp"}]}, "/series/0/field"),
        ({"series": [SUM | {"field": "properties"}]}, "/series/0/field"),
        ({"series": [SUM | {"field": "nope"}]}, "/series/0/field"),
        ({"series": [SUM | {"field": "traits.x"}]}, "/series/0/field"),
        ({"series": [{"table": "identify", "names": ["a"]}]}, "/series/0/names"),
        ({"series": [{}, {"where": {"op": "gt", "field": "properties.x", "value": "x"}}]}, "/series/1/where/value"),
        ({"series": [{"having": {"op": "exists", "field": "properties.x"}}]}, "/series/0/having"),
        ({"series": [{"measure": "wau"}], "cumulative": True}, "/series/0/measure"),
        ({"series": [{"measure": "sessions", "table": "identify"}]}, "/series/0/table"),
        ({"series": [{"measure": "sessions"}], "analyse_by": "user_id"}, "/series/0/measure"),
        ({"analyse_by": "properties.items[].id"}, "/analyse_by"),
        ({"formula": "A / B"}, "/formula"),
        ({"formula": "A +"}, "/formula"),
        ({"compare": {"offset": "1m"}}, "/compare/offset"),
        ({"compare": {"offset": "-0d"}}, "/compare/offset"),
        ({"compare": {"offset": "-9999m"}}, "/compare/offset"),
        ({"interval": "second"}, "/interval"),
        ({"interval": "minute", "from": "2020-01-01"}, "/interval"),
        ({"timezone": "Mars/Olympus"}, "/timezone"),
        ({"to": "2024-01-01"}, "/to"),
        ({"where": {"op": "exists", "field": "traits.x"}}, "/where/field"),
        ({"breakdown": {"by": []}}, "/breakdown/by"),
        ({"breakdown": {"by": ["group_id"]}}, "/breakdown/by/0"),
        ({"breakdown": {"by": ["properties.x"], "limit": 0}}, "/breakdown/limit"),
    ],
)
async def test_a_request_that_cannot_be_names_its_field(api: Api, changes: dict[str, Any], pointer: str) -> None:
    found = await asked(api, api.workspace, "/query/trends", body({}) | changes)
    assert (found.status, [error["pointer"] for error in found.json["errors"]]) == (400, [pointer]), found.body
    listed = await asked(api, api.workspace, "/query/trends/actors", {"query": body({}) | changes})
    assert (listed.status, [error["pointer"] for error in listed.json["errors"]]) == (400, [f"/query{pointer}"])


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"series": "B"}, "/series"),
        ({"bucket": "2024-03-04T01:00"}, "/bucket"),
        ({"bucket": "2024-03-07"}, "/bucket"),
        ({"bucket": "soon"}, "/bucket"),
        ({"compared": True}, "/compared"),
        ({"group": {"values": ["x"]}}, "/group"),
        ({"cursor": "x"}, "/cursor"),
    ],
)
async def test_a_list_that_cannot_be_names_its_field(api: Api, changes: dict[str, Any], pointer: str) -> None:
    found = await asked(api, api.workspace, "/query/trends/actors", {"query": body({})} | changes)
    assert (found.status, [error["pointer"] for error in found.json["errors"]]) == (400, [pointer]), found.body


async def test_an_answer_of_too_many_values_is_refused_with_advice(api: Api) -> None:
    await api.write([at(0, x=number) for number in range(5)])
    query = body(*[{}] * 10, interval="minute", breakdown={"by": ["properties.x"]}, compare={}, to="2024-03-08")
    found = await asked(api, api.workspace, "/query/trends", query)
    assert (found.status, found.json["type"]) == (422, "urn:cdp:error:limit-exceeded")
    assert "longer intervals" in found.json["detail"]
