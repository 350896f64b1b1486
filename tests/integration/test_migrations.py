"""Migrations against real servers: forward, back, twice, by two processes at once, and when they fail."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import msgspec
import nats
import pytest

from contracts import subjects
from deploy.migrations import run
from deploy.migrations.dbmate import MigrationError
from deploy.migrations.sets import MigrationSet, Store, discover
from deploy.nats import streams
from services.kit.settings import Settings

FILES = {
    "20260101000000_first.sql": (
        "-- migrate:up\nCREATE TABLE first (id integer);\nINSERT INTO first VALUES (1);\n\n"
        "-- migrate:down\nDROP TABLE first;\n"
    ),
    "20260102000000_second.sql": (
        "-- migrate:up\nSELECT pg_sleep(0.3);\nCREATE TABLE second (id integer);\n\n"
        "-- migrate:down\nDROP TABLE second;\n"
    ),
}


@pytest.fixture
def settings(infra: Settings) -> Settings:
    """Settings whose databases do not exist yet."""
    name = f"fresh_{uuid4().hex[:12]}"
    return msgspec.structs.replace(
        infra,
        postgres_url=urlunsplit(urlsplit(infra.postgres_url)._replace(path=f"/{name}")),
        clickhouse_url=urlunsplit(urlsplit(infra.clickhouse_url)._replace(path=f"/{name}")),
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one service of two PostgreSQL migrations."""
    folder = tmp_path / "services" / "shop" / "migrations" / "postgres"
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return tmp_path


def only(project: Path) -> MigrationSet:
    (found,) = discover("postgres", project)
    return found


async def tables(settings: Settings) -> set[str]:
    connection = await asyncpg.connect(settings.postgres_url)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row["tablename"] for row in rows} - {"schema_migrations_shop"}
    finally:
        await connection.close()


async def pending(settings: Settings, project: Path) -> list[str]:
    (state,) = await run.status(settings, "postgres", project)
    return state.pending


async def test_migrations_make_the_database_and_run_once(settings: Settings, project: Path) -> None:
    assert await pending(settings, project) == ["20260101000000", "20260102000000"]
    for _ in range(2):
        await run.up(settings, {"postgres"}, project)
    assert await tables(settings) == {"first", "second"}
    assert await pending(settings, project) == []


async def test_migrations_go_back_and_forward_again(settings: Settings, project: Path) -> None:
    await run.up(settings, {"postgres"}, project)
    await run.down(settings, only(project), 1)
    assert await tables(settings) == {"first"}
    assert await pending(settings, project) == ["20260102000000"]
    await run.down(settings, only(project), 99)
    assert await tables(settings) == set()
    await run.up(settings, {"postgres"}, project)
    assert await tables(settings) == {"first", "second"}


async def test_two_at_once_apply_each_migration_once(settings: Settings, project: Path) -> None:
    await asyncio.gather(*(run.up(settings, {"postgres"}, project) for _ in range(3)))
    assert await tables(settings) == {"first", "second"}
    connection = await asyncpg.connect(settings.postgres_url)
    assert await connection.fetchval("SELECT count(*) FROM first") == 1
    await connection.close()


async def test_a_migration_that_fails_says_why_and_keeps_those_before_it(settings: Settings, project: Path) -> None:
    broken = only(project).folder / "20260103000000_broken.sql"
    broken.write_text("-- migrate:up\nCREATE TABLE third (id nonsense);\n\n-- migrate:down\nSELECT 1;\n")
    with pytest.raises(MigrationError, match=r"(?s)shop/postgres.*nonsense") as caught:
        await run.up(settings, {"postgres"}, project)
    assert str(urlsplit(settings.postgres_url).password) not in str(caught.value)
    assert await tables(settings) == {"first", "second"}
    broken.unlink()
    await run.up(settings, {"postgres"}, project)


async def test_a_server_that_is_not_there_is_named(infra: Settings) -> None:
    nowhere = msgspec.structs.replace(
        infra,
        postgres_url="postgresql://cdp:x@127.0.0.1:1/cdp",
        nats_url="nats://127.0.0.1:1",
        clickhouse_url="clickhouse://default:@127.0.0.1:1/cdp",
    )
    with pytest.raises(MigrationError, match="PostgreSQL"):
        await run.up(nowhere, {"postgres"})
    with pytest.raises(MigrationError, match="NATS"):
        await run.up(nowhere, {"nats"})
    with pytest.raises(MigrationError, match="ClickHouse"):
        await run.up(msgspec.structs.replace(nowhere, postgres_url=infra.postgres_url), {"clickhouse"})


async def test_the_projects_own_migrations_go_back_to_nothing_and_forward(settings: Settings) -> None:
    stores: tuple[Store, ...] = ("postgres", "clickhouse")
    await run.up(settings, stores)
    for store in stores:
        for migrations in reversed(discover(store)):
            await run.down(settings, migrations, 1000)
        assert all(not state.applied for state in await run.status(settings, store))
    await asyncio.gather(*(run.up(settings, stores) for _ in range(2)))
    for store in stores:
        states = await run.status(settings, store)
        assert states
        assert all(not state.pending for state in states)


async def test_streams_are_declared_once_and_mended(infra: Settings) -> None:
    assert await streams.declare(infra.nats_url) == []
    connection = await nats.connect(infra.nats_url)
    manager = connection.jsm()
    config = (await manager.stream_info(subjects.EVENTS_STREAM)).config
    assert (config.subjects, config.max_age, config.duplicate_window) == ([subjects.EVENTS], 604_800, 3600)
    await manager.update_stream(replace(config, max_age=60.0, duplicate_window=60.0, max_bytes=10**9))
    (done,) = await streams.declare(infra.nats_url)
    assert done == f"stream {subjects.EVENTS_STREAM} updated: max_age, duplicate_window"
    config = (await manager.stream_info(subjects.EVENTS_STREAM)).config
    assert (config.max_age, config.max_bytes) == (604_800, 10**9), "what we do not manage stays"
    await connection.close()
