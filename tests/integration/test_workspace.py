"""Settings of a workspace: what every query takes for granted, over HTTP."""

from __future__ import annotations

from typing import Any

from tests.api import Api

T0 = 1_767_225_600_000  # 2026-01-01T00:00:00Z
DAY = 86_400_000
DEFAULTS: dict[str, Any] = {
    "name": "",
    "timezone": "UTC",
    "week_start": "monday",
    "clock": None,
    "blocked_ids": [],
    "internal_users": None,
    "limits": {"max_seconds": None, "max_rows_to_read": None, "max_bytes_to_read": None, "max_memory_bytes": None},
}


def event(n: int, **fields: Any) -> dict[str, Any]:
    """Return a track event, the n-th."""
    return {
        "table": "track",
        "message_id": f"m{n}",
        "user_id": "u",
        "event": "e",
        "timestamp": T0 + n,
        "received_at": T0 + n,
        "properties": {"n": n},
    } | fields


async def test_workspace_settings_hold_for_every_query_at_once(api: Api) -> None:
    assert (await api.call("/workspace", method="GET")).json == DEFAULTS
    await api.write([event(n, timestamp=T0 + n * DAY) for n in range(4)])
    body = {"from": "2026-01-02", "columns": ["properties.n"]}
    assert len((await api.call("/query/events", body)).json["data"]) == 3
    settings = {"name": "Shop", "timezone": "Asia/Tokyo", "clock": "2026-01-03T00:00:00Z"}
    put = await api.call("/workspace", settings, method="PUT")
    assert put.status == 200
    assert put.json == DEFAULTS | settings
    assert (await api.call("/workspace", method="GET")).json == put.json
    # The clock hides later events and Tokyo's 2nd of January begins on the 1st; the cached answer is gone.
    answer = await api.call("/query/events", body)
    assert [row["properties.n"] for row in answer.json["data"]] == [1]
    assert answer.json["meta"]["as_of"] == "2026-01-03T00:00:00Z"


async def test_workspace_settings_that_cannot_be_name_the_field(api: Api) -> None:
    for body, pointer in (
        ({"timezone": "Nowhere"}, "/timezone"),
        ({"timezone": "right/UTC"}, "/timezone"),  # files of the zone database that no request may name
        ({"timezone": "localtime"}, "/timezone"),
        ({"clock": "9999-12-31T00:00:00Z"}, "/clock"),
        ({"clock": "0001-01-01T00:00:00+14:00"}, "/clock"),
        ({"name": "a\0b"}, "/name"),
        ({"clock": "2026-01-01T00:00:00"}, "/clock"),
        ({"week_start": "friday"}, "/week_start"),
        ({"blocked_ids": ["a", "b", "a"]}, "/blocked_ids/2"),
        ({"blocked_ids": ["a\0"]}, "/blocked_ids/0"),
        ({"internal_users": {"op": "exists", "field": "nothing"}}, "/internal_users/field"),
        ({"internal_users": {"op": "matches", "field": "user_id", "value": "("}}, "/internal_users/value"),
        ({"limits": {"max_seconds": 0}}, "/limits/max_seconds"),
        ({"limits": {"max_rows_to_read": -1}}, "/limits/max_rows_to_read"),
    ):
        answer = await api.call("/workspace", body, method="PUT")
        assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, pointer)


async def actors(api: Api) -> list[Any]:
    """Return the actor of each event, oldest first."""
    rows = await api.events(order="oldest", columns=["message_id", "actor"])
    return [row["actor"] and (row["actor"]["kind"], row["actor"]["id"]) for row in rows]


async def test_blocked_ids_are_no_ids_and_link_nobody_until_they_are_allowed_again(api: Api) -> None:
    await api.write(
        [
            event(0, user_id="kiosk", anonymous_id="tablet"),
            event(1, user_id="", anonymous_id="tablet"),
            event(2, user_id="ann", anonymous_id="tablet"),
            event(3, user_id="kiosk", anonymous_id=""),
            event(4, user_id="", anonymous_id="wall"),
            event(5, user_id="kiosk", anonymous_id="wall"),
        ]
    )
    kiosk = ("user", "kiosk")
    assert await actors(api) == [kiosk, kiosk, ("user", "ann"), kiosk, kiosk, kiosk]
    await api.call("/workspace", {"blocked_ids": ["kiosk", "wall"]}, method="PUT")
    # The tablet's first link was with an id that is none: it is Ann's now, whose link came later.
    assert await actors(api) == [("user", "ann")] * 3 + [None] * 3
    only = await api.events(order="oldest", actors=[{"kind": "anonymous", "id": "tablet"}], columns=["message_id"])
    assert [row["message_id"] for row in only] == ["m0", "m1", "m2"]
    assert await api.events(actors=[{"kind": "user", "id": "kiosk"}]) == []
    await api.call("/workspace", {"blocked_ids": ["wall"]}, method="PUT")
    assert await actors(api) == [kiosk, kiosk, ("user", "ann"), kiosk, None, kiosk]
    await api.call("/workspace", {}, method="PUT")
    assert await actors(api) == [kiosk, kiosk, ("user", "ann"), kiosk, kiosk, kiosk]


async def test_a_query_over_a_limit_of_the_workspace_says_which_and_what_would_help(api: Api) -> None:
    await api.write([event(n, message_id=f"m{n}", timestamp=T0 + n * 1000) for n in range(20_000)])
    for limit, found in (
        ({"max_rows_to_read": 100}, "read at most 100 rows"),
        ({"max_bytes_to_read": 1_000}, "read at most 1,000 bytes"),
    ):
        await api.call("/workspace", {"limits": limit}, method="PUT")
        answer = await api.call("/query/events", {"limit": 10_000})
        assert answer.status == 422, answer.body
        assert found in answer.json["detail"]
        assert f"limits.{next(iter(limit))}" in answer.json["detail"]
        assert "shorter range" in answer.json["detail"]
    await api.call("/workspace", {"limits": {"max_seconds": 0.001}}, method="PUT")
    answer = await api.call("/query/events", {"limit": 10_000})
    assert answer.status == 504
    assert "limits.max_seconds" in answer.json["detail"]
    await api.call("/workspace", {}, method="PUT")
    assert (await api.call("/query/events", {"limit": 10_000})).status == 200
