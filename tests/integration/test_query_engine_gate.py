"""Analyses wait for an engine that computes as it must, and say what is wrong with one that does not."""

from __future__ import annotations

import pytest

from contracts.errors import Unavailable
from services.kit.clickhouse import ClickHouse
from services.kit.settings import Settings
from services.query import engine_gate
from services.query.engine_gate import PROBES, EngineGate


async def test_the_gate_opens_on_the_engine_this_is_made_for(infra: Settings) -> None:
    clickhouse = ClickHouse(infra.clickhouse_url, infra.clickhouse_http_url, size=1)
    await clickhouse.start()
    gate = EngineGate(clickhouse)
    await gate.passed()
    await clickhouse.close()
    await gate.passed()  # asks nothing any more


@pytest.mark.parametrize("mode", ["strict_deduplication", "no_such_mode"])
async def test_an_engine_whose_strict_once_is_missing_or_different_is_refused_by_name(
    infra: Settings, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clickhouse = ClickHouse(infra.clickhouse_url, infra.clickhouse_http_url, size=1)
    await clickhouse.start()
    name, statement, expected = PROBES[0]
    gate = EngineGate(clickhouse, [(name, statement.replace("strict_once", mode), expected), *PROBES[1:]])
    monkeypatch.setattr(engine_gate, "_AGAIN_SECONDS", 60.0)
    for _ in range(2):
        with pytest.raises(Unavailable, match="windowFunnel in the mode strict_once"):
            await gate.passed()
    await clickhouse.close()
