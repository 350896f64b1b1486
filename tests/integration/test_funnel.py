"""Funnels over HTTP, on histories small enough to work out on paper."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

import pytest

from tests.analyses import everyone
from tests.api import Api
from tests.oracle.events import Event

T0 = 1_772_323_200_000
"""2026-03-01T00:00:00Z."""
RANGE = {"from": "2026-03-01", "to": "2026-03-11", "as_of": "2026-03-20T00:00:00Z"}
ABC = [{"names": ["a"]}, {"names": ["b"]}, {"names": ["c"]}]


def happened(person: str, *events: tuple[Any, ...]) -> list[Event]:
    """Return a person's events, each (name, seconds after T0) and perhaps properties."""
    return [
        {
            "table": "track",
            "message_id": f"{person}-{number}",
            "user_id": person,
            "timestamp": T0 + round(seconds * 1000),
            "received_at": T0 + round(seconds * 1000),
            "event": name,
            "properties": properties[0] if properties else {},
        }
        for number, (name, seconds, *properties) in enumerate(events)
    ]


async def ask(api: Api, steps: list[dict[str, Any]] = ABC, **body: Any) -> list[dict[str, Any]]:
    answer = await api.call("/query/funnel", RANGE | {"steps": steps} | body)
    assert answer.status == 200, answer.body
    data: list[dict[str, Any]] = answer.json["data"]
    return data


async def counts(api: Api, steps: list[dict[str, Any]] = ABC, **body: Any) -> list[int]:
    (whole,) = await ask(api, steps, **body)
    return [step["count"] for step in whole["steps"]]


async def people(api: Api, step: int, steps: list[dict[str, Any]] = ABC, *, dropped: bool = False, **body: Any) -> str:
    """Return who is behind a count, sorted."""
    extra = {key: body.pop(key) for key in ("group", "interval") if key in body}
    query = RANGE | {"steps": steps} | body
    listed = await everyone(
        api, api.workspace, "/query/funnel/actors", {"query": query, "step": step, "dropped": dropped} | extra
    )
    return " ".join(sorted(one["actor"]["id"] for one in listed))


async def write(api: Api, *histories: Iterable[Event]) -> None:
    await api.write([event for history in histories for event in history])


async def test_steps_are_reached_in_order_within_the_window_inclusive(api: Api) -> None:
    await write(
        api,
        happened("all", ("a", 0), ("b", 50), ("c", 100)),
        happened("late", ("a", 0), ("b", 50), ("c", 100.001)),
        happened("backwards", ("c", 0), ("b", 10), ("a", 20)),
        happened("no-entry", ("b", 0), ("c", 10)),
    )
    (whole,) = await ask(api, window=100)
    assert [(s["count"], s["dropped"], s["from_previous"], s["from_first"]) for s in whole["steps"]] == [
        (3, None, None, 1.0),
        (2, 1, 2 / 3, 2 / 3),
        (1, 1, 0.5, 1 / 3),
    ]
    assert whole["group"] is None
    assert [s["label"] for s in whole["steps"]] == ["a", "b", "c"]
    assert await people(api, 3, window=100) == "all"
    assert await people(api, 3, window=100, dropped=True) == "late"
    assert await people(api, 2, window=100, dropped=True) == "backwards"


async def test_one_event_serves_one_step_and_equal_timestamps_follow_in_either_order(api: Api) -> None:
    twice = happened("twice", ("a", 0), ("a", 5))
    await write(
        api,
        happened("once", ("a", 0)),
        twice,
        [twice[1] | {"received_at": T0 + 99_000}],
        happened("together", ("c", 7), ("b", 7), ("a", 7)),
    )
    assert await counts(api, [{"names": ["a"]}, {"names": ["a"]}]) == [3, 1]
    assert await counts(api, [{"names": ["a"]}, {"names": ["a"]}, {"names": ["a"]}]) == [3, 1, 0]
    assert await counts(api) == [3, 1, 1]


async def test_the_deepest_attempt_counts_and_of_those_the_earliest_gives_the_times(api: Api) -> None:
    await write(
        api,
        happened("p", ("a", 0), ("a", 100), ("b", 130), ("a", 200), ("b", 201), ("c", 1_000)),
        happened("q", ("a", 0), ("b", 10)),
    )
    (whole,) = await ask(api, window=900, times=True)
    # Of p only the entries at 100 and 200 reach c: that at 100 decides, with the nearest b.
    assert [s["count"] for s in whole["steps"]] == [2, 2, 1]
    assert whole["steps"][0]["seconds_from_previous"] is None
    assert whole["steps"][1]["seconds_from_previous"] == {"mean": 20.0, "median": 20.0, "p90": 28.0}
    assert whole["steps"][2]["seconds_from_previous"] == {"mean": 870.0, "median": 870.0, "p90": 870.0}
    assert whole["steps"][2]["seconds_from_first"] == {"mean": 900.0, "median": 900.0, "p90": 900.0}


async def test_conversions_after_the_range_count_unless_all_steps_must_lie_in_it(api: Api) -> None:
    day = 86_400
    await write(
        api,
        happened("p", ("a", 10 * day - 1), ("b", 10 * day), ("c", 10 * day + 50)),
        happened("outside", ("a", 10 * day), ("b", 10 * day + 1)),
    )
    assert await counts(api, window=60) == [1, 1, 1]
    assert await counts(api, window=50) == [1, 1, 0]
    assert await counts(api, window=60, range="all_steps") == [1, 0, 0]


async def test_strict_is_interrupted_by_any_event_strictly_between(api: Api) -> None:
    await write(
        api,
        happened("clean", ("x", 0), ("a", 1), ("b", 2), ("c", 3)),
        happened("broken", ("a", 1), ("x", 1.5), ("b", 2), ("c", 3)),
        happened("beside", ("a", 1), ("x", 1), ("b", 2), ("x", 2), ("c", 3)),
        happened("later", ("a", 1), ("b", 2), ("a", 2.5), ("c", 3)),
    )
    assert await counts(api, order="strict") == [4, 3, 2]
    assert await people(api, 3, order="strict") == "beside clean"
    unasked = {"op": "neq", "field": "event", "value": "x"}
    assert await counts(api, order="strict", where=unasked) == [4, 4, 3]


async def test_any_order_counts_the_steps_served(api: Api) -> None:
    await write(
        api,
        happened("p", ("c", 0), ("a", 10), ("b", 30)),
        happened("q", ("b", 0), ("b", 10)),
        happened("r", ("b", 0), ("c", 100), ("a", 120)),
    )
    (whole,) = await ask(api, order="any", window=30, times=True)
    assert [(s["count"], s["label"]) for s in whole["steps"]] == [(3, ""), (2, ""), (1, "")]
    assert whole["steps"][1]["seconds_from_previous"]["mean"] == 15.0
    assert await people(api, 2, order="any", window=30, dropped=True) == "q"


async def test_exclusions_stop_a_chain_or_disqualify_the_actor(api: Api) -> None:
    await write(
        api,
        happened("clean", ("a", 0), ("b", 10), ("x", 15), ("c", 20)),
        happened("dirty", ("a", 0), ("x", 5), ("b", 10), ("c", 20)),
        happened("again", ("a", 0), ("x", 5), ("a", 6), ("b", 10), ("c", 20)),
        happened("beside", ("a", 0), ("x", 0), ("x", 10), ("b", 10)),
        happened("after", ("a", 0), ("b", 10), ("c", 20), ("x", 30)),
        happened("waiting", ("a", 0), ("x", 50)),
    )
    first = [{"names": ["x"], "from_step": 1, "to_step": 2}]
    assert await counts(api, window=100, exclusions=first) == [6, 4, 3]
    assert await people(api, 2, window=100, exclusions=first, dropped=True) == "dirty waiting"
    assert await counts(api, window=100, exclusions=first, effect="disqualify") == [4, 4, 3]
    assert await people(api, 1, window=100, exclusions=first, effect="disqualify") == "after again beside clean"
    # The whole way: x after b leaves only what came before it.
    assert await counts(api, window=100, exclusions=[{"names": ["x"]}]) == [6, 4, 2]
    assert await counts(api, window=40, exclusions=first, effect="disqualify") == [5, 4, 3]


async def test_a_chain_holds_the_values_of_fields_as_text(api: Api) -> None:
    await write(
        api,
        happened("same", ("a", 0, {"id": 1}), ("b", 1, {"id": "1"}), ("c", 2, {"id": 1.0})),
        happened("mixed", ("a", 0, {"id": 1}), ("b", 1, {"id": 2}), ("a", 2, {"id": 3}), ("b", 3, {"id": 3})),
        happened("absent", ("a", 0), ("b", 1), ("a", 2, {"id": ""})),
    )
    assert await counts(api, holding=["properties.id"]) == [2, 2, 1]
    (whole,) = await ask(api, holding=["properties.id"], times=True)
    assert whole["steps"][1]["seconds_from_first"]["mean"] == 1.0
    assert await counts(api, holding=["properties.id", "event"]) == [2, 0, 0]


async def test_optional_steps_may_be_left_out(api: Api) -> None:
    steps = [{"names": ["a"]}, {"names": ["b"], "optional": True}, {"names": ["c"]}, {"names": ["d"], "optional": True}]
    await write(
        api,
        happened("full", ("a", 0), ("b", 10), ("c", 30), ("d", 60)),
        happened("without", ("a", 0), ("c", 5)),
        happened("half", ("a", 0), ("b", 2)),
        happened("more", ("a", 0), ("c", 5), ("a", 20), ("b", 30), ("c", 40)),
    )
    (whole,) = await ask(api, steps, times=True)
    shown = [(s["count"], s["from_previous"], s["dropped"]) for s in whole["steps"]]
    assert shown == [(4, None, None), (3, 0.75, 1), (3, 0.75, 1), (1, 1 / 3, 2)]
    # c compares with a, not with b: 30, 5 and, by the chain that has b, 40 seconds.
    assert whole["steps"][2]["seconds_from_previous"]["median"] == 30.0
    assert await people(api, 2, steps, dropped=True) == "without"
    assert await people(api, 4, steps, dropped=True) == "more without"


def broken_down(data: list[dict[str, Any]]) -> list[tuple[Any, list[int]]]:
    return [
        ("other" if one["group"]["other"] else tuple(one["group"]["values"]), [s["count"] for s in one["steps"]])
        for one in data
    ]


async def test_breakdowns_attribute_an_actor_to_the_values_of_an_event(api: Api) -> None:
    await write(
        api,
        happened("p", ("a", 0), ("b", 1, {"v": "y"}), ("c", 2, {"v": "z"})),
        happened("q", ("a", 0, {"v": "y"}), ("b", 1, {"v": "x"})),
        happened("r", ("a", 0)),
    )
    by = {"by": ["properties.v"]}
    two = ABC[:2]
    assert broken_down(await ask(api, breakdown=by)) == [(("y",), [2, 2, 1]), ((None,), [1, 0, 0])]
    last = by | {"attribution": "last_touch"}
    assert broken_down(await ask(api, breakdown=last)) == [
        ((None,), [1, 0, 0]),
        (("x",), [1, 1, 0]),
        (("z",), [1, 1, 1]),
    ]
    step = by | {"attribution": "step", "step": 2}
    assert broken_down(await ask(api, two, breakdown=step)) == [(("x",), [1, 1]), (("y",), [1, 1])]
    every = by | {"attribution": "all_events"}
    assert broken_down(await ask(api, two, breakdown=every)) == [((None,), [2, 0]), (("y",), [1, 0])]
    assert await people(api, 1, breakdown=by, group={"values": ["y"]}) == "p q"
    assert await people(api, 2, breakdown=by, group={"values": [None]}, dropped=True) == "r"


async def test_groups_beyond_the_limit_are_folded_as_if_they_were_one(api: Api) -> None:
    await write(
        api,
        *(happened(f"t{n}", ("a", 0, {"v": "top"}), ("b", 1, {"v": "top"})) for n in range(3)),
        happened("p", ("a", 0, {"v": "u"}), ("b", 1, {"v": "w"})),
        happened("q", ("a", 0, {"v": "w"})),
    )
    two = ABC[:2]
    by = {"by": ["properties.v"], "limit": 1}
    assert broken_down(await ask(api, two, breakdown=by)) == [(("top",), [3, 3]), ("other", [2, 1])]
    every = by | {"attribution": "all_events"}
    assert broken_down(await ask(api, two, breakdown=every)) == [(("top",), [3, 3]), ("other", [2, 1])]
    wide = every | {"limit": 3}
    assert broken_down(await ask(api, two, breakdown=wide)) == [(("top",), [3, 3]), (("u",), [1, 0]), (("w",), [1, 0])]
    for breakdown in (by, every):
        assert await people(api, 2, two, breakdown=breakdown, group={"other": True}) == "p"
        assert await people(api, 2, two, breakdown=breakdown, group={"other": True}, dropped=True) == "q"


async def test_the_trend_counts_each_interval_by_the_attempts_begun_there(api: Api) -> None:
    day = 86_400
    await write(
        api,
        happened("p", ("a", 10), ("a", day), ("b", day + 50), ("a", 3 * day)),
        happened("q", ("a", 20), ("b", 2 * day)),
    )
    (whole,) = await ask(api, ABC[:2], trend="day", window=day)
    trend = [(point["start"], point["counts"]) for point in whole["trend"]]
    assert trend[:4] == [
        ("2026-03-01T00:00:00+00:00", [2, 0]),
        ("2026-03-02T00:00:00+00:00", [1, 1]),
        ("2026-03-03T00:00:00+00:00", [0, 0]),
        ("2026-03-04T00:00:00+00:00", [1, 0]),
    ]
    assert len(trend) == 10
    assert await people(api, 1, ABC[:2], trend="day", window=day, interval="2026-03-01") == "p q"
    assert await people(api, 2, ABC[:2], trend="day", window=day, interval=trend[1][0]) == "p"
    berlin = await ask(api, ABC[:2], trend="week", timezone="Europe/Berlin", week_start="sunday")
    assert [point["start"] for point in berlin[0]["trend"]] == [
        "2026-03-01T00:00:00+01:00",
        "2026-03-08T00:00:00+01:00",
    ]


async def test_the_time_to_convert_is_a_histogram(api: Api) -> None:
    spans = [1, 2, 3.5, 10, 10, 31, 61, 61, 61]
    await write(api, *(happened(f"p{n}", ("a", 0), ("b", span)) for n, span in enumerate(spans)))
    (whole,) = await ask(api, ABC[:2], time_to_convert={"from_step": 1, "to_step": 2})
    # Nine spans: three bins of 20 seconds, and the one that closes.
    bins = [(bin_["start"], bin_["end"], bin_["count"]) for bin_ in whole["time_to_convert"]]
    assert bins == [(1, 21, 5), (21, 41, 1), (41, 61, 0), (61, 81, 3)]
    (two,) = await ask(api, ABC[:2], time_to_convert={"from_step": 1, "to_step": 2, "bins": 2})
    assert [bin_["count"] for bin_ in two["time_to_convert"]] == [5, 1, 3]
    (none,) = await ask(api, time_to_convert={"from_step": 2, "to_step": 3})
    assert none["time_to_convert"] == []


async def test_a_step_may_be_the_first_or_last_of_its_kind(api: Api) -> None:
    await write(
        api,
        happened("new", ("a", 0), ("b", 1)),
        happened("old", ("a", -86_400), ("a", 0), ("b", 1)),
        happened("mobile", ("a", 0, {"m": True}), ("a", 1), ("b", 2)),
    )
    first = {"names": ["a"], "occurrence": "first"}
    assert await counts(api, [first, {"names": ["b"]}]) == [2, 2]
    having = {"op": "eq", "field": "properties.m", "value": True}
    assert await counts(api, [first | {"having": having}, {"names": ["b"]}]) == [1, 1]
    assert await counts(api, [first, {"names": ["a"]}]) == [2, 1]


async def test_events_count_for_whom_the_request_says(api: Api) -> None:
    await write(
        api,
        [event | {"user_id": "", "anonymous_id": "dev"} for event in happened("x", ("a", 0))],
        [event | {"anonymous_id": "dev"} for event in happened("u", ("b", 10))],
        happened("v", ("a", 0, {"order": 5}), ("b", 1, {"order": 5})),
    )
    two = ABC[:2]
    assert await counts(api, two) == [2, 2]
    assert await counts(api, two, analyse_by="user_id") == [1, 1]
    assert await counts(api, two, analyse_by="anonymous_id") == [1, 1]
    query = RANGE | {"steps": two, "analyse_by": "properties.order"}
    page = await api.call("/query/funnel/actors", {"query": query, "step": 2})
    assert page.json["data"] == [{"key": "5"}]


async def test_lists_are_paged(api: Api) -> None:
    await write(api, *(happened(f"p{n:02}", ("a", n), ("b", n + 1)) for n in range(25)))
    body = {"query": RANGE | {"steps": ABC}, "step": 3, "dropped": True}
    listed = await everyone(api, api.workspace, "/query/funnel/actors", body, limit=4)
    assert sorted(one["actor"]["id"] for one in listed) == [f"p{n:02}" for n in range(25)]


async def test_the_answer_is_a_table_too(api: Api) -> None:
    await write(api, happened("p", ("a", 0, {"v": "x"}), ("b", 1.5)), happened("q", ("a", 0)))
    body = RANGE | {
        "steps": ABC[:2],
        "times": True,
        "trend": "week",
        "time_to_convert": {"from_step": 1, "to_step": 2},
        "breakdown": {"by": ["properties.v"]},
    }
    answer = await api.call("/query/funnel", body, accept="text/csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    steps = [
        (row["group_1"], row["other"], row["step"], row["count"], row["dropped"])
        for row in rows
        if row["kind"] == "step"
    ]
    assert steps == [
        ("", "false", "1", "1", ""),
        ("", "false", "2", "0", "1"),
        ("x", "false", "1", "1", ""),
        ("x", "false", "2", "1", "0"),
    ]
    assert [row["mean_from_first"] for row in rows if row["kind"] == "step"] == ["", "", "", "1.5"]
    assert {row["kind"] for row in rows} == {"step", "trend", "bin"}


async def test_an_empty_range_is_a_funnel_of_nobody(api: Api) -> None:
    await write(api, happened("p", ("a", 0), ("b", 1)))
    nothing = {"from": "2026-03-05", "to": "2026-03-05"}
    assert await counts(api, **nothing) == [0, 0, 0]
    (whole,) = await ask(api, trend="day", times=True, **nothing)
    assert whole["trend"] == []
    assert [s["from_first"] for s in whole["steps"]] == [None, None, None]
    assert await ask(api, breakdown={"by": ["event"]}, **nothing) == []
    assert await people(api, 1, **nothing) == ""


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"steps": []}, "/steps"),
        ({"steps": [{"names": ["a"]}] * 21}, "/steps"),
        ({"steps": [{}]}, "/steps/0/names"),
        ({"steps": [{"table": "identify", "names": ["a"]}]}, "/steps/0/names"),
        ({"steps": [{"names": ["a"], "optional": True}]}, "/steps/0/optional"),
        ({"steps": [ABC[0], {"names": ["b"], "optional": True}], "order": "any"}, "/steps/1/optional"),
        (
            {"steps": [ABC[0], {"names": ["b"], "optional": True}], "exclusions": [{"names": ["x"]}]},
            "/steps/1/optional",
        ),
        ({"steps": [{"names": ["a"], "having": {"op": "and", "items": []}}]}, "/steps/0/having"),
        ({"window": 0}, "/window"),
        ({"window": 31_622_401}, "/window"),
        ({"exclusions": [{"names": ["x"], "from_step": 2, "to_step": 2}]}, "/exclusions/0/from_step"),
        ({"exclusions": [{"names": ["x"], "to_step": 4}]}, "/exclusions/0/to_step"),
        ({"exclusions": [{}]}, "/exclusions/0/names"),
        ({"exclusions": [{"names": ["x"], "to_step": 2}], "order": "any"}, "/exclusions/0/to_step"),
        ({"holding": ["event", "event"]}, "/holding/1"),
        ({"holding": ["nothing"]}, "/holding/0"),
        ({"holding": ["properties.items[].sku"]}, "/holding/0"),
        ({"breakdown": {"by": ["event"], "attribution": "step"}}, "/breakdown/step"),
        ({"breakdown": {"by": ["event"], "attribution": "step", "step": 4}}, "/breakdown/step"),
        ({"breakdown": {"by": ["event"], "step": 1}}, "/breakdown/step"),
        ({"breakdown": {"by": ["name"]}}, "/breakdown/by/0"),
        ({"time_to_convert": {"from_step": 2, "to_step": 2}}, "/time_to_convert/from_step"),
        ({"time_to_convert": {"from_step": 1, "to_step": 4}}, "/time_to_convert/to_step"),
        ({"trend": "minute", "from": "-30d"}, "/trend"),
        ({"where": {"op": "gt", "field": "timestamp", "value": 1}}, "/where/op"),
        ({"from": "2026-03-12"}, "/to"),
        ({"timezone": "Mars/Olympus"}, "/timezone"),
        ({"analyse_by": "nothing"}, "/analyse_by"),
    ],
)
async def test_what_cannot_be_is_refused_naming_the_field(api: Api, body: dict[str, Any], pointer: str) -> None:
    request = RANGE | {"steps": ABC} | body
    answer = await api.call("/query/funnel", request)
    assert answer.status == 400, answer.body
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
    nested = await api.call("/query/funnel/actors", {"query": request, "step": 1})
    assert nested.status == 400
    if "breakdown" not in body:
        assert [error["pointer"] for error in nested.json["errors"]] == ["/query" + pointer]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"step": 4}, "/step"),
        ({"step": 1, "dropped": True}, "/dropped"),
        ({"step": 1, "group": {"values": ["x"]}}, "/group"),
        ({"step": 1, "interval": "2026-03-01"}, "/interval"),
        ({"step": 1, "query": {"breakdown": {"by": ["event"]}}}, "/group"),
        ({"step": 1, "query": {"breakdown": {"by": ["event"]}}, "group": {"values": []}}, "/group/values"),
        (
            {"step": 1, "query": {"breakdown": {"by": ["event"]}}, "group": {"values": ["a"], "other": True}},
            "/group/values",
        ),
        ({"step": 1, "query": {"trend": "day"}, "interval": "2026-03-01T05:00"}, "/interval"),
        ({"step": 1, "cursor": "nonsense"}, "/cursor"),
    ],
)
async def test_numbers_that_are_not_there_have_no_list(api: Api, body: dict[str, Any], pointer: str) -> None:
    query = RANGE | {"steps": ABC} | body.get("query", {})
    answer = await api.call("/query/funnel/actors", body | {"query": query})
    assert answer.status == 400, answer.body
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
