"""Looking for a text in every store and log: where something of a person is left."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import nats
import redis.asyncio as redis
from nats.js.errors import NotFoundError

from contracts import subjects
from services.kit import sql
from services.kit.clickhouse import ClickHouse
from services.kit.lifecycle import close_quietly
from services.kit.settings import Settings

_TABLES = """
SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
"""


async def places(settings: Settings, text: str, logs: Sequence[Path] = ()) -> list[str]:
    """Return where a text is found; empty when it is nowhere."""
    found = [
        *await _in_postgres(settings, text),
        *await _in_clickhouse(settings, text),
        *await _in_redis(settings, text),
        *await _in_jetstream(settings, text),
    ]
    files = [path for folder in logs for path in folder.rglob("*.log")]
    return found + [f"log {path.name}" for path in files if text.encode() in path.read_bytes()]


async def _in_postgres(settings: Settings, text: str) -> list[str]:
    connection = await asyncpg.connect(settings.postgres_url)
    try:
        names = [row["name"] for row in await connection.fetch(_TABLES)]
        hidden = text.encode().hex()  # as bytea is written
        return [
            f"postgres {name}"
            for name in names
            if await connection.fetchval(
                f"SELECT EXISTS (SELECT FROM {name} t WHERE t::text LIKE $1 OR t::text LIKE $2)",
                f"%{text}%",
                f"%{hidden}%",
            )
        ]
    finally:
        await connection.close()


async def _in_clickhouse(settings: Settings, text: str) -> list[str]:
    clickhouse = ClickHouse(settings.clickhouse_url, settings.clickhouse_http_url, size=1)
    await clickhouse.start()
    try:
        tables = await clickhouse.query(
            "SELECT database, name FROM system.tables WHERE database NOT IN ('system', 'information_schema', "
            "'INFORMATION_SCHEMA') AND engine NOT LIKE '%View'",
            query_id=uuid.uuid4().hex,
            timeout=30,
        )
        found = []
        for database, name in tables.rows():
            table = f"{sql.identifier(_text(database))}.{sql.identifier(_text(name))}"
            counted = await clickhouse.query(
                f"SELECT count() FROM {table} WHERE position(toString(tuple(*)), {sql.string(text)}) > 0",
                query_id=uuid.uuid4().hex,
                timeout=60,
            )
            if counted.data[0][0]:
                found.append(f"clickhouse {table}")
        return found
    finally:
        await clickhouse.close()


async def _in_redis(settings: Settings, text: str) -> list[str]:
    client = redis.Redis.from_url(settings.redis_url)
    try:
        found = []
        async for key in client.scan_iter(count=1_000):
            if text.encode() in key or text.encode() in await _value(client, key):
                found.append(f"redis {key!r}")
        return found
    finally:
        await client.aclose()


async def _value(client: redis.Redis, key: bytes) -> bytes:
    kind = await client.type(key)
    if kind == b"string":
        return await client.get(key) or b""
    if kind == b"set":
        return b" ".join(await client.smembers(key))
    if kind == b"zset":
        return b" ".join(await client.zrange(key, 0, -1))
    return repr(await client.hgetall(key)).encode() if kind == b"hash" else b""


async def _in_jetstream(settings: Settings, text: str) -> list[str]:
    connection = await nats.connect(settings.nats_url)
    try:
        manager, sequence, found = connection.jsm(), 1, []
        while True:
            try:
                message = await manager.get_msg(subjects.EVENTS_STREAM, seq=sequence, subject=">", next=True)
            except NotFoundError:
                return found
            assert message.seq is not None
            sequence = message.seq + 1
            if text in (message.subject or "") or text.encode() in (message.data or b""):
                found.append(f"jetstream {message.seq}")
    finally:
        await close_quietly(connection.close)


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()
