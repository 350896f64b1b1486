"""Bringing the stores to what this version needs: idempotent, safe for several processes at once."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import asyncpg

from deploy.clickhouse.render import render
from deploy.migrations import clickhouse, dbmate
from deploy.migrations.dbmate import MigrationError
from deploy.migrations.sets import PROJECT, MigrationSet, Store, discover
from deploy.nats import streams
from deploy.postgres import database
from services.kit.settings import Settings

Target = Literal["postgres", "nats", "clickhouse"]
ALL: tuple[Target, ...] = ("postgres", "nats", "clickhouse")


@dataclass(frozen=True)
class State:
    """What is applied of one set."""

    migrations: MigrationSet
    applied: frozenset[str]

    @property
    def pending(self) -> list[str]:
        """Versions to apply, oldest first."""
        return [version for version in self.migrations.versions() if version not in self.applied]


async def up(settings: Settings, targets: Collection[Target] = ALL, project: Path = PROJECT) -> None:
    """Apply what is pending in the named stores and say what was done; only looks when there is nothing to do.

    `project` is the folder that holds the migration files.

    Raises:
        MigrationError: a store is not there, or a migration failed; those before it stay applied.
    """
    jobs: list[Awaitable[None]] = []
    if "nats" in targets:
        jobs.append(_declare_streams(settings))
    stores: list[Store] = [store for store in ("postgres", "clickhouse") if store in targets]
    if stores:
        jobs.append(_migrate(settings, stores, project))
    for outcome in await asyncio.gather(*jobs, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def down(settings: Settings, migrations: MigrationSet, steps: int) -> None:
    """Take the newest applied migrations of one set back, `steps` of them at most.

    Raises:
        MigrationError: as `up`.
    """
    async with _stores(settings, [migrations.store]) as access, database.migration_lock(access.connection):
        for _ in range(min(steps, len((await access.state(migrations)).applied))):
            await access.apply("rollback", migrations)


async def status(settings: Settings, store: Store, project: Path = PROJECT) -> list[State]:
    """Return the state of every set of a store.

    Raises:
        MigrationError: as `up`.
    """
    async with _stores(settings, [store]) as access:
        return [await access.state(each) for each in discover(store, project)]


async def _migrate(settings: Settings, stores: list[Store], project: Path) -> None:
    async with _stores(settings, stores) as access:
        sets = [each for store in stores for each in discover(store, project)]
        if not any([(await access.state(each)).pending for each in sets]):
            return
        async with database.migration_lock(access.connection):
            for each in sets:
                # Again, under the lock: another process may have applied them meanwhile.
                if (await access.state(each)).pending:
                    await access.apply("migrate", each)


async def _declare_streams(settings: Settings) -> None:
    try:
        for line in await streams.declare(settings.nats_url):
            sys.stdout.write(f"nats: {line}\n")
    except Exception as error:  # nats-py raises its own, OSError and TimeoutError
        raise MigrationError(f"NATS: {str(error) or type(error).__name__}") from error


@dataclass(frozen=True)
class _Access:
    """Open connections to the stores being migrated. PostgreSQL is always one of them: it holds the lock."""

    settings: Settings
    connection: asyncpg.Connection
    admin: clickhouse.ClickHouseAdmin

    async def state(self, migrations: MigrationSet) -> State:
        if migrations.store == "postgres":
            return State(migrations, frozenset(await database.applied_versions(self.connection, migrations.table)))
        return State(migrations, frozenset(await self.admin.applied_versions(migrations.table)))

    async def apply(self, step: dbmate.Step, migrations: MigrationSet) -> None:
        with tempfile.TemporaryDirectory(prefix="cdp-migrations-") as scratch:
            if migrations.store == "postgres":
                folder, url = migrations.folder, await database.dbmate_url(self.connection, self.settings.postgres_url)
            else:
                folder, url = Path(scratch), clickhouse.dbmate_url(self.settings)
                render(migrations.folder, folder, self.settings)
            await dbmate.run(step, url=url, folder=folder, table=migrations.table, label=migrations.name)


@asynccontextmanager
async def _stores(settings: Settings, stores: list[Store]) -> AsyncIterator[_Access]:
    try:
        connection = await database.connect(settings.postgres_url)
    except (OSError, asyncpg.PostgresError) as error:
        raise MigrationError(f"PostgreSQL: {str(error) or 'does not answer'}") from error
    try:
        admin = clickhouse.ClickHouseAdmin(settings)
        try:
            if "clickhouse" in stores:
                await admin.create_database()
            yield _Access(settings, connection, admin)
        finally:
            await admin.close()
    finally:
        await connection.close()
