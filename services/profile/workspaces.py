"""Settings of workspaces, which belong to the query service: asked of it, and kept for some seconds."""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import UUID

from nats.aio.msg import Msg

from contracts.base import decode
from contracts.caching import CacheDrop
from contracts.errors import InvalidRequest
from contracts.subjects import CACHE_DROP
from contracts.workspace import WorkspaceGet, WorkspaceSettings
from services.profile.bus import Bus

SECONDS: Final = 5.0
"""How long settings are kept: a change is heard of at once, unless the message that says so was lost."""
_MOST: Final = 10_000
_TAG: Final = "workspace"


class Workspaces:
    """What is known of the settings of workspaces. `start` it once the bus is there."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._kept: dict[UUID, tuple[float, WorkspaceSettings]] = {}
        self._drops = 0

    async def start(self) -> None:
        """Hear of changes; the subscription ends with the connection of the bus."""
        await self._bus.connection.subscribe(CACHE_DROP, cb=self._dropped)

    async def get(self, workspace: UUID) -> WorkspaceSettings:
        """Return the settings of a workspace: defaults where none were ever written.

        Raises:
            Unavailable, DeadlineExceeded: the query service does not answer.
        """
        now = asyncio.get_running_loop().time()
        until, settings = self._kept.get(workspace, (0.0, None))
        if settings is not None and now < until:
            return settings
        drops = self._drops
        answer: WorkspaceSettings = await self._bus.ask(workspace, "query.workspace_get", WorkspaceGet())
        if drops == self._drops:  # else they may have changed after they were read
            if len(self._kept) >= _MOST:
                self._kept.clear()
            self._kept[workspace] = (now + SECONDS, answer)
        return answer

    async def _dropped(self, message: Msg) -> None:
        try:
            drop = decode(message.data, CacheDrop)
        except InvalidRequest:  # of a later version: it may mean anything
            self._drops += 1
            self._kept.clear()
            return
        if _TAG in drop.tags:
            self._drops += 1
            self._kept.pop(drop.workspace_id, None)
