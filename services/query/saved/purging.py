"""Forgetting what was deleted, now and then, in every process of the service: doing it twice does no harm."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from contracts.errors import Unavailable
from services.kit.logs import log
from services.kit.postgres import Postgres
from services.query.saved import list_store, store
from services.query.sql import history_store

_EVERY_SECONDS: Final = 600.0


@asynccontextmanager
async def purging(postgres: Postgres) -> AsyncIterator[None]:
    """Purge at once and then every ten minutes, while the block runs."""
    task = asyncio.create_task(_purge_for_ever(postgres), name="purge")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _purge_for_ever(postgres: Postgres) -> None:
    while True:
        try:
            await store.purge(postgres)
            await list_store.purge(postgres)
            await history_store.purge(postgres)
        except Unavailable:
            log(logging.WARNING, "nothing was purged: PostgreSQL does not answer")
        except Exception as error:
            # A table of a migration still to come, a lock held too long: the next time may do.
            log(logging.ERROR, "nothing was purged", error=error)
        await asyncio.sleep(_EVERY_SECONDS)
