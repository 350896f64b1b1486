"""Profiles written straight into PostgreSQL, for tests of what reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import asyncpg

from services.kit.settings import Settings

COLUMNS = ("id", "workspace_id", "user_id", "anonymous_ids", "traits", "first_seen_at", "last_seen_at")


async def write(settings: Settings, workspace: UUID, profiles: Iterable[Mapping[str, Any]]) -> None:
    """Insert profiles, each a mapping of its columns."""
    rows = [
        [
            profile["id"],
            workspace,
            profile["user_id"],
            list(profile["anonymous_ids"]),
            json.dumps(profile["traits"], ensure_ascii=False),
            profile["first_seen_at"],
            profile["last_seen_at"],
        ]
        for profile in profiles
    ]
    connection = await asyncpg.connect(settings.postgres_url)
    try:
        await connection.executemany(
            f"INSERT INTO profiles ({', '.join(COLUMNS)}) VALUES ($1, $2, $3, $4, $5, $6, $7)", rows
        )
    finally:
        await connection.close()
