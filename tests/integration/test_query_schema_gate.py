"""Queries wait for tables that are as they must be, and take them as soon as they are."""

from __future__ import annotations

import logging

import pytest

from contracts.errors import Unavailable
from services.kit import schema_gate
from services.kit.clickhouse import ClickHouse
from services.kit.event_schema import Problem
from services.kit.event_schema_check import SchemaError
from services.kit.schema_gate import SchemaGate
from services.kit.settings import Settings
from tests.platform import free_port


async def test_the_gate_opens_on_migrated_tables(infra: Settings) -> None:
    clickhouse = ClickHouse(infra.clickhouse_url, infra.clickhouse_http_url, size=1)
    await clickhouse.start()
    gate = SchemaGate(clickhouse, infra.clickhouse_cluster)
    await gate.passed()
    await clickhouse.close()
    await gate.passed()  # asks nothing any more


async def test_a_server_that_is_away_is_no_verdict() -> None:
    clickhouse = ClickHouse(f"clickhouse://default:@127.0.0.1:{free_port()}/cdp", "http://127.0.0.1:1", size=1)
    await clickhouse.start()
    with pytest.raises(Unavailable, match="does not answer"):
        await SchemaGate(clickhouse, "").passed()
    await clickhouse.close()


async def test_other_tables_are_refused_with_the_statement_in_the_log_until_it_was_run(
    infra: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clickhouse = ClickHouse(infra.clickhouse_url, infra.clickhouse_http_url, size=1)
    await clickhouse.start()
    problem = Problem("cdp.events_track", "the column mid is missing", "ALTER TABLE cdp.events_track ADD COLUMN mid")

    async def differs(*args: object, **options: object) -> None:
        raise SchemaError([problem])

    gate = SchemaGate(clickhouse, "")
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr(schema_gate, "check", differs)
        patch.setattr(schema_gate, "_AGAIN_SECONDS", 0.0)
        with pytest.raises(Unavailable, match="not as they must be"):
            await gate.passed()
    await gate.passed()
    await clickhouse.close()
