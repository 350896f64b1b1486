"""`cdp demo` against a running platform."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import subprocess
import sys
import time
from datetime import UTC, timedelta
from itertools import pairwise
from uuid import uuid4

import aiohttp
import msgspec
import nats
import pytest

from contracts.workspace import WorkspaceGet
from deploy.cli.demo.command import SETTINGS, put_settings
from deploy.cli.demo.world import END, WORKSPACE
from services.kit.clickhouse import ClickHouse
from services.kit.client import Client
from services.kit.settings import Settings
from tests.integration.test_load_files import command, environment
from tests.platform import ROOT, Platform


@pytest.mark.timeout(600)
async def test_the_demo_fills_its_workspace_and_says_what_to_try(infra: Settings, platform: Platform) -> None:
    done = await asyncio.to_thread(
        subprocess.run, command("demo", "--quiet"), env=environment(platform.settings), capture_output=True, timeout=580
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
            f"SELECT message_id, timestamp FROM events_{table} WHERE workspace_id = '{WORKSPACE}'"
            for table in ("track", "identify", "page", "group")
        )
        sql = f"SELECT toInt64(uniqExact(message_id)), min(message_id), max(message_id), max(timestamp) FROM ({sql})"
        found = await clickhouse.query(sql, query_id=uuid4().hex, timeout=60)
    finally:
        await clickhouse.close()
    count, first, last, latest = next(iter(found.rows()))
    # Messages are numbered as they are made: none is missing.
    assert (first, last) == (b"demo-0000001", f"demo-{count:07d}".encode())
    assert 280_000 < count < 330_000, "as the documents promise"
    assert latest.replace(tzinfo=UTC) > END - timedelta(hours=3), "up to the end"


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


README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```sh\n(curl [^`]*?)```\n\n(?:<!-- answer: \w+ -->\n)?```json\n(.*?)\n```", README, re.DOTALL)


_PROJECTED_SECONDS = 90.0
"""Profiles of the whole shop are made within this time, also on a busy machine."""


def test_the_readme_shows_answers() -> None:
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize(("request_", "answer"), EXAMPLES)
async def test_the_readmes_answers_are_those_of_the_demo(platform: Platform, request_: str, answer: str) -> None:
    """Needs the demo, which the first test of this module loads."""
    words = shlex.split(request_.replace("\\\n", " "))
    headers = dict(word.split(": ", 1) for flag, word in pairwise(words) if flag == "-H")
    body = next((word for flag, word in pairwise(words) if flag == "-d"), None)
    url = words[words.index("-s") + 1].replace("http://127.0.0.1:4000", platform.url)
    method, patience = ("GET", _PROJECTED_SECONDS) if body is None else ("POST", 0.0)
    end = time.monotonic() + patience
    shown, _, _ = answer.partition('"next_cursor":"WzEs')
    shown, _, _ = shown.partition('"meta":{…}')
    shown, _, _ = shown.partition('"trait_origins":{…}')
    async with aiohttp.ClientSession(headers=headers) as http:
        while True:
            async with http.request(method, url, data=body) as reply:
                text = await reply.text()
            # A profile grows while the projector goes through what was loaded.
            if text.startswith(shown) or time.monotonic() > end:
                break
            await asyncio.sleep(0.2)
    assert text.startswith(shown)
    assert len(shown) > 100


async def test_the_readmes_nats_script_prints_the_same_rows(platform: Platform) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    script = script.replace("nats://127.0.0.1:4222", platform.settings.nats_url)
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script], capture_output=True, timeout=60, check=True
    )
    rows = json.loads(done.stdout)["data"]
    assert [row["event"] for row in rows] == ["Order Completed"] * 3
