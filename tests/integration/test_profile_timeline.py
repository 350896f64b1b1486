"""One person's timeline, sessions, ids and summary over HTTP: what they hold, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import nats
import pytest

from contracts.profile_reads import ProfileEvents, ProfileSessions
from services.kit import cursor
from services.kit.client import Client
from services.kit.settings import Settings
from services.profile.resources import Resources
from tests.api import Api
from tests.people import T0, People, connected, event


@pytest.fixture
async def resources(infra: Settings) -> AsyncIterator[Resources]:
    async with connected(infra) as found:
        yield found


@pytest.fixture
def people(api: Api, resources: Resources) -> People:
    return People(api, resources)


async def read(people: People, reference: str, what: str, query: str = "") -> Any:
    """Return an answer about a person, which must be there."""
    answer = await people.ask(reference, f"/{what}?{query}")
    assert answer.status == 200, (reference, what, query, answer.body)
    return answer.json


def ids(page: Any) -> list[str]:
    return [row["message_id"] for row in page["data"]]


ADA = (
    event(1, anonymous_id="phone"),
    event(2, user_id="ada", anonymous_id="phone", traits={"email": "ada@example.com"}),
    event(3, user_id="ada", table="page", name="Home", properties={"path": "/home"}, context={"locale": "de"}),
    event(4, user_id="ada", table="group", group_id="g1", traits={"seats": 3}),
    event(5, anonymous_id="phone", properties={"big": 2**60, "n": 1.5}),
    event(6, user_id="bob"),
)


async def test_a_timeline_has_the_events_of_all_tables_and_ids_whoever_is_asked_for(people: People) -> None:
    await people.write(*ADA)
    found = await read(people, "user_id:ada", "events")
    assert ids(found) == ["m5", "m4", "m3", "m2", "m1"]
    assert found["next_cursor"] is None
    profile = await people.get("user_id:ada")
    for reference in (profile["id"], "anonymous_id:phone", "email:ada@example.com"):
        page = await read(people, reference, "events", "order=oldest")
        assert (page["profile_id"], ids(page)) == (profile["id"], ["m1", "m2", "m3", "m4", "m5"])


async def test_rows_are_those_of_an_events_query(people: People) -> None:
    await people.write(*ADA, event(5, anonymous_id="phone", properties={"first": "received"}, received_at=T0))
    asked = {"from": "2025-01-01", "actors": [{"kind": "user", "id": "ada"}], "limit": 100}
    for table in ("any", "track", ["page", "group"]):
        rows = await people.api.events(**asked, table=table)
        query = "&".join(f"table={each}" for each in ([table] if isinstance(table, str) else table))
        assert (await read(people, "user_id:ada", "events", query))["data"] == rows


async def test_names_tables_and_times_narrow_a_timeline(people: People) -> None:
    await people.write(*ADA, event(7, user_id="ada", event="a,b"), event(8, user_id="ada", event="e"))
    for query, expected in (
        ("names=e", ["m8", "m5", "m1"]),
        ("names=Home&names=a,b", ["m7", "m3"]),
        ("names=e&table=page", []),
        ("table=identify&table=group", ["m4", "m2"]),
        ("from=2026-01-01T00:02Z&to=2026-01-01T00:05Z", ["m4", "m3", "m2"]),
        ("from=2026-01-01T01:04&timezone=Europe/Berlin&order=oldest", ["m4", "m5", "m7", "m8"]),
        ("as_of=2026-01-01T00:03Z", ["m2", "m1"]),
    ):
        assert ids(await read(people, "user_id:ada", "events", query)) == expected, query


async def test_a_cursor_goes_on_after_its_person_was_merged_and_by_any_of_their_ids(people: People) -> None:
    await people.write(*ADA)
    first = await read(people, "user_id:bob", "events", "limit=1&order=oldest&as_of=2026-01-02")
    assert (ids(first), first["next_cursor"]) == (["m6"], None)
    start = await read(people, "user_id:ada", "events", "limit=2&as_of=2026-01-02")
    assert ids(start) == ["m5", "m4"]
    await people.write(event(0, user_id="bob", table="page", name="Late"), event(9, user_id="ada"))
    await people.post("user_id:bob", "merge", other="user_id:ada")
    query = f"limit=10&as_of=2026-01-02&cursor={start['next_cursor']}"
    rest = await read(people, "user_id:bob", "events", query)
    assert ids(rest) == ["m3", "m2", "m1", "m0"]
    assert rest["profile_id"] == (await people.get("user_id:ada"))["id"] == first["profile_id"]


async def test_events_after_a_pinned_clock_are_not_there_yet_and_blocked_ids_are_nobody(people: People) -> None:
    await people.write(
        event(1, user_id="guest", anonymous_id="tv"),
        event(2, anonymous_id="tv"),
        event(3, user_id="guest"),
        event(4, user_id="guest", anonymous_id="phone"),
        event(5, anonymous_id="tv", table="page", name="Home"),
    )
    settings = {"clock": "2026-01-01T00:05:00Z", "blocked_ids": ["guest"]}
    assert (await people.api.call("/workspace", settings, method="PUT")).status == 200
    await people.project([{"user_id": "guest"}, {"anonymous_id": "tv"}, {"anonymous_id": "phone"}])
    assert ids(await read(people, "anonymous_id:tv", "events")) == ["m2", "m1"]
    assert ids(await read(people, "anonymous_id:phone", "events")) == ["m4"]
    assert (await read(people, "anonymous_id:tv", "summary"))["events"] == 2
    assert (await people.ask("user_id:guest", "/events")).status == 404


async def test_identities_say_how_each_id_came(people: People) -> None:
    await people.write(*ADA, event(7, user_id="bob", anonymous_id="phone"), event(8, anonymous_id="tv"))
    await people.post("user_id:ada", "merge", other="anonymous_id:tv")
    answer = await people.post("user_id:ada", "merge", other="user_id:bob")
    listed = (await read(people, "user_id:bob", "identities"))["data"]
    came = {f"{one['kind']}:{one['id']}": one for one in listed}
    ada = {"kind": "user", "id": "ada"}
    assert next(iter(came)) == "user:ada"
    assert {name: (one["came"], one["into"]) for name, one in came.items()} == {
        "user:ada": ("own", None),
        "anonymous:phone": ("linked", ada),
        "anonymous:tv": ("merged", ada),
        "user:bob": ("merged", ada),
    }
    assert (came["anonymous:phone"]["at"], came["anonymous:phone"]["by"]) == ("2026-01-01T00:02:00Z", None)
    assert came["user:bob"]["at"] == answer["merge"]["merged_at"]
    assert came["user:bob"]["by"] == answer["merge"]["merged_by"]
    assert came["anonymous:tv"]["first_seen_at"] == came["anonymous:tv"]["last_seen_at"] == "2026-01-01T00:08:00Z"


async def test_identities_warn_of_those_that_gather_many(people: People) -> None:
    await people.write(*(event(number, user_id=f"u{number}", anonymous_id="kiosk") for number in range(12)))
    (warning,) = (await read(people, "anonymous_id:kiosk", "identities"))["warnings"]
    assert (warning["kind"], warning["actor"]["id"], warning["count"]) == ("many_users", "kiosk", 12)
    assert (await read(people, "user_id:u7", "identities"))["warnings"] == []


async def test_a_person_without_events_up_to_as_of_has_empty_answers(people: People) -> None:
    await people.write(*ADA)
    before = "as_of=2025-01-01"
    for what in ("events", "sessions"):
        answer = await read(people, "user_id:ada", what, before)
        assert (answer["data"], answer["next_cursor"]) == ([], None)
    summary = await read(people, "user_id:ada", "summary", before)
    assert (summary["events"], summary["first_seen_at"], summary["days_active"]) == (0, None, 0)
    assert [day["events"] for day in summary["days"]] == [0] * 30
    assert summary["days"][-1]["day"] == "2025-01-01"


@pytest.mark.parametrize("what", ["events", "sessions", "identities", "summary"])
async def test_unknown_foreign_and_ambiguous_people_are_told_as_by_get(people: People, what: str) -> None:
    await people.write(*ADA, event(8, user_id="eve", traits={"email": "ada@example.com"}))
    stranger = People(Api(people.api.settings, people.api.url, uuid4(), people.api.http), people.resources)
    ada = await people.get("user_id:ada")
    for who, reference, status in (
        (people, "user_id:nobody", 404),
        (stranger, ada["id"], 404),
        (people, "email:ada@example.com", 409),
        (people, "colour:red", 400),
    ):
        told = await who.ask(reference, f"/{what}")
        assert (told.status, told.json["detail"]) == (status, (await who.ask(reference)).json["detail"])


@pytest.mark.parametrize(
    ("what", "query", "pointer"),
    [
        ("events", "limit=0", "/limit"),
        ("events", "table=orders", "/table"),
        ("events", "names=e&table=identify", "/names"),
        ("events", "from=soon", "/from"),
        ("events", "from=2026-01-02&to=2026-01-01", "/to"),
        ("events", "timezone=Mars", "/timezone"),
        ("events", "order=random", "/order"),
        ("events", "cursor=abc", "/cursor"),
        ("events", "where=1", None),
        ("sessions", "timeout=0", "/timeout"),
        ("sessions", "cursor=WzFd", "/cursor"),
        ("summary", "as_of=never", "/as_of"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(people: People, what: str, query: str, pointer: str | None) -> None:
    await people.write(event(1, user_id="ada"))
    answer = await people.ask("user_id:ada", f"/{what}?{query}")
    assert answer.status == 400, answer.body
    assert [error.get("pointer") for error in answer.json["errors"]] == [pointer]


async def test_a_cursor_of_another_question_is_refused(people: People) -> None:
    await people.write(*ADA)
    page = await read(people, "user_id:ada", "events", "limit=1")
    for what, query in (("events", "order=oldest&"), ("events", "table=track&"), ("sessions", "")):
        answer = await people.ask("user_id:ada", f"/{what}?{query}cursor={page['next_cursor']}")
        assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, "/cursor")


@pytest.mark.parametrize(
    ("request_", "last"),
    [
        *((ProfileEvents(id="any"), last) for last in ("", "1:track", "1:orders:6d", "x:track:6d", "1:track:zz", 7)),
        (ProfileEvents(id="any"), f"{10**30}:track:6d"),
        (ProfileSessions(id="any"), "1"),
        (ProfileSessions(id="any"), 10**15),
    ],
)
async def test_a_cursor_that_stands_nowhere_is_refused(people: People, request_: Any, last: Any) -> None:
    await people.write(event(1, user_id="ada"))
    text = cursor.write(people.api.workspace, request_, last, as_of=datetime(2026, 1, 2, tzinfo=UTC), timezone="UTC")
    what = "events" if isinstance(request_, ProfileEvents) else "sessions"
    answer = await people.ask("user_id:ada", f"/{what}?cursor={text}")
    assert (answer.status, [error["pointer"] for error in answer.json["errors"]]) == (400, ["/cursor"])


async def test_a_service_reads_a_timeline_over_nats(people: People, infra: Settings) -> None:
    await people.write(*ADA)
    connection = await nats.connect(infra.nats_url)
    try:
        async with Client(connection, people.api.workspace) as client:
            page = await client.call("profile.events", ProfileEvents(id="user_id:ada", names=("e",), limit=1))
    finally:
        await connection.close()
    assert [row["message_id"] for row in page.data] == ["m5"]
