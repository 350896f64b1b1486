"""Writers that remember what was acknowledged, so that a test can ask whether it is still there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid4

import aiohttp
import nats
import nats.errors
from nats.aio.client import Client

from contracts import subjects
from contracts.base import encode
from contracts.durable import EventsIngested
from services.kit.lifecycle import close_quietly, connect_options, end
from tests.api import WRITING, Api, stamp

_PAUSE = 0.05
_PATIENCE = 5.0
_T0 = 1_767_225_600_000


@dataclass
class Accepted:
    """What one writer of each kind was told is safe, in a workspace of its own."""

    api: Api
    rows: list[str] = field(default_factory=list)
    messages: int = 0
    setting: int = 0
    """The last number a PUT of the workspace's settings was acknowledged for."""
    tried: int = 0
    """The last number a PUT was sent with."""

    async def check(self) -> None:
        """Find all of it.

        Raises:
            AssertionError: something is lost.
        """
        written = [self.rows, self.messages, self.setting]
        assert all(written), f"nothing was accepted of one kind: {written}"
        found = await self.api.events(table="track", columns=["message_id"], limit=10_000)
        missing = set(self.rows) - {row["message_id"] for row in found}
        assert not missing, f"{len(missing)} of {len(self.rows)} acknowledged rows are lost"
        settings = (await self.api.call("/workspace", method="GET")).json
        assert self.setting <= int(settings["name"]) <= self.tried
        kept = await self._kept_messages()
        assert kept >= self.messages, f"{self.messages - kept} of {self.messages} messages are lost"

    async def _kept_messages(self) -> int:
        connection = await nats.connect(self.api.settings.nats_url)
        try:
            subject = subjects.ingested(self.api.workspace)
            info = await connection.jsm().stream_info(subjects.EVENTS_STREAM, subjects_filter=subject)
            return sum((info.state.subjects or {}).values())
        finally:
            await close_quietly(connection.close)

    async def _write_row(self, http: aiohttp.ClientSession) -> None:
        native = urlsplit(self.api.settings.clickhouse_url)
        login = {
            "X-ClickHouse-User": unquote(native.username or "default"),
            "X-ClickHouse-Key": unquote(native.password or ""),
        }
        message_id = uuid4().hex
        row = {
            "workspace_id": str(self.api.workspace),
            "message_id": message_id,
            "anonymous_id": "a",
            "timestamp": stamp(_T0)[:-1],
            "received_at": stamp(_T0)[:-1],
            "event": "Kept",
        }
        query = {"query": "INSERT INTO cdp.events_track FORMAT JSONEachRow", **WRITING}
        url = self.api.settings.clickhouse_http_url
        async with http.post(url, params=query, data=json.dumps(row).encode(), headers=login) as reply:
            await reply.read()
            if reply.status == 200:
                self.rows.append(message_id)

    async def _write_setting(self, http: aiohttp.ClientSession) -> None:
        self.tried += 1
        number, headers = self.tried, {"X-Workspace-Id": str(self.api.workspace)}
        async with http.put(self.api.url + "/workspace", json={"name": str(number)}, headers=headers) as reply:
            await reply.read()
            if reply.status == 200:
                self.setting = number

    async def _write_message(self, connection: Client) -> None:
        number = self.messages + 1
        now = datetime.now(UTC)
        event = EventsIngested(workspace_id=self.api.workspace, tables=("track",), rows=number, from_=now, to=now)
        # Sent again under the same id until it is acknowledged: kept once.
        headers = {"Nats-Msg-Id": f"{self.api.workspace}:{number}"}
        subject = subjects.ingested(self.api.workspace)
        await connection.jetstream(timeout=1.0).publish(subject, encode(event), headers=headers)
        self.messages = number


@asynccontextmanager
async def accepting(api: Api, workspace: UUID) -> AsyncIterator[Accepted]:
    """Write rows, settings and messages while the block runs, each as fast as it is acknowledged."""
    accepted = Accepted(Api(api.settings, api.url, workspace, api.http))
    options = connect_options(api.settings, "accepted")
    connection = await nats.connect(**options, error_cb=_ignore)
    timeout = aiohttp.ClientTimeout(total=_PATIENCE)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        tasks = [
            asyncio.create_task(_again(lambda: accepted._write_row(http))),
            asyncio.create_task(_again(lambda: accepted._write_setting(http))),
            asyncio.create_task(_again(lambda: accepted._write_message(connection))),
        ]
        try:
            yield accepted
        finally:
            await end(tasks)
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await close_quietly(connection.close)
    failed = [error for error in ended if not isinstance(error, asyncio.CancelledError)]
    assert not failed, f"a writer failed: {failed}"


async def _again(write: Callable[[], Awaitable[None]]) -> None:
    """Write for ever; what fails was not acknowledged."""
    while True:
        try:
            await write()
        except (aiohttp.ClientError, OSError, nats.errors.Error):
            await asyncio.sleep(_PAUSE)
        await asyncio.sleep(_PAUSE)


async def _ignore(_error: Exception) -> None:
    """NATS is killed on purpose."""
