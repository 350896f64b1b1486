"""Life cycles on small histories with known answers; what is refused; lists, CSV, caching."""

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

SERIES = {"series": [{"names": ["Order"]}]}
RANGE = {"from": "2026-01-05", "to": "2026-01-09", "as_of": "2026-01-20T00:00:00Z"}
STATES = ("new", "returning", "resurrecting", "dormant")


def order(user: str, at: str, number: int = 0, **fields: Any) -> dict[str, Any]:
    moment = round(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() * 1000)
    base = {"table": "track", "event": "Order", "user_id": user, "message_id": f"{user}-{at}-{number}"}
    return base | {"timestamp": moment, "received_at": moment + 5, "properties": {}} | fields


def days(user: str, numbers: Iterable[int], **fields: Any) -> list[dict[str, Any]]:
    return [order(user, f"2026-01-{day:02}T12:00", **fields) for day in numbers]


def counts(line: dict[str, Any]) -> list[list[int]]:
    return [line[state] for state in STATES]


async def lifecycle(api: Api, **body: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await ask(api, api.workspace, "/query/lifecycle", SERIES | RANGE | body))["data"]
    return found


async def test_every_state_has_its_meaning(api: Api) -> None:
    await api.write(
        [
            *days("stays", [3, 4, 5, 6, 7, 8]),
            *days("new", [6, 7]),
            *days("back", [1, 7]),
            *days("gone", [4]),
            *days("left long ago", [2]),
            *days("later", [9]),
        ]
    )
    (line,) = await lifecycle(api)
    #                5  6  7  8 January
    assert counts(line) == [
        [0, 1, 0, 0],
        [1, 1, 2, 1],
        [0, 0, 1, 0],
        [1, 0, 0, 2],
    ]  # fmt: skip
    assert (line["series"], line["label"], line["group"]) == ("A", "", None)


async def test_a_first_event_long_before_the_range_makes_nobody_new_in_it(api: Api) -> None:
    await api.write([order("u", "2020-02-29T00:00"), *days("u", [6])])
    (line,) = await lifecycle(api)
    assert (line["new"], line["resurrecting"]) == ([0, 0, 0, 0], [0, 1, 0, 0])
    (line,) = await lifecycle(api, where={"op": "after", "field": "timestamp", "value": "2026-01-01"})
    assert (line["new"], line["resurrecting"]) == ([0, 1, 0, 0], [0, 0, 0, 0])


async def test_a_history_that_begins_as_anonymous_belongs_to_the_user(api: Api) -> None:
    anonymous = order("", "2026-01-04T12:00", anonymous_id="a")
    await api.write([anonymous, order("u", "2026-01-05T12:00", anonymous_id="a"), *days("u", [6])])
    (line,) = await lifecycle(api)
    assert counts(line) == [[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]
    (line,) = await lifecycle(api, analyse_by="user_id")
    assert counts(line) == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]


async def test_rows_are_whole_periods_and_look_one_back(api: Api) -> None:
    await api.write([order("u", "2025-12-31T23:59"), order("u", "2026-01-01T00:00"), order("v", "2026-02-28T23:59")])
    body = {"period": "month", "from": "2026-01-15T00:00Z", "to": "2026-02-15T00:00Z", "as_of": "2026-03-05"}
    found = await ask(api, api.workspace, "/query/lifecycle", SERIES | body)
    assert found["periods"] == [
        {"start": "2026-01-01T00:00:00+00:00", "incomplete": False},
        {"start": "2026-02-01T00:00:00+00:00", "incomplete": False},
    ]
    assert counts(found["data"][0]) == [[0, 1], [1, 0], [0, 0], [0, 1]]


async def test_nothing_after_now_is_known_and_the_running_period_says_so(api: Api) -> None:
    await api.write([*days("u", [5]), order("v", "2026-01-06T18:00")])
    body = {"from": "2026-01-05", "as_of": "2026-01-06T12:00:00Z"}
    found = await ask(api, api.workspace, "/query/lifecycle", SERIES | body)
    assert [period["incomplete"] for period in found["periods"]] == [False, True]
    assert counts(found["data"][0]) == [[1, 0], [0, 0], [0, 0], [0, 1]]


async def test_days_are_local_days_whatever_their_length(api: Api) -> None:
    """On 29 March 2026 Berlin's clocks skip an hour: 28 March 23:30 and 30 March 00:30 are neighbours' neighbours."""
    await api.write([order("u", "2026-03-28T22:30"), order("u", "2026-03-29T21:30"), order("u", "2026-03-29T22:30")])
    body = {"from": "2026-03-28", "to": "2026-03-31", "as_of": "2026-04-10", "timezone": "Europe/Berlin"}
    found = await ask(api, api.workspace, "/query/lifecycle", SERIES | body)
    starts = [period["start"] for period in found["periods"]]
    assert starts == ["2026-03-28T00:00:00+01:00", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"]
    assert counts(found["data"][0]) == [[1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 0, 0]]


async def test_an_actor_stands_under_the_values_of_the_first_event_ever(api: Api) -> None:
    await api.write(
        [
            *days("u", [1], properties={"from": "ad"}),
            *days("u", [5, 6], properties={"from": "mail"}),
            *days("v", [5], properties={"from": "mail"}),
            *days("w", [5]),
        ]
    )
    found = await lifecycle(api, breakdown={"by": ["properties.from"]})
    groups = [(line["group"]["values"], line["new"], line["returning"], line["resurrecting"]) for line in found]
    nothing = [0, 0, 0, 0]
    assert groups == [
        ([None], [1, 0, 0, 0], nothing, nothing),
        (["ad"], nothing, [0, 1, 0, 0], [1, 0, 0, 0]),
        (["mail"], [1, 0, 0, 0], nothing, nothing),
    ]
    found = await lifecycle(api, breakdown={"by": ["properties.from"], "limit": 1})
    assert [line["group"] for line in found] == [{"values": [None], "other": False}, {"values": [], "other": True}]
    assert counts(found[1]) == [[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0]]


async def test_a_message_sent_again_counts_with_its_first_values_only(api: Api) -> None:
    sent = order("u", "2026-01-05T12:00", properties={"from": "first"})
    again = sent | {"received_at": sent["received_at"] + 9_000, "properties": {"from": "second"}}
    await api.write([again])
    await api.write([sent])
    found = await lifecycle(api, breakdown={"by": ["properties.from"]})
    assert [line["group"]["values"] for line in found] == [["first"]]


async def test_more_periods_than_an_integer_has_bits(api: Api) -> None:
    await api.write([order("u", f"2026-01-{day:02}T{hour:02}:30") for day in (1, 12) for hour in (3, 4, 6)])
    body = {"period": "hour", "from": "2026-01-01", "to": "2026-01-13"}
    (line,) = await lifecycle(api, **body)
    assert len(line["new"]) == 288
    places = {state: [hour for hour, count in enumerate(line[state]) if count] for state in STATES}
    later = 11 * 24
    assert places == {
        "new": [3],
        "returning": [4, later + 4],
        "resurrecting": [6, later + 3, later + 6],
        "dormant": [5, 7, later + 5, later + 7],
    }


async def test_several_series_are_answered_each_by_itself(api: Api) -> None:
    await api.write([*days("u", [5, 6]), *days("v", [6], event="Visit")])
    series = [{"names": ["Order"], "label": "Buyers"}, {"names": ["Order", "Visit"], "label": "All"}]
    found = await lifecycle(api, series=series)
    assert [(line["series"], line["label"], line["new"]) for line in found] == [
        ("A", "Buyers", [1, 0, 0, 0]),
        ("B", "All", [1, 1, 0, 0]),
    ]


async def test_an_empty_range_has_no_periods(api: Api) -> None:
    await api.write(days("u", [5]))
    body = SERIES | {"from": "2026-01-05", "to": "2026-01-05", "as_of": "2026-01-20"}
    found = await ask(api, api.workspace, "/query/lifecycle", body)
    assert found["periods"] == []
    assert counts(found["data"][0]) == [[], [], [], []]
    broken = await ask(api, api.workspace, "/query/lifecycle", body | {"breakdown": {"by": ["event"]}})
    assert broken["data"] == []


async def test_lists_hold_those_that_were_counted(api: Api) -> None:
    await api.write([*days("stays", [4, 5, 6]), *days("gone", [4]), *days("", [5], anonymous_id="x")])
    body = {"query": SERIES | RANGE, "period": "2026-01-05"}
    expected = {
        "returning": {("user", "stays")},
        "dormant": {("user", "gone")},
        "new": {("anonymous", "x")},
        "resurrecting": set(),
    }
    for state, keys in expected.items():
        listed = await everyone(api, api.workspace, "/query/lifecycle/actors", body | {"state": state}, limit=1)
        assert {key_of(entry) for entry in listed} == keys


async def test_the_table_has_a_row_for_each_line_and_period(api: Api) -> None:
    await api.write([*days("u", [5], properties={"from": "a,d"}), *days("v", [6])])
    body = SERIES | RANGE | {"to": "2026-01-07", "breakdown": {"by": ["properties.from"], "limit": 1}}
    answer = await api.call("/query/lifecycle", body, accept="text/csv")
    assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (200, "text/csv")
    header, *rows = csv.reader(io.StringIO(answer.body.decode()))
    assert header == ["series", "label", "group_1", "other", "start", "incomplete", *STATES]
    assert rows == [
        ["A", "", "", "false", "2026-01-05T00:00:00+00:00", "false", "0", "0", "0", "0"],
        ["A", "", "", "false", "2026-01-06T00:00:00+00:00", "false", "1", "0", "0", "0"],
        ["A", "", "", "true", "2026-01-05T00:00:00+00:00", "false", "1", "0", "0", "0"],
        ["A", "", "", "true", "2026-01-06T00:00:00+00:00", "false", "0", "0", "0", "1"],
    ]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"series": []}, "/series"),
        ({"series": [{}] * 11}, "/series"),
        ({"series": [{"occurrence": "first"}]}, "/series/0/occurrence"),
        ({"series": [{}, {"occurrence": "any", "having": {"op": "exists", "field": "event"}}]}, "/series/1/having"),
        ({"series": [{"table": "group", "names": ["a"]}]}, "/series/0/names"),
        ({"series": [{"where": {"op": "eq", "field": "nothing", "value": 1}}]}, "/series/0/where/field"),
        ({"where": {"op": "eq", "field": "traits.x", "value": 1}}, "/where/field"),
        ({"where": {"op": "matches", "field": "event", "value": "("}}, "/where/value"),
        ({"breakdown": {"by": ["traits.x"]}}, "/breakdown/by/0"),
        (
            {"breakdown": {"by": [{"kind": "buckets", "field": "properties.n", "bounds": [2, 1]}]}},
            "/breakdown/by/0/bounds",
        ),
        ({"breakdown": {"by": [{"kind": "segment", "segment": "s"}]}}, "/breakdown/by/0"),
        ({"analyse_by": "nobody"}, "/analyse_by"),
        ({"analyse_by": "properties.products[].sku"}, "/analyse_by"),
        ({"period": "minute"}, "/period"),
        ({"period": "hour", "from": "2020-01-01"}, "/period"),
        ({"from": "2026-01-10"}, "/to"),
        ({"timezone": "Mars"}, "/timezone"),
        ({"from": "yesterday"}, "/from"),
    ],
)
async def test_what_cannot_be_is_refused_at_its_field(api: Api, body: dict[str, Any], pointer: str) -> None:
    answer = await api.call("/query/lifecycle", SERIES | RANGE | body)
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, pointer)
    inside = await api.call(
        "/query/lifecycle/actors", {"query": SERIES | RANGE | body, "period": "2026-01-05", "state": "new"}
    )
    assert (inside.status, inside.json["errors"][0]["pointer"]) == (400, f"/query{pointer}")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"period": "2026-01-05T01:00Z"}, "/period"),
        ({"period": "2026-01-09"}, "/period"),
        ({"state": "asleep"}, "/state"),
        ({"series": "B"}, "/series"),
        ({"group": {"values": ["x"]}}, "/group"),
        ({"cursor": "x"}, "/cursor"),
    ],
)
async def test_lists_of_what_no_answer_has_are_refused(api: Api, body: dict[str, Any], pointer: str) -> None:
    base = {"query": SERIES | RANGE, "period": "2026-01-05", "state": "new"}
    answer = await api.call("/query/lifecycle/actors", base | body)
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, pointer)


async def test_groups_of_another_shape_are_refused(api: Api) -> None:
    query = SERIES | RANGE | {"breakdown": {"by": ["event"]}}
    for group in ({"values": ["x", "y"]}, {"values": []}, {"values": ["x"], "other": True}):
        body = {"query": query, "period": "2026-01-05", "state": "new", "group": group}
        answer = await api.call("/query/lifecycle/actors", body)
        assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, "/group/values")


async def test_an_answer_of_too_many_numbers_is_a_422_that_says_what_would_help(api: Api) -> None:
    body = {"period": "hour", "from": "2025-06-01", "breakdown": {"by": ["event"], "limit": 1_000}}
    answer = await api.call("/query/lifecycle", SERIES | RANGE | body)
    assert answer.status == 422
    assert "longer periods or fewer groups" in answer.json["detail"]


async def test_ranges_that_are_over_are_closed_and_those_of_resolved_actors_until_events_arrive(api: Api) -> None:
    over = SERIES | RANGE | {"analyse_by": "user_id", "from": "2025-01-05", "to": "2025-01-09", "as_of": "2025-02-01"}
    running = over | {"as_of": "2025-01-08T12:00:00Z", "to": "2025-01-08T12:00:00Z"}
    connection = await nats.connect(api.settings.nats_url)
    closed = []
    for body in (over, running, over | {"analyse_by": "actor"}):
        headers = {"Cdp-Workspace": str(api.workspace)}
        reply = await connection.request(
            "cdp.query.v1.lifecycle", json.dumps(body).encode(), timeout=10, headers=headers
        )
        policy = json.loads((reply.headers or {})["Cdp-Cache"])
        assert policy["closed"]
        closed.append(policy["ttl_after_events"] is None)
        assert policy["start"] is None  # a first event may have come at any time
    await connection.close()
    assert closed == [True, True, False]  # events of any time may link ids


async def test_a_session_lives_once(api: Api) -> None:
    """Two visits a day, one of them over midnight: the part after it returns."""
    times = ("2026-01-05T09:00", "2026-01-05T09:10", "2026-01-05T23:50", "2026-01-06T00:05", "2026-01-06T09:00")
    await api.write([order("u", at) for at in times])
    (line,) = await lifecycle(api, analyse_by="session")
    assert counts(line) == [[2, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 2, 0]]
    body = {"query": SERIES | RANGE | {"analyse_by": "session"}, "period": "2026-01-06", "state": "returning"}
    (listed,) = await everyone(api, api.workspace, "/query/lifecycle/actors", body)
    assert listed["actor"] == {"kind": "user", "id": "u"}


async def test_ids_that_the_workspace_blocks_are_nobody(api: Api) -> None:
    await api.write([*days("u", [5]), *days("test", [5])])
    assert (await lifecycle(api))[0]["new"] == [2, 0, 0, 0]
    put = await api.call("/workspace", {"blocked_ids": ["test"]}, method="PUT")
    assert put.status == 200, put.body
    assert (await lifecycle(api))[0]["new"] == [1, 0, 0, 0]
