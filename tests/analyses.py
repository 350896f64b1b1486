"""Analyses asked over HTTP, in many workspaces at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from tests.api import Answer, Api, insert
from tests.oracle.events import Event


async def write_many(api: Api, histories: Mapping[UUID, Iterable[Event]]) -> None:
    """Insert the events of many workspaces at once and make their identity links count."""
    await insert(api.settings, api.http, histories)


async def ask(api: Api, workspace: UUID, path: str, body: Mapping[str, Any]) -> Any:
    """Return the answer to a request in a workspace (`path` such as `/query/funnel`), decoded; it must be a 200."""
    answer = await asked(api, workspace, path, body)
    assert answer.status == 200, (answer.body, body)
    return answer.json


async def asked(
    api: Api, workspace: UUID, path: str, body: Mapping[str, Any], *, accept: str = "application/json"
) -> Answer:
    """Send a request in a workspace and return the answer, whatever its status."""
    return await Api(api.settings, api.url, workspace, api.http).call(path, dict(body), accept=accept)


async def everyone(api: Api, workspace: UUID, path: str, body: Mapping[str, Any], *, limit: int = 1_000) -> list[Any]:
    """Return all that a list of actors (`path` such as `/query/funnel/actors`) has, page after page; its `total` must
    be how many there are, each once."""
    listed: list[Any] = []
    cursor = None
    while True:
        page = await ask(api, workspace, path, {**body, "limit": limit, **({"cursor": cursor} if cursor else {})})
        listed += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            assert page["total"] == len(listed), body
            keys = [key_of(entry) for entry in listed]
            assert len(set(keys)) == len(keys), body
            return listed


def key_of(listed: Mapping[str, Any]) -> Any:
    """Return the key (tests/oracle/series.py) of an entry of a list of actors."""
    if "actor" in listed:
        actor = listed["actor"]["kind"], listed["actor"]["id"]
        return (*actor, listed["key"]) if "key" in listed else actor
    return listed["key"]
