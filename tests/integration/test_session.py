"""Sessions over HTTP: hand-made cases with known answers, lists, refusals, CSV, and counting by session elsewhere."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from tests.analyses import ask, asked, everyone
from tests.api import Api
from tests.oracle.events import Event

START = 1_709_510_400_000  # Monday 2024-03-04, midnight
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
_numbers = count()


def at(
    time: int, name: str = "a", *, user: str = "u", anonymous: str = "", table: str = "track", **changes: Any
) -> Event:
    """An event some milliseconds after START."""
    return {
        "table": table,
        "message_id": f"m{next(_numbers)}",
        "user_id": user,
        "anonymous_id": anonymous,
        "timestamp": START + time,
        "received_at": START + time,
        "event": name,
        "name": name,
        "group_id": "",
        "properties": {},
        "traits": {},
        "context": {},
    } | changes


def page(time: int, path: str | None, **changes: Any) -> Event:
    return at(time, table="page", properties={} if path is None else {"path": path}, **changes)


RANGE = {"from": "2024-03-04", "to": "2024-03-08", "as_of": "2024-06-01"}


async def figures(api: Api, **body: Any) -> dict[str, Any]:
    """Return the figures of all sessions."""
    (one,) = (await ask(api, api.workspace, "/query/session", RANGE | body))["data"]
    return dict(one)


async def sessions(api: Api, **body: Any) -> list[dict[str, Any]]:
    """Return the sessions, oldest first."""
    query = {"query": RANGE | body, "order": "oldest"}
    return list((await ask(api, api.workspace, "/query/session/list", query))["data"])


async def test_a_gap_of_exactly_the_timeout_does_not_end_a_session(api: Api) -> None:
    await api.write([at(0), at(30 * MINUTE), at(60 * MINUTE + 1)])
    found = await figures(api)
    assert (found["sessions"], found["events"], found["bounces"]) == (2, 3, 1)
    assert (found["mean_seconds"], found["median_seconds"], found["p90_seconds"]) == (900, 900, pytest.approx(1620))
    assert (await figures(api, timeout=1801))["sessions"] == 1
    assert (await figures(api, timeout=1799))["sessions"] == 3


async def test_an_event_beyond_the_longest_duration_begins_a_session(api: Api) -> None:
    await api.write([at(number * 20 * MINUTE) for number in range(10)])
    assert (await figures(api))["sessions"] == 1
    # 0 to 60 minutes, then from 80 minutes on, and so forth: exactly an hour is not more than an hour.
    assert [one["events"] for one in await sessions(api, max_duration=3600)] == [4, 4, 2]
    assert [one["events"] for one in await sessions(api, max_duration=3599)] == [3, 3, 3, 1]
    assert [one["events"] for one in await sessions(api, max_duration=60)] == [1] * 10


async def test_the_longest_duration_starts_again_after_a_gap(api: Api) -> None:
    times = [0, 25, 50, 75, 200, 225, 250, 275]
    await api.write([at(minute * MINUTE) for minute in times] + [at(minute * MINUTE, user="v") for minute in (0, 10)])
    assert [(one["actor"]["id"], one["events"], one["seconds"]) for one in await sessions(api, max_duration=3600)] in (
        [("u", 3, 3000), ("v", 2, 600), ("u", 1, 0), ("u", 3, 3000), ("u", 1, 0)],
        [("v", 2, 600), ("u", 3, 3000), ("u", 1, 0), ("u", 3, 3000), ("u", 1, 0)],
    )


async def test_what_lies_outside_the_range_is_not_seen(api: Api) -> None:
    await api.write([at(-10 * MINUTE), at(0), at(10 * MINUTE), at(4 * DAY - 1), at(4 * DAY)])
    assert [(one["start"], one["events"]) for one in await sessions(api)] == [
        ("2024-03-04T00:00:00Z", 2),
        ("2024-03-07T23:59:59.999000Z", 1),
    ]


async def test_signing_in_does_not_split_a_visit_and_a_repeated_message_adds_nothing(api: Api) -> None:
    sent = at(5 * MINUTE, user="", anonymous="x")
    await api.write(
        [
            at(0, user="", anonymous="x"),
            sent,
            sent | {"received_at": START + DAY, "properties": {"again": True}},
            at(10 * MINUTE, user="u", anonymous="x"),
            at(15 * MINUTE, user="u"),
        ]
    )
    found = await figures(api)
    assert (found["sessions"], found["actors"], found["events"]) == (1, 1, 4)
    assert (await figures(api, analyse_by="anonymous_id"))["events"] == 3
    assert (await figures(api, analyse_by="user_id"))["events"] == 2


async def test_a_message_sent_twice_is_still_a_bounce(api: Api) -> None:
    sent = at(0)
    await api.write([sent])
    await api.write([sent | {"received_at": START + 1}])
    assert (await figures(api))["bounces"] == 1


async def test_a_session_counts_in_the_interval_of_its_first_event(api: Api) -> None:
    await api.write([at(DAY - 5 * MINUTE), at(DAY + 5 * MINUTE), at(DAY + 3 * HOUR), at(3 * DAY, user="v")])
    series = (await figures(api, interval="day"))["series"]
    assert [(one["sessions"], one["actors"], one["events"]) for one in series] == [
        (1, 1, 2),
        (1, 1, 1),
        (0, 0, 0),
        (1, 1, 1),
    ]
    assert series[2] | {"start": ""} == {
        "start": "",
        "sessions": 0,
        "actors": 0,
        "events": 0,
        "bounces": 0,
        **dict.fromkeys(("events_per_session", "bounce_rate", "mean_seconds", "median_seconds", "p90_seconds"), None),
    }
    moved = (await figures(api, interval="day", timezone="Asia/Tokyo", to="2024-03-08T09:00+09:00"))["series"]
    assert [one["start"] for one in moved][:2] == ["2024-03-04T00:00:00+09:00", "2024-03-05T00:00:00+09:00"]
    assert [one["sessions"] for one in moved] == [0, 2, 0, 1, 0]


async def test_entry_and_exit_pages_are_those_of_page_events(api: Api) -> None:
    await api.write(
        [
            at(0, properties={"path": "/not-a-page"}),
            page(1, "/in"),
            page(2, "/middle"),
            page(3, None, context={"page": {"path": "/out"}}),
            at(4),
            at(DAY, user="v"),
            page(2 * DAY, None, user="w"),
        ]
    )
    listed = {one["actor"]["id"]: (one["entry_page"], one["exit_page"]) for one in await sessions(api)}
    assert listed == {"u": ("/in", "/out"), "v": (None, None), "w": (None, None)}
    answer = await ask(api, api.workspace, "/query/session", RANGE | {"breakdown": {"by": ["entry_page", "exit_page"]}})
    assert [(one["group"]["values"], one["sessions"]) for one in answer["data"]] == [
        ([None, None], 2),
        (["/in", "/out"], 1),
    ]


async def test_a_breakdown_is_by_the_first_event_and_the_rest_is_other(api: Api) -> None:
    tied = [
        at(0, message_id="b", properties={"plan": "late"}),
        at(0, message_id="a", properties={"plan": "early"}),
        at(1, properties={"plan": "later"}),
    ]
    more = [at(DAY, user=f"w{number}", properties={"plan": plan}) for number, plan in enumerate([1, "1", 2, None])]
    await api.write(tied + more)
    body = RANGE | {"breakdown": {"by": ["properties.plan"], "limit": 2}}
    answer = await ask(api, api.workspace, "/query/session", body)
    assert [(one["group"], one["sessions"], one["events"]) for one in answer["data"]] == [
        ({"values": ["1"], "other": False}, 2, 2),
        ({"values": [None], "other": False}, 1, 1),
        ({"values": [], "other": True}, 2, 4),
    ]
    for one in answer["data"]:
        listed = await everyone(api, api.workspace, "/query/session/actors", {"query": body, "group": one["group"]})
        assert len(listed) == one["actors"]
    other = await everyone(
        api, api.workspace, "/query/session/actors", {"query": body, "group": {"other": True}}, limit=1
    )
    assert sorted(one["actor"]["id"] for one in other) == ["u", "w2"]


async def test_pages_of_the_list_neither_skip_nor_repeat_when_sessions_are_added(api: Api) -> None:
    await api.write([at(number // 2 * HOUR, user=f"u{number}") for number in range(8)])
    query = {"query": RANGE, "limit": 3}
    first = await ask(api, api.workspace, "/query/session/list", query)
    await api.write([at(50 * HOUR, user="newer"), at(0, user="older")])
    second = await ask(api, api.workspace, "/query/session/list", query | {"cursor": first["next_cursor"]})
    third = await ask(api, api.workspace, "/query/session/list", query | {"cursor": second["next_cursor"]})
    seen = [one["actor"]["id"] for one in first["data"] + second["data"] + third["data"]]
    assert len(set(seen)) == 9 and set(seen) == {f"u{number}" for number in range(8)} | {"older"}
    assert (first["total"], third["total"], third["next_cursor"]) == (8, 10, None)
    crossed = await asked(
        api, api.workspace, "/query/session/list", query | {"order": "oldest", "cursor": first["next_cursor"]}
    )
    assert crossed.status == 400 and crossed.json["errors"][0]["pointer"] == "/cursor"


async def test_an_empty_range_has_no_sessions(api: Api) -> None:
    await api.write([at(0)])
    found = await figures(api, to="2024-03-04", interval="day")
    assert (found["sessions"], found["actors"], found["mean_seconds"], found["series"]) == (0, 0, None, [])
    grouped = await ask(
        api, api.workspace, "/query/session", RANGE | {"to": "2024-03-04", "breakdown": {"by": ["entry_page"]}}
    )
    assert grouped["data"] == []
    assert await sessions(api, to="2024-03-04") == []


async def test_answers_come_as_csv(api: Api) -> None:
    await api.write([page(0, "/a"), page(MINUTE, "/b"), page(DAY, "/c", user="v")])
    body = RANGE | {"breakdown": {"by": ["entry_page"]}}
    figures_ = await asked(api, api.workspace, "/query/session", body, accept="text/csv")
    assert figures_.body.decode().splitlines() == [
        "group_1,other,sessions,actors,events,bounces,events_per_session,bounce_rate,mean_seconds,median_seconds,"
        "p90_seconds",
        "/a,false,1,1,2,0,2.0,0.0,60.0,60.0,60.0",
        "/c,false,1,1,1,1,1.0,1.0,0.0,0.0,0.0",
    ]
    listed = await asked(api, api.workspace, "/query/session/list", {"query": RANGE}, accept="text/csv")
    assert listed.body.decode().splitlines() == [
        "kind,id,key,start,end,events,seconds,entry_page,exit_page",
        "user,v,,2024-03-05T00:00:00Z,2024-03-05T00:00:00Z,1,0.0,/c,/c",
        "user,u,,2024-03-04T00:00:00Z,2024-03-04T00:01:00Z,2,60.0,/a,/b",
    ]
    series = await asked(api, api.workspace, "/query/session", RANGE | {"interval": "week"}, accept="text/csv")
    assert series.body.decode().splitlines()[1].startswith("2024-03-04T00:00:00+00:00,2,2,3,1,")


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("", {"timeout": 0}, "/timeout"),
        ("", {"max_duration": 59}, "/max_duration"),
        ("", {"analyse_by": "session"}, "/analyse_by"),
        ("", {"analyse_by": "properties.a[].b"}, "/analyse_by"),
        ("", {"table": "identify", "breakdown": {"by": ["entry_page"]}}, "/breakdown/by/0"),
        ("", {"breakdown": {"by": ["entry_page", "nope"]}}, "/breakdown/by/1"),
        ("", {"interval": "minute", "from": "2020-01-01"}, "/interval"),
        ("", {"interval": "year"}, "/interval"),
        ("", {"where": {"op": "exists", "field": "traits.x"}}, "/where/field"),
        ("", {"to": "2024-03-01"}, "/to"),
        ("", {"timezone": "Mars"}, "/timezone"),
        ("/actors", {"query": RANGE | {"timezone": "Mars"}}, "/query/timezone"),
        ("/actors", {"query": RANGE, "group": {"values": ["x"]}}, "/group"),
        ("/actors", {"query": RANGE | {"breakdown": {"by": ["event"]}}, "group": {"values": []}}, "/group/values"),
        ("/actors", {"query": RANGE, "interval": "2024-03-04"}, "/interval"),
        ("/list", {"query": RANGE | {"interval": "day"}, "interval": "2024-03-04T01:00"}, "/interval"),
        ("/list", {"query": RANGE, "cursor": "bm8"}, "/cursor"),
        ("/list", {"query": RANGE, "limit": 0}, "/limit"),
    ],
)
async def test_what_cannot_be_is_refused_at_the_field(api: Api, path: str, body: dict[str, Any], pointer: str) -> None:
    answer = await asked(api, api.workspace, f"/query/session{path}", body if path else RANGE | body)
    assert answer.status == 400, answer.body
    assert answer.json["errors"][0]["pointer"] == pointer


async def test_a_funnel_by_session_must_be_walked_in_one_visit(api: Api) -> None:
    await api.write(
        [
            *(at(0, "a"), at(MINUTE, "b"), at(2 * HOUR, "a"), at(4 * HOUR, "b")),
            *(at(0, "a", user="v"), at(31 * MINUTE, "b", user="v")),
            at(MINUTE, user="v", table="identify"),
        ]
    )
    query = RANGE | {"steps": [{"names": ["a"]}, {"names": ["b"]}], "analyse_by": "session"}
    (whole,) = (await ask(api, api.workspace, "/query/funnel", query))["data"]
    assert [step["count"] for step in whole["steps"]] == [3, 1]
    listed = await everyone(api, api.workspace, "/query/funnel/actors", {"query": query, "step": 1}, limit=1)
    assert sorted((one["actor"]["id"], one["key"]) for one in listed) == [
        ("u", "2024-03-04T00:00:00.000Z"),
        ("u", "2024-03-04T02:00:00.000Z"),
        ("v", "2024-03-04T00:00:00.000Z"),
    ]


async def test_events_that_no_step_names_hold_a_session_together(api: Api) -> None:
    await api.write([at(0, "a"), page(20 * MINUTE, "/"), at(40 * MINUTE, "b")])
    query = RANGE | {"steps": [{"names": ["a"]}, {"names": ["b"]}], "analyse_by": "session"}
    (whole,) = (await ask(api, api.workspace, "/query/funnel", query))["data"]
    assert [step["count"] for step in whole["steps"]] == [1, 1]
    only = query | {"where": {"op": "exists", "field": "event"}}
    (whole,) = (await ask(api, api.workspace, "/query/funnel", only))["data"]
    assert [step["count"] for step in whole["steps"]] == [1, 0], "where decides what is read"


async def test_a_trend_by_session_counts_sessions(api: Api) -> None:
    await api.write([at(0), at(MINUTE), at(2 * HOUR), at(0, user="v"), at(0, user="w", table="identify")])
    body = RANGE | {"series": [{"measure": "actors", "table": "any"}], "interval": "day", "analyse_by": "session"}
    (line,) = (await ask(api, api.workspace, "/query/trends", body))["data"]
    assert line["total"] == 3
    refused = await asked(
        api, api.workspace, "/query/trends", body | {"series": [{"measure": "actors", "table": "identify"}]}
    )
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (400, "/series/0/table"), refused.body
