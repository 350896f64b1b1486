"""Random histories and requests over HTTP: figures, groups, intervals, lists and actors are what the oracle says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
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
from tests.oracle import series
from tests.oracle import session as oracle
from tests.oracle.events import Event
from tests.oracle.histories import history
from tests.oracle.session import Session
from tests.platform import Platform

ZONES = (
    ("UTC", datetime(2024, 2, 20, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2024, 3, 25, tzinfo=UTC)),
    ("America/New_York", datetime(2024, 10, 29, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2024, 4, 1, tzinfo=UTC)),
)
PARTS: tuple[Any, ...] = (
    "entry_page",
    "exit_page",
    "context.locale",
    "properties.x",
    "event",
    {"kind": "buckets", "field": "properties.n", "bounds": [1, 2.5, 100]},
)
KEYS = ("actor", "actor", "actor", "user_id", "anonymous_id", "context.groupId")
WHERE = (
    {"op": "exists", "field": "properties.n"},
    {"op": "neq", "field": "context.locale", "value": "de"},
    {"op": "in", "field": "user_id", "value": ["h1-u0", "h2-u0", "h2-u1", "h3-u2", ""]},
)


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def crowd(rng: Random, zone: str, first: datetime) -> list[Event]:
    """Histories of the same days: some of a few hours, where sessions are long, some of a week."""
    return [
        event
        for number in range(40)
        for event in history(
            rng,
            people=rng.choice((1, 2, 3)),
            events=rng.choice((3, 12, 24)),
            start=first + timedelta(hours=rng.randrange(72)),
            days=rng.choice((0.1, 0.5, 2, 7)),
            zone=zone,
            tables=("track", "track", "page", "page", "identify", "group"),
            prefix=f"h{number}-",
        )
    ]


def request(rng: Random, zone: str, first: datetime) -> tuple[dict[str, Any], datetime, datetime]:
    start = first + timedelta(minutes=rng.randrange(-1440, 3 * 1440), milliseconds=rng.choice((0, 0, 1)))
    end = start + timedelta(minutes=rng.choice((rng.randrange(1440), rng.randrange(10 * 1440))))
    body: dict[str, Any] = {
        "table": rng.choice((["track", "page"], ["track", "page"], "any", "page")),
        "timeout": rng.choice((1, 60, 1_800, 3_600, 6 * 3_600, 86_400, 31_622_400)),
        "max_duration": rng.choice((60, 3_600, 7_200, 86_400, 86_400)),
        "from": start.isoformat(),
        "to": end.isoformat(),
        "timezone": zone,
        "week_start": rng.choice(("monday", "sunday")),
        "analyse_by": rng.choice(KEYS),
    }
    if rng.random() < 0.6:
        body["interval"] = rng.choice(("hour", "day", "day", "week", "month"))
    if rng.random() < 0.4:
        body["where"] = rng.choice(WHERE)
    if rng.random() < 0.6:
        parts = rng.sample([part for part in PARTS if part != "event" or body["table"] != "page"], rng.choice((1, 2)))
        body["breakdown"] = {"by": parts, "limit": rng.choice((1, 3, 25))}
    return body, start, end


def check_figures(found: Mapping[str, Any], expected: Sequence[Session], why: Any) -> None:
    for name, wanted in oracle.figures(expected).items():
        exact = wanted is None or isinstance(wanted, int)
        assert found[name] == (wanted if exact else pytest.approx(wanted, rel=1e-9, abs=1e-9)), (name, why)


def shown(session: Session) -> dict[str, Any]:
    """A session as the list shows it."""
    actor = None if isinstance(session.key, str) else {"kind": session.key[0], "id": session.key[1]}
    return {
        "actor": actor,
        "key": session.key if isinstance(session.key, str) else None,
        "start": oracle.stamp(session.start),
        "end": oracle.stamp(session.end),
        "events": len(session.events),
        "seconds": session.seconds,
        "entry_page": oracle.page(session, False),
        "exit_page": oracle.page(session, True),
    }


def comparable(session: Mapping[str, Any]) -> tuple[Any, ...]:
    moments = [datetime.fromisoformat(session[name]) for name in ("start", "end")]
    rest = [value for name, value in session.items() if name not in ("start", "end", "actor")]
    actor = session["actor"] and (session["actor"]["kind"], session["actor"]["id"])
    return tuple(map(str, (*moments, actor, *rest)))


async def every_session(api: Api, workspace: UUID, body: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = []
    cursor = None
    while True:
        asked = {**body, "limit": limit, **({"cursor": cursor} if cursor else {})}
        page = await ask(api, workspace, "/query/session/list", asked)
        listed += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            assert page["total"] == len(listed), body
            return listed


async def check_lists(
    api: Api, workspace: UUID, rng: Random, selection: dict[str, Any], expected: Sequence[Session]
) -> None:
    actors = await everyone(api, workspace, "/query/session/actors", selection, limit=rng.choice((30, 1_000)))
    assert {key_of(entry) for entry in actors} == {session.key for session in expected}, selection
    order = rng.choice(("newest", "oldest"))
    limit = max(len(expected) // 3, 1) if rng.random() < 0.5 else 10_000
    listed = await every_session(api, workspace, {**selection, "order": order}, limit)
    starts = [datetime.fromisoformat(one["start"]) for one in listed]
    assert starts == sorted(starts, reverse=order == "newest"), selection
    assert sorted(map(comparable, listed)) == sorted(comparable(shown(session)) for session in expected), selection


@pytest.mark.timeout(300)
@settings(max_examples=3, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
async def test_answers_are_what_the_definition_says(platform: Platform, http: aiohttp.ClientSession, seed: int) -> None:
    rng = Random(seed)
    workspace = uuid4()
    api = Api(platform.settings, platform.url, workspace, http)
    zone, first = rng.choice(ZONES)
    events = crowd(rng, zone, first)
    await write_many(api, {workspace: events})
    pairs = {by: series.keyed(events, workspace, by) for by in KEYS}
    for _ in range(8):
        body, start, end = request(rng, zone, first)
        expected = oracle.of_request(body, pairs[body["analyse_by"]], start=start, end=end, as_of=end)
        answer = await ask(api, workspace, "/query/session", body)
        groups: list[tuple[Any, list[Session]]] = [(None, expected)]
        if "breakdown" in body:
            groups = oracle.ranked(expected, body["breakdown"]["by"], body["breakdown"]["limit"])
            wanted = [
                {"values": [], "other": True} if values is None else {"values": list(values), "other": False}
                for values, _ in groups
            ]
            assert [one["group"] for one in answer["data"]] == wanted, body
        spans = None
        if "interval" in body:
            spans = oracle.intervals(start, end, body["interval"], zone, body["week_start"])
        for found, (_, sessions) in zip(answer["data"], groups, strict=True):
            check_figures(found, sessions, body)
            assert (found["series"] is None) == (spans is None), body
            for point, span in zip(found["series"] or (), spans or (), strict=True):
                assert datetime.fromisoformat(point["start"]) == span[0], body
                check_figures(point, oracle.in_interval(sessions, span), (point["start"], body))
        selection: dict[str, Any] = {"query": body}
        chosen = expected
        if "breakdown" in body and answer["data"] and rng.random() < 0.7:
            number = rng.randrange(len(groups))
            selection["group"], chosen = answer["data"][number]["group"], groups[number][1]
        if spans and rng.random() < 0.5:
            span = rng.choice(spans)
            selection["interval"], chosen = span[0].isoformat(), oracle.in_interval(chosen, span)
        await check_lists(api, workspace, rng, selection, chosen)
