"""Sessions of the HTTP interface: settings and temporary tables that outlive a request, by the client's session_id."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .errors import ServerError
from .session import Session

LONGEST = 3600.0
"""Seconds a session may be idle, at most."""


class _Kept:
    def __init__(self, session: Session) -> None:
        self.session = session
        self.locked = False
        self.expires = 0.0


class HttpSessions:
    """Keeps sessions between requests; ``expire`` runs in the background."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], _Kept] = {}

    @asynccontextmanager
    async def use(self, session: Session, session_id: str, timeout: float) -> AsyncIterator[Session]:
        """The session of that id, or ``session`` from now on; ServerError 373 while another request has it."""
        if not session_id:
            try:
                yield session
            finally:
                await asyncio.shield(session.close())
            return
        kept = self._kept.setdefault((session.user.name, session_id), _Kept(session))
        if kept.locked:
            raise ServerError(373, f"Session {session_id} is locked by a concurrent client")
        kept.locked = True
        try:
            yield kept.session
        finally:
            kept.locked = False
            kept.expires = time.monotonic() + min(timeout, LONGEST)

    async def expire(self) -> None:
        """Close idle sessions, until cancelled."""
        while True:
            await asyncio.sleep(1)
            now = time.monotonic()
            for key, kept in list(self._kept.items()):
                if not kept.locked and now > kept.expires:
                    del self._kept[key]
                    await kept.session.close()
