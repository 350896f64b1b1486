"""The profile service killed (SIGKILL) in the middle of its first look at everything, and of following new events."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from services.kit.settings import Settings
from services.profile.resources import Resources
from tests.api import insert
from tests.infra import embedded_servers
from tests.oracle import profiles as oracle
from tests.oracle.profiles import Event
from tests.people import T0, connected
from tests.platform import MODULES, Platform
from tests.profile_histories import traits_null

_PEOPLE = 400


@pytest.fixture(scope="module")
def alone() -> Iterator[Settings]:
    """Servers that no other projector follows."""
    with embedded_servers() as servers:
        yield servers.settings


@pytest.fixture
async def resources(alone: Settings) -> AsyncIterator[Resources]:
    async with connected(alone) as found:
        yield found


def happened(rng: Random, first: int, count: int) -> list[Event]:
    """Events of many people, most of whom are anonymous at first."""
    return [
        {
            "table": (table := rng.choice(("identify", "track", "page"))),
            "message_id": f"m{number}",
            "user_id": f"u{person}" if (known := rng.random() < 0.5) else "",
            "anonymous_id": f"a{person if rng.random() < 0.95 else 0}" if not known or rng.random() < 0.5 else "",
            "timestamp": T0 + rng.randrange(10_000_000),
            "received_at": T0 + number,
            "event": "e",
            "name": "n",
        }
        | ({"traits": {rng.choice("abc"): rng.choice((1, "x", None))}} if table == "identify" else {})
        for number in range(first, first + count)
        for person in [rng.randrange(_PEOPLE)]
    ]


async def test_a_service_killed_again_and_again_ends_with_the_right_profiles(
    alone: Settings, resources: Resources, tmp_path: Path
) -> None:
    rng, workspace = Random(7), uuid4()
    platform = Platform(alone, tmp_path)
    events = happened(rng, 0, 2_000)

    def wanted() -> dict[Any, Any]:
        found = oracle.profiles(workspace, events, {})
        return {
            oracle.profile_id(workspace, person): (
                profile.user_id,
                profile.anonymous_ids,
                tuple(at / 1000 for at in profile.seen),
                sorted(profile.traits),
            )
            for person, profile in found.items()
        }

    async def kept() -> dict[Any, Any]:
        async with resources.postgres.connection() as connection:
            rows = await connection.fetch(
                "SELECT *, ARRAY(SELECT jsonb_object_keys(traits)) AS names FROM profiles WHERE workspace_id = $1",
                workspace,
            )
        return {
            row["id"]: (
                row["user_id"],
                row["anonymous_ids"],
                (row["first_seen_at"].timestamp(), row["last_seen_at"].timestamp()),
                sorted(row["names"]),
            )
            for row in rows
        }

    async def there(seconds: float) -> None:
        expected = wanted()
        async with asyncio.timeout(seconds):
            while await kept() != expected:
                await asyncio.sleep(0.2)

    def start(name: str) -> None:
        platform.start(name, MODULES["profile"])

    async with aiohttp.ClientSession() as http:
        await _write(alone, http, workspace, events)
        try:
            for number in range(3):  # the first look at everything
                start("one")
                async with asyncio.timeout(60):
                    while (tmp_path / "one.log").read_text().count("projecting profiles") <= number:
                        await asyncio.sleep(0.02)
                await asyncio.sleep(rng.random() * 0.7)
                platform.stop("one", signal.SIGKILL)
            start("one")
            start("two")
            await there(60)
            for turn in range(4):
                more = happened(rng, 10_000 * (turn + 1), 300)
                events += more
                await _write(alone, http, workspace, more)
                await asyncio.sleep(rng.random())
                name = ("one", "two")[turn % 2]
                platform.stop(name, signal.SIGKILL)  # the other one goes on
                if turn < 3:
                    start(name)
            await there(60)
        finally:
            for name in list(platform.processes):
                platform.stop(name, signal.SIGKILL)


async def _write(settings: Settings, http: aiohttp.ClientSession, workspace: Any, events: list[Event]) -> None:
    rows = [event | {"traits_null": traits_null(event)} for event in events]
    await insert(settings, http, {workspace: rows}, reload=False)
