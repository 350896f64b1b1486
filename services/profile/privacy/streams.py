"""Taking people out of JetStream: messages about them, and messages that name them."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from nats.aio.client import Client
from nats.js.errors import NotFoundError
from nats.js.manager import JetStreamManager

from contracts import subjects
from contracts.base import decode
from contracts.durable import EventsIngested
from contracts.errors import InvalidRequest


async def forget(connection: Client, workspace: UUID, profiles: Collection[UUID], user_ids: Collection[str]) -> None:
    """Remove what JetStream keeps of some people of a workspace. May be broken off and done again.

    Raises:
        nats.errors.Error: NATS does not answer.
    """
    manager = connection.jsm()
    for profile in profiles:
        for subject in subjects.about(workspace, profile):
            await manager.purge_stream(subjects.EVENTS_STREAM, subject=subject)
    if user_ids:
        await _remove_naming(manager, workspace, frozenset(user_ids))


async def _remove_naming(manager: JetStreamManager, workspace: UUID, user_ids: frozenset[str]) -> None:
    sequence, subject = 1, subjects.ingested(workspace)
    while True:
        try:
            message = await manager.get_msg(subjects.EVENTS_STREAM, seq=sequence, subject=subject, next=True)
        except NotFoundError:
            return
        assert message.seq is not None, "a stored message has a number"
        if _names(message.data or b"", user_ids):
            await manager.delete_msg(subjects.EVENTS_STREAM, message.seq)
        sequence = message.seq + 1


def _names(data: bytes, user_ids: frozenset[str]) -> bool:
    try:
        event = decode(data, EventsIngested)
    except InvalidRequest:
        return True  # nobody can read it, so nobody can say that it names none of them
    return not user_ids.isdisjoint(event.user_ids or ())
