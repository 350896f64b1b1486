"""The test toolkit of the analyses: histories are awkward indeed; series and keys on known answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from tests.oracle import histories, series
from tests.oracle.events import Event, distinct

WORKSPACE = UUID(int=7)
AUTUMN = datetime(2024, 10, 24, tzinfo=UTC)
AS_OF = datetime(2025, 1, 1, tzinfo=UTC)
LATE = round(AS_OF.timestamp() * 1000)


@pytest.fixture(scope="module")
def many() -> list[list[Event]]:
    return [
        histories.history(Random(seed), start=AUTUMN, days=7, zone="Europe/Berlin", prefix=f"{seed}/")
        for seed in range(200)
    ]


def share(many: list[list[Event]], has: Any) -> float:
    return sum(bool(has(history)) for history in many) / len(many)


def test_the_same_seed_gives_the_same_history() -> None:
    first, second = (histories.history(Random(5), start=AUTUMN, prefix="x") for _ in range(2))
    assert first == second


def test_events_of_one_actor_tie(many: list[list[Event]]) -> None:
    def ties(history: list[Event]) -> bool:
        times = [(key, event["timestamp"]) for key, event in series.keyed(history, WORKSPACE)]
        return len(set(times)) < len(times)

    assert share(many, ties) > 0.6


def test_messages_are_sent_again_and_the_rows_differ_only_where_rows_of_a_message_may(many: list[list[Event]]) -> None:
    differing = 0
    for history in many:
        first: dict[tuple[str, str], Event] = {}
        for event in history:
            other = first.setdefault(series.id_of(event), event)
            if other is event:
                continue
            unlike = {key for key in event if event[key] != other[key]}
            assert unlike <= {"received_at", "properties", "traits", "context"}
            assert "received_at" in unlike
            differing += "properties" in unlike
    assert share(many, lambda history: len(distinct(history)) < len(history)) > 0.8
    assert differing > 100


def test_anonymous_ids_become_known_and_devices_are_shared(many: list[list[Event]]) -> None:
    def becomes_known(history: list[Event]) -> bool:
        return any(key[0] == "user" and not event["user_id"] for key, event in series.keyed(history, WORKSPACE))

    def is_shared(history: list[Event]) -> bool:
        users: dict[str, set[str]] = {}
        for event in history:
            if event["user_id"] and event["anonymous_id"] and event["user_id"] not in histories.BLOCKED:
                users.setdefault(event["anonymous_id"], set()).add(event["user_id"])
        return any(len(found) > 1 for found in users.values())

    assert share(many, becomes_known) > 0.4
    assert share(many, is_shared) > 0.05
    assert share(many, lambda history: len(series.keyed(history, WORKSPACE)) < len(distinct(history))) > 0.05


def test_events_lie_in_the_span_around_local_midnights_and_clock_changes(many: list[list[Event]]) -> None:
    zone = ZoneInfo("Europe/Berlin")
    change = round(datetime(2024, 10, 27, 1, tzinfo=UTC).timestamp() * 1000)
    assert histories.clock_changes(AUTUMN, AUTUMN + timedelta(days=7), zone) == [change]
    near = 0
    for event in (event for history in many for event in history):
        moment = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
        assert AUTUMN <= moment < AUTUMN + timedelta(days=7)
        near += abs(event["timestamp"] - change) <= 3_600_000
    assert near > 100

    def at_midnight(history: list[Event]) -> bool:
        local = [datetime.fromtimestamp(event["timestamp"] / 1000, zone) for event in history]
        return any((moment.hour, moment.minute, moment.second) == (0, 0, 0) for moment in local)

    assert share(many, at_midnight) > 0.4


def test_histories_arrive_out_of_order_and_ids_say_nothing_of_time(many: list[list[Event]]) -> None:
    assert share(many, lambda history: history == sorted(history, key=lambda event: event["timestamp"])) < 0.01
    both = share(many, lambda history: len({e["message_id"] for e in history}) < len({map(series.id_of, history)}))
    assert both < 1
    assert share(many, lambda history: len({event["table"] for event in history}) >= 3) > 0.8


def test_prefixes_keep_histories_apart(many: list[list[Event]]) -> None:
    everything = [event for history in many for event in history]
    together = {series.id_of(event): key for key, event in series.keyed(everything, WORKSPACE)}
    apart = {series.id_of(event): key for history in many for key, event in series.keyed(history, WORKSPACE)}
    assert together == apart


def at(second: int, name: str = "a", **fields: Any) -> Event:
    base = {"table": "track", "message_id": f"m{second}", "user_id": "u", "anonymous_id": "", "event": name}
    base |= {"name": name, "group_id": "", "properties": {}, "traits": {}, "context": {}}
    return base | {"timestamp": second * 1000, "received_at": second * 1000} | fields


def meant(pairs: series.Pairs, end_of_history: int = LATE, **one: Any) -> list[str]:
    where = one.pop("analysis_where", None)
    found = series.meant(one, pairs, where=where, end_of_history=end_of_history, as_of=AS_OF)
    return sorted(message_id for _, message_id in found)


IS_MOBILE = {"op": "eq", "field": "properties.on", "value": "mobile"}


def test_first_and_last_are_of_what_matches_and_having_is_asked_of_that_one() -> None:
    mobile = {"properties": {"on": "mobile"}}
    events = [at(1), at(2, **mobile), at(3, "b"), at(4, **mobile), at(5), at(6, user_id="v", **mobile)]
    pairs = series.keyed(events, WORKSPACE)
    assert meant(pairs, names=["a"]) == ["m1", "m2", "m4", "m5", "m6"]
    assert meant(pairs, names=["a"], occurrence="first") == ["m1", "m6"]
    assert meant(pairs, names=["a"], occurrence="first", where=IS_MOBILE) == ["m2", "m6"]
    assert meant(pairs, names=["a"], occurrence="first", having=IS_MOBILE) == ["m6"]
    assert meant(pairs, names=["a"], occurrence="last") == ["m5", "m6"]
    assert meant(pairs, names=["a"], occurrence="last", having=IS_MOBILE) == ["m6"]
    assert meant(pairs, 5_000, names=["a"], occurrence="last", having=IS_MOBILE) == ["m4"]
    assert meant(pairs, names=["a"], occurrence="first", analysis_where=IS_MOBILE) == ["m2", "m6"]
    assert meant(pairs, table="any", names=["b"]) == ["m3"]


def test_ties_go_by_message_id_then_table() -> None:
    same = {"timestamp": 1000}
    events = [at(2, **same), at(1, **same), at(1, table="page", **same)]
    pairs = series.keyed(events, WORKSPACE)
    found = series.meant({"table": "any", "occurrence": "first"}, pairs, end_of_history=LATE, as_of=AS_OF)
    assert found == {("page", "m1")}
    found = series.meant({"table": "any", "occurrence": "last"}, pairs, end_of_history=LATE, as_of=AS_OF)
    assert found == {("track", "m2")}


def test_keys_are_those_of_the_definition() -> None:
    events = [
        at(1, user_id="", anonymous_id="d"),
        at(2, user_id="u", anonymous_id="d"),
        at(3, user_id="null", anonymous_id="undefined", context={"groupId": "g"}),
        at(4, table="group", user_id="", anonymous_id="u", group_id="h", context={"groupId": "g"}),
    ]

    def keys(by: str) -> list[Any]:
        return [(event["message_id"], key) for key, event in series.keyed(events, WORKSPACE, by)]

    assert keys("actor") == [("m1", ("user", "u")), ("m2", ("user", "u")), ("m4", ("anonymous", "u"))]
    assert keys("user_id") == [("m2", ("user", "u"))]
    assert keys("anonymous_id") == [("m1", "d"), ("m2", "d"), ("m4", "u")]
    assert keys("group_id") == [("m3", "g"), ("m4", "h")]
    assert keys("event") == [("m1", "a"), ("m2", "a"), ("m3", "a")]


def test_values_are_texts() -> None:
    sent = at(1, properties={"n": 1.0, "t": "1", "b": True, "e": "", "o": {"a": None}, "l": [], "s": [{"k": "x"}, {}]})
    shown = {field: series.value(f"properties.{field}", sent) for field in ("n", "t", "b", "e", "o", "l", "no")}
    assert shown == {"n": "1", "t": "1", "b": "true", "e": None, "o": None, "l": "[]", "no": None}
    assert series.value("properties.s[].k", sent) == '["x"]'
    assert series.value("timestamp", sent) == "1970-01-01T00:00:01.000Z"
    assert series.value("name", sent) is None
    assert series.number("properties.t", sent) == 1
