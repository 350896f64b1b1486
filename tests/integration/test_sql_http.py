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
    assert time.monotonic() - begun < 5


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
