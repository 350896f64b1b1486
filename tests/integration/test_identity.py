"""The SQL of identity against the brute-force definition, on random small histories."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.common import TABLES, Actor
from services.kit import identity, sql
from services.kit.clickhouse import ClickHouse
from services.kit.settings import Settings
from tests.oracle import identity as oracle
from tests.oracle.identity import Event, Person

IDS = st.sampled_from(["", "x", "y", "Z", "é", "null", "anonymous", "00000000-0000-0000-0000-000000000000"])
"""Few, so that histories tie, share devices, and use one text as user and anonymous id; some of them blocked."""
MOMENTS = st.integers(0, 4).map(lambda days: datetime(2024, 1, 30, tzinfo=UTC) + timedelta(days=days, milliseconds=7))


@dataclass(frozen=True)
class History:
    """What happened in one workspace; the rows in order of arrival, some twice."""

    workspace: UUID
    rows: list[Event]
    merges: dict[Person, Person]
    undone: list[Person]


@st.composite
def histories(draw: st.DrawFn) -> History:
    rows = [
        Event(draw(st.sampled_from(TABLES)), f"m{number}", draw(IDS), draw(IDS), draw(MOMENTS))
        for number in range(draw(st.integers(1, 12)))
    ]
    people = draw(st.permutations([(kind, id) for kind in ("user", "anonymous") for id in ("x", "y", "Z", "é")]))
    merges = {
        people[loser]: people[draw(st.integers(loser + 1, len(people) - 1))]
        for loser in draw(st.sets(st.integers(0, len(people) - 2), max_size=4))
    }
    undone = draw(st.lists(st.sampled_from(people), max_size=2, unique=True))
    repeats = draw(st.lists(st.sampled_from(rows), max_size=3))
    return History(
        workspace=uuid4(),
        rows=draw(st.permutations(rows + repeats)),
        merges={loser: winner for loser, winner in merges.items() if loser not in undone},
        undone=undone,
    )


@pytest.fixture(scope="module")
async def clickhouse(infra: Settings) -> AsyncIterator[ClickHouse]:
    handle = ClickHouse(infra.clickhouse_url, infra.clickhouse_http_url, size=2)
    await handle.start()
    yield handle
    await handle.close()


async def write(clickhouse: ClickHouse, given_histories: Sequence[History]) -> None:
    """Write all rows, in two inserts a table so that the parts overlap, and all merges."""
    rows: dict[tuple[str, int], list[list[Any]]] = defaultdict(list)
    merges = []
    for history in given_histories:
        for place, event in enumerate(history.rows):
            received = event.timestamp + timedelta(seconds=place)
            rows[event.table, place % 2].append(
                [history.workspace, event.message_id, event.user_id, event.anonymous_id, event.timestamp, received]
            )
        for loser in history.undone:
            merges += [_merge(history.workspace, loser, ("user", "x"), undone, undone + 1) for undone in (0, 1)]
        merges += [_merge(history.workspace, loser, winner, 0, 1) for loser, winner in history.merges.items()]
    columns = ["workspace_id", "message_id", "user_id", "anonymous_id", "timestamp", "received_at"]
    for (table, _), values in rows.items():
        await clickhouse.insert(f"cdp.events_{table}", columns, list(zip(*values, strict=True)))
    if merges:
        names = ["workspace_id", "loser_key", "winner_key", "winner_kind", "winner_id", "undone", "version"]
        await clickhouse.insert("cdp.identity_merges", names, list(zip(*merges, strict=True)))
    await identity.reload_identity(clickhouse)


def _merge(workspace: UUID, loser: Person, winner: Person, undone: int, version: int) -> list[Any]:
    keys = [identity.actor_key_of(workspace, *person) for person in (loser, winner)]
    return [workspace, *keys, winner[0], winner[1], undone, version]


async def read(clickhouse: ClickHouse, given_histories: Sequence[History], expressions: str) -> list[tuple[Any, ...]]:
    """Return (workspace, table, message id, …) of every row, duplicates too."""
    workspaces = ", ".join(sql.uuid(history.workspace) for history in given_histories)
    parts = [
        f"SELECT workspace_id, '{table}', message_id, {expressions} FROM cdp.events_{table} "
        f"WHERE workspace_id IN ({workspaces})"
        for table in TABLES
    ]
    result = await clickhouse.query(" UNION ALL ".join(parts), query_id=uuid4().hex, timeout=20)
    return list(result.rows())


def expected(given_histories: Sequence[History]) -> Mapping[tuple[UUID, str, str], Person | None]:
    return {
        (history.workspace, *place): person
        for history in given_histories
        for place, person in oracle.actors(history.workspace, history.rows, history.merges).items()
    }


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(given_histories=st.lists(histories(), min_size=4, max_size=10))
async def test_every_event_belongs_to_the_actor_that_the_definition_says(
    clickhouse: ClickHouse, given_histories: list[History]
) -> None:
    await write(clickhouse, given_histories)
    columns = identity.actor_columns()
    rows = await read(clickhouse, given_histories, f"{identity.resolved_key()}, {columns.kind}, {columns.id}")
    persons = expected(given_histories)
    assert len(rows) >= len(persons)
    for workspace, table, message_id, key, kind, id_ in rows:
        person = persons[workspace, table.decode(), message_id.decode()]
        assert (kind.decode(), id_.decode()) == (person or ("", ""))
        assert key == (identity.actor_key_of(workspace, *person) if person else identity.NOBODY)


async def test_a_circle_that_links_close_is_one_person(clickhouse: ClickHouse) -> None:
    day = datetime(2024, 1, 1, tzinfo=UTC)
    rows = [Event("track", f"{user}{anonymous}", user, anonymous, day) for user, anonymous in ("ua", "vb", "wc")]
    rows += [Event("page", anonymous, "", anonymous, day) for anonymous in "abc"]
    merges: dict[Person, Person] = {
        ("user", "u"): ("anonymous", "b"),
        ("user", "v"): ("anonymous", "a"),
        ("user", "w"): ("anonymous", "c"),
    }
    history = History(uuid4(), rows, merges, [])
    await write(clickhouse, [history])
    found = await read(clickhouse, [history], ", ".join(identity.actor_columns()))
    persons = expected([history])
    assert {(kind.decode(), id_.decode()) for *_, kind, id_ in found} == set(persons.values())
    assert len(set(persons.values())) == 2
    for workspace, table, message_id, kind, id_ in found:
        assert (kind.decode(), id_.decode()) == persons[workspace, table.decode(), message_id.decode()]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(history=histories(), asked=st.lists(st.tuples(st.sampled_from(["user", "anonymous"]), IDS), max_size=3))
async def test_events_of_actors_are_those_that_resolve_to_the_same_person(
    clickhouse: ClickHouse, history: History, asked: list[Person]
) -> None:
    await write(clickhouse, [history])
    condition = identity.is_any_of(history.workspace, [Actor(kind=kind, id=id) for kind, id in asked if id])
    rows = await read(clickhouse, [history], condition)
    links = oracle.first_links(history.rows)
    people = {
        oracle.resolve(history.workspace, person, links, history.merges) for person in asked if oracle.known(person[1])
    }
    persons = expected([history])
    for workspace, table, message_id, belongs in rows:
        assert bool(belongs) == (persons[workspace, table.decode(), message_id.decode()] in people)
