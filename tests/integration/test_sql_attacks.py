"""No statement shows a row of another workspace, a file, a fact of the server, or reaches the network or writes.

Every answer and every error is searched for canaries: of the other workspace, of a file, of the server. Each wall is
then left to hold alone.
"""

from __future__ import annotations

import asyncio
import platform as machine
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest

from contracts.errors import CdpError, InvalidRequest
from services.kit.clickhouse import ClickHouseError
from services.kit.settings import Settings
from services.kit.statements import limits
from services.query.resources import Resources
from services.query.sql.engine import settings_of
from services.query.sql.engine_check import check_ast, check_tree
from services.query.sql.prepare import prepare
from services.query.sql.rewrite import Rewritten
from tests.api import insert
from tests.custom_sql import ask, resources_of
from tests.integration.test_query_events import event
from tests.oracle.sql_attacks import ENDLESS, attacks

pytestmark = pytest.mark.timeout(600)
FORMAT = "JSONCompactEachRowWithNamesAndTypes"
GRAMMAR = 500
"""Statements drawn from the grammar, besides the plain ones."""


@dataclass
class Range:
    """Two workspaces, a file, a port that counts who connects."""

    resources: Resources
    workspace: UUID
    other: UUID
    file: Path
    port: int
    connected: list[object] = field(default_factory=list)

    def statements(self, sample: int = GRAMMAR, seed: int = 1) -> Iterator[str]:
        for text in attacks(sample, seed):
            for name, value in (("{other}", self.other), ("{file}", self.file), ("{port}", self.port)):
                text = text.replace(name, str(value))
            yield text.replace("{{", "{").replace("}}", "}")

    def look(self, statement: str, answer: bytes) -> None:
        """Find nothing that the workspace must not know."""
        for canary in (
            b"CANARY-OTHER",
            b"CANARY-FILE",
            b"26.9",
            machine.node().encode(),
            b"DB::",
            b"__table",
            b"/store",
        ):
            assert canary not in answer, (statement, answer[:500])
        assert self.other.hex.encode() not in answer.replace(b"-", b""), (statement, answer[:500])


@pytest.fixture(scope="module")
async def field_(infra: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Range]:
    file = tmp_path_factory.mktemp("canary") / "secret"
    file.write_text("CANARY-FILE\n")
    workspace, other = uuid.uuid4(), uuid.uuid4()
    mine, theirs = (
        [
            event(1, event=name, user_id=name, anonymous_id=f"{name}-a", properties={"p": name}),
            event(2, table="page", name=name, user_id=name),
            event(3, table="identify", user_id=name, traits={"t": name}),
            event(4, table="group", user_id=name, group_id=name),
        ]
        for name in ("CANARY-OWN", "CANARY-OTHER")
    )
    async with resources_of(infra) as resources, aiohttp.ClientSession() as http:
        await insert(infra, http, {workspace: mine, other: theirs})
        found = Range(resources, workspace, other, file, 0)
        server = await asyncio.start_server(lambda *streams: found.connected.append(streams), "127.0.0.1", 0)
        found.port = server.sockets[0].getsockname()[1]
        before = await _counts(resources)
        yield found
        assert await _counts(resources) == before
        assert found.connected == []
        assert [path.name for path in file.parent.iterdir()] == ["secret"]
        server.close()


async def _counts(resources: Resources) -> object:
    tables = ("track", "identify", "page", "group")
    statement = "SELECT " + ", ".join(f"(SELECT count() FROM cdp.events_{name})" for name in tables)
    result = await resources.clickhouse.query(statement, query_id=uuid.uuid4().hex, timeout=20)
    return result.data


async def test_the_canaries_are_there_to_be_found(field_: Range) -> None:
    answer = await ask(field_.resources, field_.workspace, "SELECT event, user_id, actor, properties FROM events_track")
    assert answer.body.count(b"CANARY-OWN") == 4
    answer = await ask(field_.resources, field_.other, "SELECT event, user_id, actor, properties FROM events_track")
    assert answer.body.count(b"CANARY-OTHER") == 4


async def test_nothing_is_found_by_any_attack(field_: Range) -> None:
    statements = list(field_.statements())
    assert len(set(statements)) >= 300
    taken = 0
    for statement in statements:
        answer = await ask(field_.resources, field_.workspace, statement, parameters={}, seconds=15)
        assert answer.status in (200, 400), (statement, answer)
        taken += answer.status == 200
        field_.look(statement, answer.body)
    assert taken < len(statements) / 10


async def test_rewriting_holds_alone(field_: Range) -> None:
    """Without the engine's second reading, and as a user who may read everything."""
    for statement in field_.statements(sample=1_500, seed=2):
        try:
            written = prepare(statement, field_.workspace, None, {})
        except InvalidRequest as error:
            field_.look(statement, str(error.errors).encode())
            continue
        body = await _run(field_.resources, written.sql, {"readonly": 1, "max_execution_time": 10})
        field_.look(statement, body or b"")


async def test_the_engine_s_reading_holds_alone(field_: Range) -> None:
    """The text as it was sent, explained and run by a user who may read everything."""
    nothing = Rewritten("", frozenset(), frozenset(("numbers",)), 0)
    for statement in field_.statements(sample=150, seed=3):
        if not await _is_read_alike(field_.resources, statement, nothing):
            continue
        body = await _run(field_.resources, statement, {"readonly": 1, "max_execution_time": 5, "limit": 10})
        field_.look(statement, body or b"")


async def _is_read_alike(resources: Resources, statement: str, expected: Rewritten) -> bool:
    for what, check in (("AST", check_ast), ("QUERY TREE", check_tree)):
        text = f"EXPLAIN {what} {statement}"
        body = await _run(resources, text, {"readonly": 1, "max_execution_time": 5}, "TSVRaw")
        if body is None:
            return False
        try:
            check(body.decode(errors="replace").splitlines(), expected)
        except InvalidRequest:
            return False
    return True


async def _run(
    resources: Resources, statement: str, settings: dict[str, object], format_: str = FORMAT
) -> bytes | None:
    """Run a statement as the service's own user, who may read everything; None when it is refused."""
    opened = resources.clickhouse.http_stream(
        statement, format_, settings=settings, query_id=uuid.uuid4().hex, timeout=15
    )
    try:
        async with opened as stream:
            return b"".join([chunk async for chunk in stream])
    except (ClickHouseError, CdpError):
        return None


async def test_the_engine_s_user_holds_alone(field_: Range) -> None:
    """The text as it was sent, run by the user of custom SQL: its tables, its functions, the tenant's filter."""
    settings = settings_of(limits(field_.resources.settings), field_.workspace, "UTC", 5, 100)
    foreign = (b"CANARY-OTHER", b"CANARY-FILE")
    for statement in (each for each in field_.statements(sample=300, seed=4) if not ENDLESS.search(each)):
        for text in {statement, statement.replace("FROM events_", "FROM cdp.events_")}:
            opened = field_.resources.sql.stream(
                text, FORMAT, workspace=field_.workspace, settings=settings, query_id=uuid.uuid4().hex, timeout=15
            )
            try:
                async with opened as stream:
                    body = b"".join([chunk async for chunk in stream])
            except (ClickHouseError, CdpError) as error:
                body = str(error).encode()
            for canary in foreign:
                assert canary not in body, (text, body[:500])


async def test_the_filter_of_the_tenant_holds_beneath_a_statement_without_one(field_: Range) -> None:
    settings = settings_of(limits(field_.resources.settings), field_.workspace, "UTC", 5, 100)
    for table in ("track", "identify", "page", "group"):
        text = f"SELECT count(), uniqExact(workspace_id), any(user_id) FROM cdp.events_{table}"
        opened = field_.resources.sql.stream(
            text, "TSV", workspace=field_.workspace, settings=settings, query_id=uuid.uuid4().hex, timeout=15
        )
        async with opened as stream:
            assert b"".join([chunk async for chunk in stream]) == b"1\t1\tCANARY-OWN\n"
