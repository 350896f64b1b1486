"""Transactions of writers of profiles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import pytest

from services.kit.settings import Settings
from services.profile.locks import lock, lock_shared

_MODE = "SELECT current_setting('plan_cache_mode')"


@pytest.mark.parametrize("taken", [lock, lock_shared])
async def test_each_of_their_statements_is_planned_for_its_own_values(
    infra: Settings, workspace: UUID, taken: Callable[[asyncpg.Connection, UUID], Awaitable[None]]
) -> None:
    connection = await asyncpg.connect(infra.postgres_url)
    try:
        async with connection.transaction():
            await taken(connection, workspace)
            assert await connection.fetchval(_MODE) == "force_custom_plan"
        assert await connection.fetchval(_MODE) == "auto", "for others a plan is kept"
    finally:
        await connection.close()
