"""A person who is forgotten is found nowhere, and does not come back."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import nats

from contracts import subjects
from contracts.base import encode
from services.kit.lifecycle import close_quietly
from tests.api import Api
from tests.platform import Platform
from tests.traces import places

_T0 = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_PATIENCE = 90.0


def _row(table: str, number: int, **more: Any) -> dict[str, Any]:
    stamp = _T0 + number * 1_000
    return {"table": table, "message_id": f"m{number}", "timestamp": stamp, "received_at": stamp, **more}


def _history(user: str, device: str) -> list[dict[str, Any]]:
    """A person of two ids in all four tables, another one on the same device, and a third apart."""
    return [
        _row("track", 1, anonymous_id=device, event="Viewed", properties={"note": f"by {device}"}),
        _row("identify", 2, user_id=user, anonymous_id=device, traits={"email": f"{user}@example.com"}),
        _row("track", 3, user_id=user, event="Bought"),
        _row("page", 4, user_id=user, name="Home"),
        _row("group", 5, user_id=user, group_id="acme"),
        _row("track", 6, user_id="housemate", anonymous_id=device, event="Viewed"),
        _row("identify", 7, user_id="housemate", traits={"plan": "pro"}),
        _row("track", 8, user_id="stranger", event="Viewed"),
    ]


async def _done(api: Api, id: str) -> dict[str, Any]:
    end = time.monotonic() + _PATIENCE
    while True:
        record: dict[str, Any] = (await api.call(f"/deletions/{id}", method="GET")).json
        if record["state"] == "done":
            return record
        assert time.monotonic() < end, record
        await asyncio.sleep(0.1)


async def _announce(api: Api, *user_ids: str) -> None:
    connection = await nats.connect(api.settings.nats_url)
    try:
        from_, to = (f"2026-01-0{day}T00:00:00Z" for day in (1, 2))
        event = {"workspace_id": api.workspace, "tables": ["track"], "rows": 1, "from": from_, "to": to}
        message = encode(event | {"user_ids": user_ids})
        await connection.jetstream().publish(subjects.ingested(api.workspace), message)
    finally:
        await close_quietly(connection.close)


async def _kept_messages(api: Api) -> int:
    connection = await nats.connect(api.settings.nats_url)
    try:
        info = await connection.jsm().stream_info(
            subjects.EVENTS_STREAM, subjects_filter=subjects.ingested(api.workspace)
        )
        return sum((info.state.subjects or {}).values())
    finally:
        await close_quietly(connection.close)


async def test_of_a_forgotten_person_nothing_is_found_anywhere_and_others_are_as_they_were(
    platform: Platform, api: Api
) -> None:
    user, device = f"canary-user-{uuid4().hex}", f"canary-device-{uuid4().hex}"
    await api.write(_history(user, device))
    await _announce(api, user)
    await _announce(api, "stranger")
    listed = {"operation": "query.trends_actors", "request": _EVERYBODY}
    kept = await api.call("/lists", {"name": "everybody", "source": listed})
    assert kept.status == 200, kept.body
    assert (kept.json["size"], await _kept_messages(api)) == (3, 2)
    asked = await api.call("/query/sql", {"query": f"SELECT count() FROM events WHERE user_id = '{user}'"})
    assert asked.status == 200, asked.body
    stores = {place.partition(" ")[0] for place in await places(api.settings, user)}
    assert stores >= {"postgres", "clickhouse", "jetstream"}, "else the search proves nothing"

    answer = await api.call("/deletions", {"actors": [{"kind": "user", "id": user}]})
    assert answer.status == 200, answer.body
    assert answer.json["ids"] == 2, "the device is hers: it was first linked to her"
    record = await _done(api, answer.json["id"])
    assert set(record["stores"].values()) == {"done"}

    logs = [platform.logs, Path(api.settings.home) / "logs"]
    assert await places(api.settings, user, logs) == []
    assert await places(api.settings, device, logs) == []
    rows = await api.events(columns=["message_id", "user_id", "anonymous_id"])
    assert sorted((row["message_id"], row["user_id"], row["anonymous_id"]) for row in rows) == [
        ("m6", "housemate", None),
        ("m7", "housemate", None),
        ("m8", "stranger", None),
    ]
    assert (await api.call(f"/lists/{kept.json['id']}", method="GET")).json["size"] == 2
    assert await _kept_messages(api) == 1


_EVERYBODY: dict[str, Any] = {
    "query": {
        "series": [{"names": ["Viewed"], "measure": "actors"}],
        "from": "2026-01-01",
        "to": "2026-01-02",
    },
    "bucket": "2026-01-01",
}


async def test_a_forgotten_person_does_not_come_back_with_a_replay_nor_under_an_id_linked_later(api: Api) -> None:
    user, device = f"canary-user-{uuid4().hex}", f"canary-device-{uuid4().hex}"
    history = _history(user, device)
    await api.write(history)
    assert (await _profile(api, f"user_id:{user}", 200))["anonymous_ids"] == [device]
    deleted = await api.call(f"/profiles/user_id:{user}", method="DELETE")
    assert deleted.status == 200, deleted.body
    assert (await api.call(f"/profiles/anonymous_id:{device}", method="GET")).status == 404, "at once"
    await _done(api, deleted.json["id"])

    later = f"canary-later-{uuid4().hex}"
    seen = _row("track", 20, anonymous_id=later, event="Viewed")
    await api.write([seen])
    await _profile(api, f"anonymous_id:{later}", 200)
    link = _row("track", 21, anonymous_id=later, user_id=user, event="Viewed")
    await api.write([{**row, "received_at": row["received_at"] + 60_000} for row in [*history, link]])
    await _profile(api, f"anonymous_id:{later}", 404)
    end = time.monotonic() + _PATIENCE
    while left := [place for id_ in (user, device, later) for place in await places(api.settings, id_)]:
        assert time.monotonic() < end, left
        await asyncio.sleep(0.3)
    assert (await _profile(api, "user_id:housemate", 200))["traits"] == {"plan": "pro"}
    assert (await _done(api, deleted.json["id"]))["ids"] == 3


async def test_an_access_request_gives_everything_that_is_kept_of_a_person_and_of_nobody_else(api: Api) -> None:
    await api.write(
        [*_history("ada", "laptop"), *(_row("track", 100 + n, user_id="ada", event="E") for n in range(1_100))]
    )
    await _profile(api, "user_id:ada", 200)
    answer = await api.call("/profiles/anonymous_id:laptop/export", method="GET", accept="application/x-ndjson")
    assert answer.status == 200, answer.body
    lines = [json.loads(line) for line in answer.body.splitlines()]
    kinds = Counter(line["kind"] for line in lines)
    assert kinds == {"profile": 1, "identity": 2, "event": 1_105}
    assert lines[0]["profile"]["traits"] == {"email": "ada@example.com"}
    told = [line["event"] for line in lines if line["kind"] == "event"]
    assert [event["message_id"] for event in told[:5]] == ["m1", "m2", "m3", "m4", "m5"]
    assert len({event["message_id"] for event in told}) == 1_105
    assert b"housemate" not in answer.body
    unknown = await api.call("/profiles/user_id:nobody/export", method="GET", accept="application/x-ndjson")
    assert unknown.status == 404


async def _profile(api: Api, reference: str, status: int) -> dict[str, Any]:
    """Wait until the profile is there, or gone, as `status` says."""
    end = time.monotonic() + _PATIENCE
    while True:
        answer = await api.call(f"/profiles/{reference}", method="GET", **{"Cache-Control": "no-cache"})
        if answer.status == status:
            profile: dict[str, Any] = answer.json
            return profile
        assert time.monotonic() < end, answer.body
        await asyncio.sleep(0.1)


async def test_a_deletion_is_recorded_without_a_name_and_listed_newest_first(api: Api) -> None:
    made = []
    for number in range(3):
        answer = await api.call("/deletions", {"actors": [{"kind": "user", "id": f"u{number}"}]})
        assert answer.status == 200, answer.body
        made.append(answer.json["id"])
        await _done(api, made[-1])
    first = (await api.call("/deletions?limit=2", method="GET")).json
    second = (await api.call(f"/deletions?limit=2&cursor={first['next_cursor']}", method="GET")).json
    assert [each["id"] for each in (*first["data"], *second["data"])] == made[::-1]
    assert second["next_cursor"] is None
    assert "u0" not in str(first) + str(second)
    assert all(each["completed_at"] for each in first["data"])


async def test_what_is_no_id_cannot_be_forgotten_and_another_workspace_s_deletion_is_unknown(api: Api) -> None:
    answer = await api.call("/deletions", {"actors": [{"kind": "user", "id": "x"}, {"kind": "user", "id": "null"}]})
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, "/actors/1/id")
    assert (await api.call("/deletions", {"actors": []})).status == 400
    made = (await api.call("/deletions", {"actors": [{"kind": "user", "id": "x"}]})).json
    elsewhere = Api(api.settings, api.url, UUID(int=api.workspace.int ^ 1), api.http)
    assert (await elsewhere.call(f"/deletions/{made['id']}", method="GET")).status == 404
    assert (await elsewhere.call("/deletions", method="GET")).json["data"] == []
    assert (await api.call("/profiles/user_id:nobody", method="DELETE")).status == 404
