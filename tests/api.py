"""A workspace as its users see it: events written as ingestion writes them, answers read over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import aiohttp

from services.kit import identity
from services.kit.clickhouse import ClickHouse
from services.kit.settings import Settings

WRITING = {
    "input_format_try_infer_dates": "0",
    "input_format_try_infer_datetimes": "0",
    "type_json_skip_duplicated_paths": "1",
    "max_partitions_per_insert_block": "0",
}
"""Settings every writer of the event tables uses."""

COLUMNS = {
    "track": ("event", "properties"),
    "page": ("name", "properties"),
    "identify": ("traits", "traits_null"),
    "group": ("group_id", "traits", "traits_null"),
}
_ABSENT: Mapping[str, Any] = {"properties": {}, "traits": {}, "traits_null": []}


def stamp(milliseconds: int) -> str:
    """Return a time as the tables and the answers write it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of an HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Api:
    """One workspace."""

    settings: Settings
    url: str
    workspace: UUID
    http: aiohttp.ClientSession

    async def call(
        self, path: str, body: Any = None, *, method: str = "POST", accept: str = "application/json", **headers: str
    ) -> Answer:
        """Send a request; `body` is a JSON value, or bytes as they are."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        sent = {"X-Workspace-Id": str(self.workspace), "Accept": accept, "Content-Type": "application/json"}
        async with self.http.request(method, self.url + path, data=data, headers=sent | headers) as reply:
            return Answer(reply.status, reply.headers, await reply.read())

    async def events(self, **body: Any) -> list[dict[str, Any]]:
        """Return all rows of an events query, page after page."""
        rows: list[dict[str, Any]] = []
        cursor = None
        while True:
            answer = await self.call("/query/events", body | ({"cursor": cursor} if cursor else {}))
            assert answer.status == 200, answer.body
            rows += answer.json["data"]
            cursor = answer.json["next_cursor"]
            if cursor is None:
                return rows

    async def write(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Insert events (see tests/oracle/events.py for their form) and make their identity links count."""
        await insert(self.settings, self.http, {self.workspace: events})


async def insert(
    settings: Settings,
    http: aiohttp.ClientSession,
    histories: Mapping[UUID, Iterable[Mapping[str, Any]]],
    *,
    reload: bool = True,
) -> None:
    """Insert the events of many workspaces, a table at a time, and make the identity links count that they bring."""
    native = urlsplit(settings.clickhouse_url)
    login = {
        "X-ClickHouse-User": unquote(native.username or "default"),
        "X-ClickHouse-Key": unquote(native.password or ""),
    }
    listed = [(workspace, event) for workspace, events in histories.items() for event in events]
    for table, columns in COLUMNS.items():
        rows = [
            {
                "workspace_id": str(workspace),
                "message_id": event["message_id"],
                "user_id": event.get("user_id", ""),
                "anonymous_id": event.get("anonymous_id", ""),
                "timestamp": stamp(event["timestamp"])[:-1],
                "received_at": stamp(event["received_at"])[:-1],
                "context": event.get("context", {}),
                **{column: event.get(column, _ABSENT.get(column, "")) for column in columns},
            }
            for workspace, event in listed
            if event["table"] == table
        ]
        if not rows:
            continue
        query = {"query": f"INSERT INTO cdp.events_{table} FORMAT JSONEachRow", **WRITING}
        body = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
        async with http.post(settings.clickhouse_http_url, params=query, data=body, headers=login) as reply:
            assert reply.status == 200, await reply.text()
    # Reloading takes some tenths of a second, however few links there are.
    if not (reload and any(event.get("user_id") and event.get("anonymous_id") for _, event in listed)):
        return
    clickhouse = ClickHouse(settings.clickhouse_url, settings.clickhouse_http_url, size=1)
    await clickhouse.start()
    try:
        await identity.reload_identity(clickhouse)
    finally:
        await clickhouse.close()
