"""Telling others that profiles changed: durably over JetStream, and gateways at once so that they answer anew.

What is to be published is put down in the transaction that makes the change, and removed once JetStream has it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final
from uuid import UUID

import asyncpg
import nats.errors

from contracts import headers, subjects
from contracts.base import decode, encode
from contracts.caching import CacheDrop
from contracts.durable import ProfileChanged
from contracts.errors import CdpError
from services.kit.lifecycle import end
from services.kit.logs import log
from services.profile.bus import Bus
from services.profile.resources import Resources

_EVERY_SECONDS: Final = 1.0
_AT_ONCE: Final = 500
_ACK_SECONDS: Final = 5.0
_TAGS: Final = 5_000
"""In one message: about 250 kB."""
_TURN: Final = int.from_bytes(b"out")
_PUT_DOWN: Final = """
INSERT INTO profile.outbox (workspace_id, profile_id, message)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[])
"""
_MY_TURN: Final = "SELECT pg_try_advisory_xact_lock($1, 0)"
_OLDEST: Final = "SELECT id, message FROM profile.outbox ORDER BY id LIMIT $1"
_PUBLISHED: Final = "DELETE FROM profile.outbox WHERE id = ANY ($1::bigint[])"


async def put_down(connection: asyncpg.Connection, said: Sequence[ProfileChanged]) -> None:
    """Keep messages until they are published."""
    if said:
        workspaces, profiles = [each.workspace_id for each in said], [each.profile_id for each in said]
        messages = [encode(each).decode() for each in said]
        await connection.execute(_PUT_DOWN, workspaces, profiles, messages, timeout=60)


async def drop(bus: Bus, workspace: UUID, profiles: Sequence[UUID]) -> None:
    """Let gateways forget answers about these profiles, and all that are about many. One that does not hear of it, or
    NATS away, waits for the time to live."""
    tags = iter([f"profile:{profile}" for profile in profiles])
    try:
        while part := tuple(islice(tags, _TAGS)):
            message = CacheDrop(workspace_id=workspace, tags=("profiles", *part))
            await bus.connection.publish(subjects.CACHE_DROP, encode(message))
    except (nats.errors.Error, OSError) as error:
        log(logging.WARNING, "caches were not told", reason=type(error).__name__)


@asynccontextmanager
async def publishing(resources: Resources) -> AsyncIterator[None]:
    """Publish what was put down, by whichever process, while the block runs."""
    task = asyncio.create_task(_publish_for_ever(resources), name="changes")
    try:
        yield
    finally:
        await end([task])


async def _publish_for_ever(resources: Resources) -> None:
    while True:
        try:
            while await publish(resources) == _AT_ONCE:
                pass
        except (CdpError, nats.errors.Error, OSError) as error:
            log(logging.WARNING, "changes are not published yet", reason=type(error).__name__)
        except Exception as error:  # a table of a migration still to come: the next time may do
            log(logging.ERROR, "changes are not published", error=error)
        await asyncio.sleep(_EVERY_SECONDS)


async def publish(resources: Resources) -> int:
    """Publish the oldest messages and return how many; none while another process does, so that the order is kept.

    Raises:
        Unavailable, nats.errors.Error: they stay, and JetStream ignores those it has when they come again.
    """
    async with resources.postgres.connection() as connection, connection.transaction():
        if not await connection.fetchval(_MY_TURN, _TURN):
            return 0
        rows = await connection.fetch(_OLDEST, _AT_ONCE)
        if not rows:
            return 0
        stream = resources.bus.connection.jetstream(timeout=_ACK_SECONDS)
        messages = [row["message"].encode() for row in rows]
        about = [decode(message, ProfileChanged) for message in messages]
        await asyncio.gather(
            *(
                stream.publish(
                    subjects.profile_changed(each.workspace_id, each.profile_id),
                    message,
                    headers={headers.MSG_ID: f"{each.profile_id}-{each.version}"},
                )
                for each, message in zip(about, messages, strict=True)
            )
        )
        await connection.execute(_PUBLISHED, [row["id"] for row in rows])
        return len(rows)
