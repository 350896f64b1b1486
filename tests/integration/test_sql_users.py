"""Users of custom SQL a workspace: made when first needed, changed with its limits, and nothing shared between two."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
import pytest
from aiohttp import web

from contracts.errors import Unavailable
from services.kit.clickhouse import ClickHouseError
from services.kit.settings import Settings
from services.kit.statements import limits
from services.query.sql.access import password_of, shared_statements, user_of
from services.query.sql.engine import settings_of
from services.query.sql.users import Statement, WorkspaceUsers, users_of

ONE, TWO = UUID(int=1), UUID(int=2)
SECRET = "s" * 32


@dataclass
class Server:
    """Stands for a ClickHouse server: knows the users that the administrator's statements made, and notes all else."""

    executed: list[str] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    """Of each HTTP request the user, the parameters, and the text."""
    connections: list[tuple[str, object]] = field(default_factory=list)
    """Of each HTTP request the user and the connection's other end."""
    foreign: bytes = b"0\n"
    refuses: str = ""
    _passwords: dict[str, str] = field(default_factory=dict)

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def execute(self, statement: str, *, timeout: float) -> None:
        if self.refuses and self.refuses in statement:
            raise ClickHouseError(497, "ACCESS_DENIED", "no")
        self.executed.append(statement)
        if found := re.match(r"(?:CREATE USER IF NOT EXISTS|ALTER USER) (\w+) .*BY '(\w+)'", statement):
            self._passwords[found[1]] = found[2]

    def forget(self, user: str) -> None:
        del self._passwords[user]

    async def answer(self, request: web.Request) -> web.Response:
        user, password = request.headers["X-ClickHouse-User"], request.headers["X-ClickHouse-Key"]
        assert request.transport is not None
        self.connections.append((user, request.transport.get_extra_info("peername")))
        if self._passwords.get(user) != hashlib.sha256(password.encode()).hexdigest():
            return web.Response(status=403, headers={"X-ClickHouse-Exception-Code": "516"}, text="no such user")
        text = await request.text()
        self.asked.append((user, dict(request.query), text))
        return web.Response(body=self.foreign if "workspace_id !=" in text else b"rows\n")


@asynccontextmanager
async def serving(server: Server, **settings: Any) -> AsyncIterator[WorkspaceUsers]:
    app = web.Application()
    app.router.add_post("/", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    users = users_of(
        msgspec.structs.replace(
            Settings(
                clickhouse_http_url=f"http://127.0.0.1:{port}",
                clickhouse_url="clickhouse://services:x@db/cdp",
                clickhouse_sql_admin_url="clickhouse://admin:secret@db:9000/default",
                clickhouse_sql_secret=SECRET,
            ),
            **settings,
        )
    )
    assert isinstance(users, WorkspaceUsers)
    users._admin = server  # type: ignore[assignment]
    try:
        yield users
    finally:
        await users.close()
        await runner.cleanup()


def statement(workspace: UUID, **changed: Any) -> Statement:
    bounds = limits(Settings()) | changed
    return Statement(
        workspace=workspace,
        text="SELECT 1",
        format="TSV",
        settings=settings_of(bounds, workspace, "Europe/Berlin", 30, 101),
        query_id="q",
        timeout=5,
    )


async def run(users: WorkspaceUsers, asked: Statement) -> bytes:
    async with users.stream(asked) as stream:
        return b"".join([chunk async for chunk in stream])


async def test_the_first_statement_makes_the_user_and_later_ones_only_run() -> None:
    server = Server()
    async with serving(server) as users:
        assert await run(users, statement(ONE)) == b"rows\n"
        shared = shared_statements(("services",))
        assert server.executed[: len(shared)] == shared
        assert [each.partition(" IDENTIFIED")[0] for each in server.executed[len(shared) :]] == [
            f"CREATE USER IF NOT EXISTS {user_of(ONE)}",
            f"ALTER USER {user_of(ONE)}",
            f"GRANT cdp_sql TO {user_of(ONE)} WITH REPLACE OPTION",
        ]
        before = len(server.executed)
        await run(users, statement(ONE))
        assert len(server.executed) == before
        await run(users, statement(TWO))
        assert len(server.executed) == before + 3


async def test_only_the_settings_that_the_user_may_change_are_sent() -> None:
    server = Server()
    async with serving(server) as users:
        await run(users, statement(ONE))
        user, parameters, text = server.asked[-1]
        assert (user, text) == (user_of(ONE), "SELECT 1")
        assert parameters == {
            "limit": "101",
            "session_timezone": "Europe/Berlin",
            "max_execution_time": "30",
            "database": "default",
            "query_id": "q",
            "default_format": "TSV",
        }
        assert "additional_table_filters" not in "".join(server.executed)
        assert all("max_memory_usage = 1073741824 CONST" in each for each in server.executed if " USER " in each)


async def test_no_connection_serves_two_statements() -> None:
    server = Server()
    async with serving(server) as users:
        for workspace in (ONE, TWO, ONE, TWO):
            await run(users, statement(workspace))
        ends = [end for _, end in server.connections]
        assert len(ends) == 6
        assert len(set(ends)) == len(ends)
        assert {user for user, _ in server.connections} == {user_of(ONE), user_of(TWO)}


async def test_a_user_is_changed_with_its_workspace_s_limits() -> None:
    server = Server()
    async with serving(server) as users:
        await run(users, statement(ONE))
        server.executed.clear()
        await run(users, statement(ONE, max_memory_usage=1_000_000))
        assert [each.split(maxsplit=1)[0] for each in server.executed] == ["CREATE", "ALTER", "GRANT"]
        assert "max_memory_usage = 1000000 CONST" in server.executed[1]


async def test_a_user_that_was_taken_away_is_made_again() -> None:
    server = Server()
    async with serving(server) as users:
        await run(users, statement(ONE))
        server.forget(user_of(ONE))
        assert await run(users, statement(ONE)) == b"rows\n"


async def test_a_user_that_sees_rows_of_others_runs_nothing() -> None:
    server = Server(foreign=b"1\n")
    async with serving(server) as users:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await run(users, statement(ONE))
        assert all("workspace_id !=" in text for _, _, text in server.asked)


async def test_many_first_statements_make_the_user_once() -> None:
    server = Server()
    async with serving(server) as users:
        await asyncio.gather(*(run(users, statement(workspace)) for workspace in (ONE, TWO) * 10))
        assert sum(each.startswith("CREATE USER") for each in server.executed) == 2
        assert sum(each.startswith("CREATE ROLE") for each in server.executed) == 1


@pytest.mark.parametrize("refuses", ["CREATE ROLE", "CREATE USER", "GRANT SELECT"])
async def test_an_administrator_who_may_not_make_users_is_an_outage(refuses: str) -> None:
    server = Server(refuses=refuses)
    async with serving(server) as users:
        with pytest.raises(Unavailable):
            await run(users, statement(ONE))
        assert server.asked == []
        server.refuses = ""
        assert await run(users, statement(ONE)) == b"rows\n"


async def test_without_a_secret_there_are_no_users() -> None:
    server = Server()
    async with serving(server, clickhouse_sql_secret="") as users:
        with pytest.raises(Unavailable):
            await run(users, statement(ONE))
        assert server.executed == []


async def test_another_secret_gives_the_user_another_password() -> None:
    server = Server()
    async with serving(server) as users:
        await run(users, statement(ONE))
    async with serving(server, clickhouse_sql_secret="t" * 32) as users:
        assert await run(users, statement(ONE)) == b"rows\n"
    assert password_of(ONE, SECRET) != password_of(ONE, "t" * 32)
