"""Whether the server can run custom SQL is asked when the service starts, and told to whoever asks for its health."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from contracts.errors import Unavailable
from services.kit.clickhouse import Result
from services.kit.settings import Settings
from services.query.main import build
from services.query.sql.engine import SqlEngine

SETTINGS = Settings(clickhouse_sql_url="clickhouse://cdp_sql:x@127.0.0.1:1/default")


class Server:
    """Stands for a ClickHouse server of some version; None: it does not answer."""

    def __init__(self, version: str | None) -> None:
        self.version = version
        self.asked = 0

    async def query(self, sql: str, **_: Any) -> Result:
        assert sql == "SELECT version()"
        self.asked += 1
        if self.version is None:
            raise Unavailable("away")
        return Result([("version()", "String")], [[self.version.encode()]], 1, 1)


async def started(server: Server, settings: Settings = SETTINGS) -> SqlEngine:
    engine = SqlEngine(settings, server)  # type: ignore[arg-type]
    await engine.start()
    await asyncio.sleep(0.05)
    return engine


async def test_a_server_with_the_fixes_is_known_before_the_first_statement() -> None:
    server = Server("26.9.2.1")
    engine = await started(server)
    await engine.check()
    await engine.passed()
    assert server.asked == 1
    await engine.close()


async def test_an_old_server_is_refused_and_the_log_says_why_before_anybody_asks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR, "cdp"):
        engine = await started(Server("25.8.1.1"))
    [record] = caplog.records
    assert record.message == "no custom SQL"
    assert "lets sub-queries change settings" in record.fields["reason"]  # type: ignore[attr-defined]
    for ask in (engine.check, engine.passed):
        with pytest.raises(Unavailable):
            await ask()
    await engine.close()


async def test_a_refusal_is_kept_for_a_while_and_not_for_ever() -> None:
    server = Server("25.8.1.1")
    engine = await started(server)
    with pytest.raises(Unavailable):
        await engine.passed()
    assert server.asked == 1
    server.version = "26.9.2.1"
    engine._refused_until = 0.0
    await engine.passed()
    await engine.check()
    await engine.close()


async def test_a_server_that_is_away_holds_nothing_up() -> None:
    engine = await started(Server(None))
    with pytest.raises(Unavailable):
        await engine.check()
    await engine.close()


async def test_without_a_user_there_is_no_custom_sql_and_nothing_is_asked() -> None:
    server = Server("26.9.2.1")
    engine = await started(server, Settings())
    assert not engine.is_set_up
    assert server.asked == 0
    with pytest.raises(Unavailable):
        await engine.passed()
    await engine.close()


def test_health_tells_of_custom_sql_where_it_is_set_up_and_does_not_depend_on_it() -> None:
    assert set(build(SETTINGS).optional) == {"custom_sql"}
    assert "custom_sql" not in build(SETTINGS).checks
    assert build(Settings()).optional == {}
    by_workspace = Settings(clickhouse_sql_admin_url="clickhouse://admin@127.0.0.1:1/default")
    assert set(build(by_workspace).optional) == {"custom_sql"}
