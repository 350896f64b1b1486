"""Compiled predicates against the brute-force oracle, on random events in the real tables."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid4

import aiohttp
import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from contracts.common import TableName
from contracts.predicates import Predicate
from services.kit import sql
from services.kit.clickhouse import ClickHouse
from services.kit.predicates import SETTINGS, Scope, check_predicate, compile_field, compile_predicate, render_column
from services.kit.settings import Settings
from tests.oracle import predicates as oracle
from tests.oracle.predicate_samples import AS_OF, COLUMNS, TIME_COLUMNS, Samples, Tree

ZONE = "Europe/Berlin"
WRITING = {
    "input_format_try_infer_dates": 0,
    "input_format_try_infer_datetimes": 0,
    "type_json_skip_duplicated_paths": 1,
    "date_time_input_format": "best_effort",
}


@dataclass(frozen=True)
class Store:
    """The event tables as ingestion writes them and queries read them."""

    clickhouse: ClickHouse
    http: aiohttp.ClientSession
    url: str

    async def write(self, workspace: UUID, events: Sequence[dict[str, Any]]) -> None:
        """Insert events; message_id is the place in the sequence."""
        for table in ("track", "page"):
            rows = []
            for place, event in enumerate(events):
                if event["table"] == table:
                    row = {key: value for key, value in event.items() if key not in ("table", "event", "name")}
                    row |= {"workspace_id": str(workspace), "message_id": str(place)}
                    row |= {key: event[key].isoformat() for key in ("timestamp", "received_at")}
                    rows.append(row | {"event" if table == "track" else "name": event["name"]})
            if rows:
                query = {"query": f"INSERT INTO cdp.events_{table} FORMAT JSONEachRow", **WRITING}
                body = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
                async with self.http.post(self.url, params=query, data=body) as reply:
                    assert reply.status == 200, await reply.text()

    async def select(self, workspace: UUID, table: TableName, expressions: Sequence[str]) -> list[list[Any]]:
        """Return the values of each expression, in the order of the events."""
        named = ", ".join(f"{expression} AS v{place}" for place, expression in enumerate(expressions))
        result = await self.clickhouse.query(
            f"SELECT {named}, toUInt32(message_id) AS place FROM cdp.events_{table} "
            f"WHERE workspace_id = {sql.uuid(workspace)} ORDER BY place",
            settings=SETTINGS,
            query_id=uuid4().hex,
            timeout=60,
        )
        return [list(column) for column in result.data[:-1]]


@pytest.fixture(scope="module")
async def store(infra: Settings) -> AsyncIterator[Store]:
    clickhouse = ClickHouse(infra.clickhouse_url, infra.clickhouse_http_url, size=2)
    await clickhouse.start()
    login = urlsplit(infra.clickhouse_url)
    headers = {"X-ClickHouse-User": unquote(login.username or ""), "X-ClickHouse-Key": unquote(login.password or "")}
    async with aiohttp.ClientSession(headers=headers) as http:
        yield Store(clickhouse, http, infra.clickhouse_http_url)
    await clickhouse.close()


def scope(table: TableName) -> Scope:
    return Scope(workspace=UUID(int=0), tables=(table,), as_of=AS_OF, timezone=ZONE)


async def assert_agreement(store: Store, events: Sequence[dict[str, Any]], trees: Sequence[Tree]) -> None:
    """Hold the engine against the oracle: every predicate, every event."""
    workspace = uuid4()
    await store.write(workspace, events)
    parsed = [msgspec.convert(tree, Predicate) for tree in trees]
    for tree in parsed:
        check_predicate(tree, ("track", "page"))
    for table in ("track", "page"):
        rows = [event for event in events if event["table"] == table]
        compiled = [compile_predicate(tree, scope(table)) for tree in parsed]
        found = await store.select(workspace, table, [f"toInt16({one})" for one in compiled]) if rows else []
        for tree, expression, answers in zip(trees, compiled, found, strict=False):
            for row, answer in zip(rows, answers, strict=True):
                expected = oracle.holds(tree, row, as_of=AS_OF, timezone_name=ZONE)
                assert answer == int(expected), f"{tree}\n{row}\n{expression}"


@settings(max_examples=4, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
async def test_every_predicate_means_what_the_oracle_says(store: Store, seed: int) -> None:
    samples = Samples(seed)
    events = [samples.event() for _ in range(60)]
    await assert_agreement(store, events, [samples.tree() for _ in range(70)])


@settings(max_examples=2, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
async def test_texts_and_json_of_fields_are_those_of_the_oracle(store: Store, seed: int) -> None:
    samples = Samples(seed)
    workspace, events = uuid4(), [samples.event() for _ in range(60)]
    await store.write(workspace, events)
    names = [*COLUMNS, *TIME_COLUMNS, *(f"properties.{samples.path()}" for _ in range(40))]
    for table in ("track", "page"):
        rows = [event for event in events if event["table"] == table]
        fields = [compile_field(name, scope(table), "/field") for name in names]
        texts = await store.select(workspace, table, [field.texts for field in fields])
        values = await store.select(workspace, table, [field.json for field in fields])
        rendered = await store.select(
            workspace, table, [render_column(name, scope(table), "/c").json for name in names]
        )
        for name, *columns in zip(names, texts, values, rendered, strict=True):
            for row, found, value, output in zip(rows, *columns, strict=True):
                given = [one for one in oracle.of_row(row, name) if not oracle.absent(one)]
                assert [one.decode() for one in found] == [oracle.shown(one) for one in given], (name, row)
                expected = [oracle.shown(one) if isinstance(one, datetime) else one for one in given]
                if "[]" in name.replace("\\[]", ""):
                    assert value == (oracle.compact(expected).encode() if expected else None), (name, row)
                elif expected:
                    assert value == oracle.compact(expected[0]).encode(), (name, row)
                    assert output == value
                else:
                    assert value is None
                    assert output == (b"{}" if name in ("properties", "context") else b"null")


async def test_names_beyond_the_limit_of_dynamic_paths_read_the_same(store: Store) -> None:
    samples = Samples(7)
    names = [f"name {place}.of" if place % 3 else f"n{place}" for place in range(400)]
    events = []
    for _ in range(60):
        event = samples.event()
        chosen = samples.sample(names, 120)
        events.append({**event, "properties": {name: samples.value() for name in chosen}})
    trees = []
    for name in samples.sample(names, 40):
        leaf = samples.leaf(inside=False)
        if not str(leaf["field"]).startswith(("timestamp", "received_at")):
            trees.append({**leaf, "field": f"properties.{name}" + samples.choice(("", "", "[]", ".a", "[].a"))})
    await assert_agreement(store, events, trees)


async def test_the_largest_trees_that_are_let_through_can_be_asked(store: Store) -> None:
    samples = Samples(3)
    events = [samples.event() for _ in range(4)]
    wide = {"op": "or", "items": [{"op": "gt", "field": f"properties.a{n}", "value": n} for n in range(999)]}
    deep: Tree = {"op": "eq", "field": "a", "value": 1}
    for place in range(98):
        deep = {"op": "not", "item": deep} if place % 2 else {"op": "any", "field": "a", "where": deep}
    deep = {"op": "any", "field": "properties.a", "where": deep}
    listed = {
        "op": "in",
        "field": "properties.a",
        "value": [*range(9_999), *(f"text {n}" for n in range(9_999)), 1.5, "a"],
    }
    await assert_agreement(store, events, [wide, deep, listed])
