"""Custom SQL through the gateway: answers, streams, errors, cancelling, and a sample of the attacks."""

from __future__ import annotations

import asyncio
import json
import time
import uuid

from contracts.sql import EXAMPLES
from tests.api import Api
from tests.integration.test_query_events import event
from tests.oracle.sql_attacks import attacks

HEAVY = "SELECT count() FROM numbers(1000000) AS a, numbers(1000000) AS b WHERE a.number * b.number % 7 = 3"


async def test_rows_streams_and_errors(api: Api) -> None:
    await api.write([event(n, event=f"E{n % 2}", user_id="u") for n in range(4)])
    body = {"query": "SELECT event, count() AS n FROM events_track GROUP BY event ORDER BY event"}
    answer = await api.call("/query/sql", body)
    assert answer.status == 200, answer.body
    assert answer.json["data"] == [["E0", 2], ["E1", 2]]
    assert answer.headers.get("X-Cache") != "hit"
    lines = await api.call("/query/sql", body, accept="application/x-ndjson")
    assert [json.loads(line) for line in lines.body.splitlines()] == [{"event": "E0", "n": 2}, {"event": "E1", "n": 2}]
    text = await api.call("/query/sql", body, accept="text/csv")
    assert text.body.decode().splitlines() == ['"event","n"', '"E0",2', '"E1",2']
    for accept in ("application/json", "text/csv"):
        refused = await api.call("/query/sql", {"query": "SELECT file('/etc/passwd')"}, accept=accept)
        assert refused.status == 400
        assert refused.json["errors"] == [
            {"message": "line 1, column 8: the function file() is not available", "pointer": "/query"}
        ]
    unknown = await api.call("/query/sql", {"query": "SELECT nope FROM events_track"})
    assert unknown.json["errors"][0]["message"] == "line 1, column 8: there is no such column (at nope)"


async def test_odd_texts_are_ordinary_errors(api: Api) -> None:
    for body in (
        b'{"query": "SELECT \\ud800"}',
        b'{"query": "SELECT {a:String}", "parameters": {"a": "\\ud800"}}',
        b'{"query": "SELECT {a:String}", "parameters": {"a": "\\u0000"}}',
        b'{"query": "SELECT \\u0000"}',
        b'{"query": ""}',
        b'{"query": "SELECT 1", "limit": 0}',
        b'{"query": "SELECT 1", "query_id": "x\'; DROP"}',
        b'{"query": "SELECT 1", "settings": {"readonly": 0}}',
        b'{"query": "' + b"(" * 400_000 + b'"}',
    ):
        answer = await api.call("/query/sql", body)
        assert answer.status == 400, (body[:100], answer.body)


async def test_the_examples_are_answered(api: Api) -> None:
    for example in EXAMPLES.values():
        answer = await api.call("/query/sql", example)
        assert answer.status == 200, answer.body


async def test_a_query_is_stopped_by_its_id(api: Api) -> None:
    query_id = str(uuid.uuid4())
    task = asyncio.create_task(api.call("/query/sql", {"query": HEAVY, "query_id": query_id}))
    await asyncio.sleep(1.5)
    begun = time.monotonic()
    assert (await api.call(f"/query/sql/{query_id}", method="DELETE")).json == {"query_id": query_id}
    answer = await task
    assert answer.status >= 400
    assert time.monotonic() - begun < 20


async def test_attacks_over_http_are_ordinary_errors(api: Api) -> None:
    other = uuid.uuid4()
    await Api(api.settings, api.url, other, api.http).write(
        [event(1, event="CANARY-OTHER", user_id="CANARY-OTHER"), event(2, table="page", name="CANARY-OTHER")]
    )
    for text in attacks(40, seed=5):
        text = text.replace("{other}", str(other)).replace("{file}", "/etc/passwd").replace("{port}", "1")
        answer = await api.call("/query/sql", {"query": text.replace("{{", "{").replace("}}", "}")})
        assert answer.status in (200, 400), (text, answer.body)
        for canary in (b"CANARY-OTHER", b"root:", b"DB::", b"26.9"):
            assert canary not in answer.body, (text, answer.body)


async def test_the_schema_shows_tables_paths_and_functions(api: Api) -> None:
    await Api(api.settings, api.url, uuid.uuid4(), api.http).write([event(1, properties={"foreign": 1})])
    await api.write(
        [
            event(1, properties={"price": 1.5, "product": {"sku": "s1"}}, context={"page": {"path": "/a"}}),
            event(2, properties={"price": "free"}),
            event(3, table="identify", user_id="u", traits={"plan": "pro"}),
        ]
    )
    answer = await api.call("/query/sql/schema", method="GET")
    assert answer.status == 200, answer.body
    tables = {table["name"]: {each["name"]: each for each in table["columns"]} for table in answer.json["tables"]}
    assert list(tables) == ["events_track", "events_identify", "events_page", "events_group", "events"]
    assert tables["events_track"]["actor"]["type"] == "Tuple(kind String, id String)"
    assert not {"workspace_id", "actor_key", "version"} & tables["events"].keys()
    paths = {path["path"]: path for path in tables["events_track"]["properties"]["paths"]}
    assert paths.keys() == {"price", "product.sku"}
    assert paths["price"]["types"] == ["Float64", "String"]
    assert paths["product.sku"] == {"path": "product.sku", "types": ["String"], "example": "s1"}
    assert [path["path"] for path in tables["events_track"]["context"]["paths"]] == ["page.path"]
    assert [path["example"] for path in tables["events_identify"]["traits"]["paths"]] == ["pro"]
    named = {name for names in answer.json["functions"].values() for name in names}
    assert {"uniqExact", "arrayMap", "toStartOfDay"} <= named
    assert not {"file", "dictGet", "hostName"} & named
    # Whatever the schema offers, a statement takes.
    for table, columns in tables.items():
        query = f"SELECT {', '.join(columns)} FROM {table}"
        assert (await api.call("/query/sql", {"query": query})).status == 200
