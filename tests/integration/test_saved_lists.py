"""Lists of actors: the actors behind a number, kept as they were."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import nats
import pytest

from contracts.errors import CdpError, LimitExceeded, NotFound
from contracts.lists import ActorList, ListActors, ListCreate, ListDelete, ListGet, ListsList, ListSource
from services.kit.clickhouse import ClickHouse
from services.kit.client import Client
from services.kit.service import RequestContext, Service
from services.query.main import build
from services.query.saved import list_sources, list_store
from services.query.saved.list_sources import SOURCES
from tests.api import Answer, Api
from tests.oracle.events import Event

_T0 = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_BUYERS: dict[str, Any] = {
    "operation": "query.funnel_actors",
    "request": {
        "query": {"steps": [{"names": ["Viewed"]}, {"names": ["Bought"]}], "from": "2026-01-01", "to": "2026-02-01"},
        "step": 2,
    },
}


def _event(user: str, name: str, seconds: int, **more: Any) -> Event:
    stamp = _T0 + seconds * 1000
    return {
        "table": "track",
        "message_id": f"{user}-{name}-{seconds}",
        "user_id": user,
        "timestamp": stamp,
        "received_at": stamp,
        "event": name,
        **more,
    }


def _journey(user: str, at: int, **more: Any) -> list[Event]:
    return [_event(user, "Viewed", at, **more), _event(user, "Bought", at + 60, **more)]


@pytest.fixture
async def shop(api: Api) -> Api:
    """Nine buyers: seven users, one known by a device first, one never known."""
    events = [event for number in range(7) for event in _journey(f"u{number}", number * 100)]
    events += _journey("", 1_000, anonymous_id="device", message_id="d1")[:1]
    events += [_event("known", "Bought", 1_060, anonymous_id="device")]
    events += [
        _event("", "Viewed", 2_000, anonymous_id="x", message_id="x1"),
        _event("", "Bought", 2_001, anonymous_id="x", message_id="x2"),
    ]
    events += [_event("looker", "Viewed", 0)]
    await api.write(events)
    return api


@pytest.fixture
async def database(api: Api) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(api.settings.postgres_url)
    yield connection
    await connection.close()


@pytest.fixture
async def service(api: Api) -> AsyncIterator[Service]:
    """A query service in this process, whose lists have at most eight actors."""
    service = build(msgspec.structs.replace(api.settings, list_max_actors=8))
    assert service.lifespan is not None
    async with service.lifespan():
        yield service


def _context(workspace: UUID, seconds: float = 30) -> RequestContext:
    deadline = asyncio.get_running_loop().time() + seconds
    return RequestContext(
        workspace=workspace,
        request_id="r",
        principal="somebody",
        deadline=deadline,
        now=None,
        format="json",
        stream=False,
    )


async def _keep(api: Api, source: Any = _BUYERS, name: str = "Buyers") -> Answer:
    return await api.call("/lists", {"name": name, "source": source})


async def _kept(api: Api, source: Any = _BUYERS, name: str = "Buyers") -> dict[str, Any]:
    answer = await _keep(api, source, name)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


async def _actors(api: Api, id: str, limit: int = 100) -> list[Any]:
    found, cursor = [], ""
    while cursor is not None:
        path = f"/lists/{id}/actors?limit={limit}" + (f"&cursor={cursor}" if cursor else "")
        page = await api.call(path, method="GET")
        assert page.status == 200, page.body
        found += page.json["data"]
        cursor = page.json["next_cursor"]
    return found


async def _left(database: asyncpg.Connection, workspace: UUID) -> tuple[int, int]:
    """Return how many lists PostgreSQL has of a workspace, in any state, and how many actors of lists it does not."""
    lists = await database.fetchval("SELECT count(*) FROM query.lists WHERE workspace_id = $1", workspace)
    orphans = await database.fetchval(
        "SELECT count(*) FROM query.list_actors WHERE list_id NOT IN (SELECT id FROM query.lists)"
    )
    return lists, orphans


async def test_a_list_has_the_actors_behind_the_number(shop: Api) -> None:
    asked = await shop.call("/query/funnel/actors", _BUYERS["request"])
    assert asked.json["total"] == 9
    kept = await _kept(shop)
    assert (kept["size"], kept["source"], kept["created_by"]) == (9, _BUYERS, "anonymous")
    got = await shop.call(f"/lists/{kept['id']}", method="GET")
    assert got.json == kept
    whole = await _actors(shop, kept["id"])
    assert whole == asked.json["data"]
    assert {"actor": {"kind": "user", "id": "known"}} in whole
    assert {"actor": {"kind": "anonymous", "id": "x"}} in whole
    for limit in (1, 2, 4, 9):
        assert await _actors(shop, kept["id"], limit) == whole
    page = (await shop.call(f"/lists/{kept['id']}/actors?limit=2", method="GET")).json
    assert (page["total"], page["meta"]) == (9, kept["meta"])


async def test_a_list_stays_as_it_was(shop: Api) -> None:
    kept = await _kept(shop)
    before = await _actors(shop, kept["id"])
    await shop.write(_journey("late", 5_000))
    assert (await shop.call("/query/funnel/actors", _BUYERS["request"])).json["total"] == 10
    assert await _actors(shop, kept["id"]) == before
    assert (await _kept(shop))["size"] == 10


async def test_a_list_may_be_empty(shop: Api) -> None:
    request = {**_BUYERS["request"], "query": {**_BUYERS["request"]["query"], "from": "2026-01-30"}}
    kept = await _kept(shop, {**_BUYERS, "request": request})
    assert kept["size"] == 0
    assert await _actors(shop, kept["id"]) == []


async def test_ids_of_any_characters_are_kept(api: Api) -> None:
    ids = ["nul \0 in it", "\U0001f469\u200d\U0001f680", "a\nb", '"quoted\\"', "\u2028", " ", "x" * 4_000]
    await api.write([event for number, id_ in enumerate(ids) for event in _journey(id_, number * 100)])
    kept = await _kept(api)
    assert sorted(each["actor"]["id"] for each in await _actors(api, kept["id"])) == sorted(ids)


async def test_a_large_list_is_whole(api: Api) -> None:
    actors = 60_000
    assert actors > list_sources._PAGE
    clickhouse = ClickHouse(api.settings.clickhouse_url, api.settings.clickhouse_http_url, size=1)
    await clickhouse.start()
    await clickhouse.execute(
        "INSERT INTO cdp.events_track (workspace_id, message_id, user_id, timestamp, received_at, event) SELECT "
        f"toUUID('{api.workspace}'), toString(number), concat('u', toString(number)), "
        f"toDateTime64('2026-01-01', 3, 'UTC'), toDateTime64('2026-01-01', 3, 'UTC'), 'Viewed' FROM numbers({actors})"
    )
    await clickhouse.close()
    query = {"series": [{"names": ["Viewed"], "measure": "actors"}], "from": "2026-01-01", "to": "2026-01-02"}
    kept = await _kept(api, {"operation": "query.trends_actors", "request": {"query": query}})
    assert kept["size"] == actors
    ids = [each["actor"]["id"] for each in await _actors(api, kept["id"], 10_000)]
    assert sorted(ids) == sorted(f"u{number}" for number in range(actors))


async def test_lists_of_users_are_kept_too(shop: Api) -> None:
    request = {**_BUYERS["request"], "step": 1}
    request["query"] = {**request["query"], "analyse_by": "user_id"}
    kept = await _kept(shop, {**_BUYERS, "request": request})
    ids = {each["actor"]["id"] for each in await _actors(shop, kept["id"])}
    assert ids == {*(f"u{number}" for number in range(7)), "looker"}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"operation": "query.events"}, "/source/operation"),
        ({"operation": "query.lists_actors"}, "/source/operation"),
        ({"operation": "nonsense"}, "/source/operation"),
        ({"request": {}}, "/source/request"),
        ({"request": {**_BUYERS["request"], "step": 99}}, "/source/request/step"),
        ({"request": {**_BUYERS["request"], "step": 3}}, "/source/request/step"),
        ({"request": {**_BUYERS["request"], "limit": 5}}, "/source/request/limit"),
        ({"request": {**_BUYERS["request"], "cursor": "x"}}, "/source/request/cursor"),
    ],
)
async def test_a_source_that_cannot_be_is_a_400_that_names_the_field(
    shop: Api, database: asyncpg.Connection, changes: Any, pointer: str
) -> None:
    answer = await _keep(shop, _BUYERS | changes)
    assert answer.status == 400, answer.body
    assert answer.json["errors"][0]["pointer"] == pointer, answer.body
    assert await _left(database, shop.workspace) == (0, 0)


@pytest.mark.parametrize("analyse_by", ["anonymous_id", "session", "group_id", "properties.order_id"])
async def test_only_lists_of_actors_are_kept(shop: Api, analyse_by: str) -> None:
    query = {**_BUYERS["request"]["query"], "analyse_by": analyse_by}
    answer = await _keep(shop, {**_BUYERS, "request": {**_BUYERS["request"], "query": query}})
    assert answer.status == 400
    assert answer.json["errors"][0]["pointer"] == "/source/request/query/analyse_by"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({"name": " "}, "/name"), ({"name": "\0"}, "/name"), ({"description": "\0"}, "/description"), ({"size": 1}, "")],
)
async def test_a_list_that_cannot_be_named_so_is_a_400(api: Api, body: Any, pointer: str) -> None:
    answer = await api.call("/lists", {"name": "x", "source": _BUYERS} | body)
    assert (answer.status, answer.json["errors"][0].get("pointer", "")) == (400, pointer)


@pytest.mark.parametrize("operation", SOURCES.values(), ids=SOURCES.keys())
async def test_every_operation_that_lists_actors_is_a_source(shop: Api, operation: Any) -> None:
    for example in operation.examples.values():
        request = {key: value for key, value in example.items() if key not in ("limit", "cursor")}
        request["query"] = {**request["query"], "as_of": "2026-06-02"}
        asked = await shop.call(operation.path, {**request, "limit": 10_000})
        kept = await _keep(shop, {"operation": operation.id, "request": request})
        assert (asked.status, kept.status) == (200, 200), (asked.body, kept.body)
        assert kept.json["size"] == asked.json["total"]
        assert await _actors(shop, kept.json["id"]) == asked.json["data"]


async def test_lists_are_found_and_deleted(shop: Api, database: asyncpg.Connection) -> None:
    made = [await _kept(shop, name=name) for name in ("b", "A", "Café")]

    async def names(parameters: str = "") -> list[str]:
        found, cursor = [], ""
        while cursor is not None:
            path = f"/lists?limit=2&{parameters}" + (f"&cursor={cursor}" if cursor else "")
            page = (await shop.call(path, method="GET")).json
            found += [each["name"] for each in page["data"]]
            cursor = page["next_cursor"]
        return found

    assert await names() == ["Café", "A", "b"]
    assert await names("sort=name") == ["A", "b", "Café"]
    assert await names("search=CAF%C3%89") == ["Café"]
    gone = await shop.call(f"/lists/{made[0]['id']}", method="DELETE")
    assert (gone.status, gone.json) == (200, made[0])
    assert await names() == ["Café", "A"]
    for method, path in (("GET", ""), ("GET", "/actors"), ("DELETE", "")):
        assert (await shop.call(f"/lists/{made[0]['id']}{path}", method=method)).status == 404
    assert await _left(database, shop.workspace) == (2, 0)


async def test_another_workspace_sees_no_list(shop: Api) -> None:
    kept = await _kept(shop)
    other = replace(shop, workspace=uuid4())
    for method, path in (("GET", ""), ("GET", "/actors"), ("DELETE", "")):
        theirs = await other.call(f"/lists/{kept['id']}{path}", method=method)
        nobodys = await other.call(f"/lists/{uuid4()}{path}", method=method)
        assert theirs.status == nobodys.status == 404
        assert theirs.body == nobodys.body
    assert (await other.call("/lists", method="GET")).json["data"] == []
    assert (await shop.call(f"/lists/{kept['id']}", method="GET")).json == kept


@pytest.mark.parametrize("cursor", ["nonsense", "WzEsIiIsMCw1LCJVVEMiXQ"])
async def test_a_cursor_of_something_else_is_a_400(shop: Api, cursor: str) -> None:
    kept = await _kept(shop)
    for path in (f"/lists/{kept['id']}/actors?cursor={cursor}", f"/lists?cursor={cursor}"):
        assert (await shop.call(path, method="GET")).status == 400


async def test_lists_are_made_and_read_over_nats(shop: Api) -> None:
    connection = await nats.connect(shop.settings.nats_url)
    try:
        async with Client(connection, shop.workspace, principal="somebody") as client:
            made = await client.call("query.lists_create", _request())
            assert (made.size, made.created_by) == (9, "somebody")
            page = await client.call("query.lists_actors", ListActors(id=made.id, limit=5))
            rest = await client.call("query.lists_actors", ListActors(id=made.id, cursor=page.next_cursor))
            assert len({*page.data, *rest.data}) == page.total == 9
            assert (await client.call("query.lists_list", ListsList())).data == (made,)
            assert await client.call("query.lists_delete", ListDelete(id=made.id)) == made
            with pytest.raises(NotFound):
                await client.call("query.lists_get", ListGet(id=made.id))
    finally:
        await connection.close()


def _request(to: str = "2026-02-01") -> ListCreate:
    query = {**_BUYERS["request"]["query"], "to": to}
    source = ListSource(operation=_BUYERS["operation"], request={**_BUYERS["request"], "query": query})
    return ListCreate(name="x", source=source)


async def test_a_list_over_the_limit_is_refused_and_leaves_nothing(
    shop: Api, service: Service, database: asyncpg.Connection
) -> None:
    with pytest.raises(LimitExceeded, match="more than 8 actors"):
        await service.handlers["lists_create"](_request(), _context(shop.workspace))
    assert await _left(database, shop.workspace) == (0, 0)


async def test_a_list_of_several_pages_has_them_all(
    api: Api, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.write([event for number in range(8) for event in _journey(f"u{number}", number * 100)])
    whole: ActorList = await service.handlers["lists_create"](_request(), _context(api.workspace))
    monkeypatch.setattr(list_sources, "_PAGE", 3)
    paged: ActorList = await service.handlers["lists_create"](_request(), _context(api.workspace))
    assert whole.size == paged.size == 8
    pages = [
        await service.handlers["lists_actors"](ListActors(id=each.id), _context(api.workspace))
        for each in (whole, paged)
    ]
    assert pages[0].data == pages[1].data
    assert paged.meta.rows_read > whole.meta.rows_read, "what all pages read"


async def test_a_computation_that_fails_half_way_leaves_nothing(
    shop: Api, service: Service, database: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_sources, "_PAGE", 2)
    added = 0
    add = list_store.add

    async def fail_later(*arguments: Any) -> None:
        nonlocal added
        added += 1
        if added == 3:
            raise CdpError("the second page was the last")
        await add(*arguments)

    monkeypatch.setattr(list_store, "add", fail_later)
    with pytest.raises(CdpError, match="second page"):
        await service.handlers["lists_create"](_request(to="2026-01-01T00:10:00Z"), _context(shop.workspace))
    assert added == 3
    assert await _left(database, shop.workspace) == (0, 0)


async def test_a_computation_whose_time_is_over_leaves_nothing(
    shop: Api, service: Service, database: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_sources, "_PAGE", 2)
    add = list_store.add

    async def dawdle(*arguments: Any) -> None:
        await add(*arguments)
        await asyncio.sleep(60)

    monkeypatch.setattr(list_store, "add", dawdle)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3):
            await service.handlers["lists_create"](_request(to="2026-01-01T00:10:00Z"), _context(shop.workspace))
    assert await _left(database, shop.workspace) == (0, 0)


async def test_a_list_that_is_being_made_is_not_seen(shop: Api, service: Service, database: asyncpg.Connection) -> None:
    context = _context(shop.workspace)
    resources = service.handlers["lists_get"].args[0]  # type: ignore[attr-defined]  # a partial
    id_ = await list_store.begin(resources.postgres, shop.workspace, _request(), "somebody")
    assert (await service.handlers["lists_list"](ListsList(), context)).data == ()
    assert (await shop.call(f"/lists/{id_}", method="GET")).status == 404
    assert (await shop.call(f"/lists/{id_}", method="DELETE")).status == 404
    assert await _left(database, shop.workspace) == (1, 0)
