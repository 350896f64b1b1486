"""The baseline of `requests.py`: the same walk with nothing but aiohttp, nats-py and asynch.

    python -m tests.bench.bare service   NATS request → ClickHouse → reply
    python -m tests.bench.bare gateway   HTTP → NATS request → HTTP
    python -m tests.bench.bare stream    ClickHouse → HTTP, the blocks of one query joined to NDJSON

Each is what an engineer writes first: no validation, no errors, no identity of the caller. The stream is asynch alone
behind HTTP: one process, one connection kept open, the SQL, the settings and the size of blocks of the query service,
among them its limits of memory, so that a large sort spills to disk here as it does there.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

import nats
from aiohttp import web
from asynch.connection import Connection
from asynch.proto.connection import Connection as Wire
from asynch.proto.utils.dsn import parse_dsn
from nats.aio.msg import Msg

from services.kit.clickhouse.client import READING, STREAM_ROWS
from services.kit.clickhouse.wire import with_common
from services.kit.settings import Settings, load
from services.kit.statements import STREAMED, limits

SETTINGS = {"strings_as_bytes": True, "do_not_merge_across_partitions_select_final": 1}


async def connect(url: str) -> Connection:
    """Return an open connection to ClickHouse."""
    connection = Connection(**parse_dsn(url))
    await connection.connect()
    return connection


async def serve_queries() -> None:
    """Answer each message, which is SQL, with the rows of its one column in a JSON array."""
    settings = load()
    clickhouse = await connect(settings.clickhouse_url)
    client = await nats.connect(settings.nats_url)

    async def answer(message: Msg) -> None:
        async with clickhouse.cursor() as cursor:
            cursor.set_settings(dict(SETTINGS))
            await cursor.execute(message.data.decode())
            rows = [row[0] for row in await cursor.fetchall()]
        await message.respond(b'{"data":[' + b",".join(rows) + b"]}")

    await client.subscribe("bench.bare", queue="bare", cb=answer)
    await asyncio.Event().wait()


async def serve_http() -> None:
    """Pass each body on over NATS."""
    settings = load()
    client = await nats.connect(settings.nats_url)

    async def handle(request: web.Request) -> web.Response:
        reply = await client.request("bench.bare", await request.read(), timeout=30)
        return web.Response(body=reply.data, content_type="application/json")

    await _serve(handle, settings.api_port)


def stream_settings(settings: Settings) -> Mapping[str, Any]:
    """Return the settings with which the query service streams."""
    return with_common({**READING, "max_block_size": STREAM_ROWS, **limits(settings), **STREAMED})


async def serve_stream() -> None:
    """Answer each body, which is SQL, with its first column as lines; one at a time."""
    settings = load()
    connection = Wire(**parse_dsn(settings.clickhouse_url))
    sent = stream_settings(settings)

    async def handle(request: web.Request) -> web.StreamResponse:
        sql = (await request.read()).decode()
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        result = await connection.execute_iter(sql, settings=dict(sent))
        async for packet in result.packet_generator:
            if packet.block is not None and packet.block.num_rows:
                await response.write(b"\n".join(packet.block.get_columns()[0]) + b"\n")
        await response.write_eof()
        return response

    await _serve(handle, settings.api_port)


async def _serve(handle: object, port: int) -> None:
    app = web.Application()
    app.router.add_post("/", handle)  # type: ignore[arg-type]
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run({"service": serve_queries, "gateway": serve_http, "stream": serve_stream}[sys.argv[1]]())
