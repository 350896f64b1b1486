"""Random histories and requests over HTTP: nodes, edges and actors are what the oracle says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.analyses import ask, everyone, key_of, write_many
from tests.api import Api
from tests.oracle import paths as oracle
from tests.oracle import series
from tests.oracle import session as sessions
from tests.oracle.events import Event
from tests.oracle.histories import history
from tests.oracle.paths import Path
from tests.platform import Platform

FIRST = datetime(2024, 3, 25, tzinfo=UTC)
KEYS = ("actor", "actor", "session", "user_id", "anonymous_id")
NAMES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def crowd(rng: Random) -> list[Event]:
    return [
        event
        for number in range(40)
        for event in history(
            rng,
            people=rng.choice((1, 2)),
            events=rng.choice((6, 16, 30)),
            names=rng.choice((NAMES, NAMES[:2])),
            start=FIRST + timedelta(hours=rng.randrange(24)),
            days=rng.choice((0.05, 0.2, 1)),
            tables=("track", "track", "page", "page", "identify"),
            prefix=f"h{number}-",
        )
    ]


def request(rng: Random) -> tuple[dict[str, Any], datetime, datetime]:
    start = FIRST + timedelta(minutes=rng.randrange(-60, 600))
    end = start + timedelta(minutes=rng.choice((rng.randrange(600), 3 * 1440)))
    body: dict[str, Any] = {
        "from": start.isoformat(),
        "to": end.isoformat(),
        "as_of": end.isoformat(),
        "table": rng.choice((["track", "page"], ["track", "page"], "page", "track", "any")),
        "page": rng.choice(("name", "name", "path", "properties.x")),
        "timeout": rng.choice((600, 1_800, 6 * 3_600, 86_400)),
        "max_duration": rng.choice((3_600, 86_400)),
        "positions": rng.choice((2, 3, 5, 10)),
        "limit": rng.choice((1, 4, 50, 1_000)),
        "analyse_by": rng.choice(KEYS),
    }
    if rng.random() < 0.3:
        body["names"] = rng.sample(NAMES, 3)
    if rng.random() < 0.3:
        body["exclude"] = rng.sample((*NAMES, "/cart", "identify"), 2)
    if rng.random() < 0.5:
        kept = [one for one in body.get("names", (*NAMES, "/")) if one not in body.get("exclude", ())]
        body[rng.choice(("start", "end"))] = rng.choice(kept)
    if rng.random() < 0.3:
        body["where"] = {"op": "neq", "field": "context.locale", "value": "de"}
    return body, start, end


def whose(paths: Sequence[Path]) -> set[Any]:
    return {one.who for one in paths}


def check(answer: Any, body: dict[str, Any], paths: Sequence[Path]) -> None:
    assert (answer["sessions"], answer["actors"]) == (len(paths), len(whose(paths))), body
    ranked = oracle.edges(paths)
    shown = ranked[: body["limit"]]
    assert [(one["position"], one["from"], one["to"]) for one in answer["edges"]] == [edge for edge, _ in shown], body
    assert answer["truncated"] == (len(ranked) > len(shown)), body
    for one, (edge, along) in zip(answer["edges"], shown, strict=True):
        assert (one["count"], one["actors"]) == (len(along), len(whose(along))), (edge, body)
        assert one["mean_seconds"] == pytest.approx(oracle.seconds(along, edge[0])), (edge, body)
    found = {(one["position"], one["name"]): one for one in answer["nodes"]}
    assert len(found) == len(answer["nodes"])
    assert found.keys() == oracle.nodes(body, paths, [edge for edge, _ in shown]), body
    for node, one in found.items():
        through, left = oracle.through(paths, node), oracle.dropped(body, paths, node)
        assert (one["count"], one["actors"]) == (len(through), len(whose(through))), (node, body)
        expected = (None, None) if left is None else (len(left), len(whose(left)))
        assert (one["dropped"], one["dropped_actors"]) == expected, (node, body)


async def check_actors(
    api: Api, workspace: UUID, rng: Random, body: dict[str, Any], answer: Any, paths: Sequence[Path]
) -> None:
    chosen: list[tuple[dict[str, Any], Sequence[Path]]] = []
    if answer["edges"]:
        edge = rng.choice(answer["edges"])
        place = (edge["position"], edge["from"], edge["to"])
        of = {"kind": "edge", "position": place[0], "from": place[1], "to": place[2]}
        chosen.append((of, oracle.along(paths, place)))
    if answer["nodes"]:
        node = rng.choice(answer["nodes"])
        at = (node["position"], node["name"])
        left = oracle.dropped(body, paths, at)
        asked = {"kind": "node", "position": at[0], "name": at[1]}
        chosen.append((asked, oracle.through(paths, at)) if left is None else (asked | {"dropped": True}, left))
    for of, expected in chosen:
        listed = await everyone(api, workspace, "/query/paths/actors", {"query": body, "of": of})
        assert {key_of(entry) for entry in listed} == whose(expected), (of, body)


@pytest.mark.timeout(300)
@settings(max_examples=3, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
async def test_answers_are_what_the_definition_says(platform: Platform, http: aiohttp.ClientSession, seed: int) -> None:
    rng = Random(seed)
    workspace = uuid4()
    api = Api(platform.settings, platform.url, workspace, http)
    events = crowd(rng)
    await write_many(api, {workspace: events})
    pairs = {by: series.keyed(events, workspace, by) for by in KEYS if by != "session"}
    for _ in range(8):
        body, start, end = request(rng)
        by = "actor" if body["analyse_by"] == "session" else body["analyse_by"]
        found = sessions.of_request(body, pairs[by], start=start, end=end, as_of=end)
        paths = [one for one in (oracle.path(body, session) for session in found) if one is not None]
        answer = await ask(api, workspace, "/query/paths", body)
        check(answer, body, paths)
        await check_actors(api, workspace, rng, body, answer, paths)
