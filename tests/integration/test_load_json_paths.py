"""JSON columns written by path hold exactly what the engine makes of their text."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from random import Random
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from asynch.proto.utils.dsn import parse_dsn

from deploy.cli.load import native
from deploy.cli.load.insert import WRITER_SETTINGS
from deploy.cli.load.native import Column
from deploy.cli.load.piece import encode_json
from services.kit.settings import Settings

TYPE = "JSON(max_dynamic_paths=64, `p.t` Nullable(String), ip Nullable(String))"
KEYS = ("a", "b", "p", "t", "ip", "a.b", "é", "k k", "x`y", "z")


class Engine:
    """Statements over the HTTP interface."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        self._url = settings.clickhouse_http_url
        self._session = session

    async def do(self, sql: str, body: bytes = b"") -> str:
        parameters = {"database": "cdp", "query": sql, **WRITER_SETTINGS}
        async with self._session.post(self._url, params=parameters, data=body) as answer:
            text = await answer.text()
            assert answer.status == 200, text
            return text


@pytest.fixture
async def engine(infra: Settings) -> AsyncIterator[Engine]:
    login = parse_dsn(infra.clickhouse_url)
    headers = {"X-ClickHouse-User": str(login["user"]), "X-ClickHouse-Key": str(login.get("password") or "")}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield Engine(infra, session)


def value(random: Random, depth: int = 0) -> Any:
    kind = random.random()
    if kind < 0.12:
        return random.choice([0, 1, -5, 2**40, 2**63, -(2**63), 2**64 - 1])
    if kind < 0.2:
        return random.choice([0.5, 5.0, -1e300, 1e-7, 3.0])
    if kind < 0.4:
        return random.choice(["", "x", "2024-01-01", "2024-01-01T00:00:00+07:00", 'é"\\\n', "123", "true"])
    if kind < 0.5:
        return random.choice([True, False])
    if kind < 0.58:
        return None
    if kind < 0.75 and depth < 3:
        return {random.choice(KEYS): value(random, depth + 1) for _ in range(random.randrange(4))}
    if depth < 3:
        return array(random, depth)
    return "deep"


def array(random: Random, depth: int) -> list[Any]:
    kind, size = random.random(), random.randrange(1, 4)
    if kind < 0.1:
        return []
    if kind < 0.3:
        return [value(random, depth + 1) for _ in range(size)]
    if kind < 0.6:
        return [{random.choice(KEYS): value(random, depth + 1) for _ in range(2)} for _ in range(size)]
    among = random.choice([["q", None], [1, 2, None], [1.5, 2.0], [True, None], [1, 2.5]])
    return [random.choice(among) for _ in range(size)]


@pytest.mark.parametrize("seed", range(4))
async def test_paths_hold_what_the_engine_makes_of_the_text(engine: Engine, seed: int) -> None:
    random = Random(seed)
    table = f"json_paths_{uuid4().hex}"
    await engine.do(f"CREATE TABLE {table} (n Int64, way Int64, j {TYPE}) ENGINE = MergeTree ORDER BY (n, way)")
    body, rows, by_path = b"", 0, 0
    for _ in range(200):
        objects = [
            {random.choice(KEYS): value(random) for _ in range(random.randrange(5))}
            for _ in range(random.randrange(1, 5))
        ]
        texts = [json.dumps(item).encode() for item in objects]
        ways = (encode_json(texts, TYPE, len(texts)), native.json_texts(texts))
        by_path += ways[0][:8] != ways[1][:8]
        numbers = native.integers(range(rows, rows + len(texts)))
        rows += len(texts)
        for way, data in enumerate(ways):
            columns = [
                Column("n", "Int64", numbers),
                Column("way", "Int64", native.integers([way] * len(texts))),
                Column("j", TYPE, data),
            ]
            body += native.block(columns, len(texts))
    assert by_path > 50, "the paths are what is tested"
    try:
        await engine.do(f"INSERT INTO {table} FORMAT Native", body)
        assert (await engine.do(f"SELECT count() FROM {table}")).strip() == str(2 * rows)
        different = await engine.do(
            f"SELECT n, groupArray((way, toJSONString(j), toString(JSONAllPathsWithTypes(j)))) FROM {table} GROUP BY n "
            "HAVING uniqExact(toJSONString(j)) > 1 OR uniqExact(toString(JSONAllPathsWithTypes(j))) > 1 "
            "ORDER BY n LIMIT 3"
        )
        assert different == ""
    finally:
        await engine.do(f"DROP TABLE {table}")
