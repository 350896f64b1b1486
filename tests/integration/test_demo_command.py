"""`cdp demo` against a running platform."""

from __future__ import annotations

import asyncio
import subprocess
from uuid import uuid4

import msgspec
import nats
import pytest

from contracts.workspace import WorkspaceGet
from deploy.cli.demo.command import SETTINGS, put_settings
from deploy.cli.demo.journeys import calls
from deploy.cli.demo.world import WORKSPACE
from services.kit.clickhouse import ClickHouse
from services.kit.client import Client
from services.kit.settings import Settings
from tests.integration.test_load_files import command, environment
from tests.platform import Platform


@pytest.mark.timeout(300)
async def test_the_demo_fills_its_workspace_and_says_what_to_try(infra: Settings, platform: Platform) -> None:
    done = await asyncio.to_thread(
        subprocess.run, command("demo", "--quiet"), env=environment(platform.settings), capture_output=True, timeout=280
    )
    text = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, text
    assert "warning" not in text, text
    assert text.count("curl -s") == 3
    assert str(WORKSPACE) in text
    clickhouse = ClickHouse(infra.clickhouse_url, infra.clickhouse_http_url, size=1)
    await clickhouse.start()
    try:
        sql = " UNION ALL ".join(
            f"SELECT uniqExact(message_id) AS n FROM events_{table} WHERE workspace_id = '{WORKSPACE}'"
            for table in ("track", "identify", "page", "group")
        )
        found = await clickhouse.query(f"SELECT toInt64(sum(n)) FROM ({sql})", query_id=uuid4().hex, timeout=60)
    finally:
        await clickhouse.close()
    sent = await asyncio.to_thread(lambda: len({line.split('"messageId":"', 1)[1][:12] for line in calls()}))
    assert next(iter(found.rows())) == (sent,)


async def test_the_workspaces_clock_stands_at_the_end_of_the_data(platform: Platform) -> None:
    assert await put_settings(platform.settings) == ""
    connection = await nats.connect(platform.settings.nats_url.split(",")[0])
    try:
        async with Client(connection, WORKSPACE) as client:
            assert await client.call("query.workspace_get", WorkspaceGet()) == SETTINGS
    finally:
        await connection.close()


async def test_without_services_it_says_so(infra: Settings) -> None:
    away = msgspec.structs.replace(infra, nats_url="nats://127.0.0.1:1")
    assert "NATS does not answer" in await put_settings(away)
