"""Counts of funnels whose steps share events, strict ones and exclusions, with and without simultaneous events, against
trying every choice of events."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tests.analyses import everyone
from tests.api import Api, stamp
from tests.oracle.events import Event
from tests.oracle.funnel_chains import Act, Rules, decide

T0 = 1_772_323_200_000
"""2026-03-01T00:00:00Z."""
PEOPLE, REQUESTS = 150, 20


def histories(rng: Random) -> dict[str, list[Event]]:
    """Return the events of some people, a third of them with simultaneous ones; some are sent twice."""
    found: dict[str, list[Event]] = {}
    for number in range(PEOPLE):
        count = rng.randint(1, 7)
        times = [rng.randint(0, 5) for _ in range(count)] if rng.random() < 0.3 else rng.sample(range(20), count)
        found[f"p{number}"] = [
            {
                "table": "track",
                "message_id": f"p{number}-{place}",
                "user_id": f"p{number}",
                "timestamp": T0 + at * 1_000,
                "received_at": T0 + place,
                "event": rng.choice("aabbccdx"),
                "properties": {},
            }
            for place, at in enumerate(times)
        ]
    return found


def random_request(rng: Random) -> dict[str, Any]:
    steps = rng.randint(2, 4)
    order = rng.choice(("ordered", "ordered", "strict"))
    exclusions = []
    for _ in range(rng.choice((0, 1, 2))):
        first = rng.randint(1, steps - 1)
        exclusions.append(
            {"names": [rng.choice("abcdx")], "from_step": first, "to_step": rng.randint(first + 1, steps)}
        )
    return {
        "steps": [{"names": sorted(rng.sample("abcd", rng.choice((1, 1, 2))))} for _ in range(steps)],
        "order": order,
        "exclusions": exclusions,
        "window": rng.choice((2, 5, 9, 20)),
        "from": "2026-03-01",
        "to": stamp(T0 + rng.choice((4, 10, 30)) * 1_000),
        "as_of": "2026-04-01",
    }


def depths(request: dict[str, Any], events: dict[str, list[Event]]) -> dict[str, int]:
    """Return how deep each person comes."""
    rules = Rules(
        steps=len(request["steps"]),
        window=request["window"] * 1_000,
        order=request["order"],
        exclusions=tuple((one["from_step"], one["to_step"]) for one in request["exclusions"]),
    )
    found = {}
    for person, own in events.items():
        acts = [
            Act(
                at=event["timestamp"],
                id=(event["message_id"].encode(), 0),
                serves=frozenset(
                    number for number, step in enumerate(request["steps"], 1) if event["event"] in step["names"]
                ),
                excludes=frozenset(
                    number for number, one in enumerate(request["exclusions"]) if event["event"] in one["names"]
                ),
                enters=stamp(event["timestamp"]) < request["to"],
            )
            for event in own
        ]
        chain = decide(sorted(acts, key=lambda act: act.place), rules)
        found[person] = 0 if chain is None else len(chain.acts)
    return found


@pytest.mark.parametrize("seed", [1, 2])
async def test_counts_are_those_of_the_best_chain_of_each(api: Api, seed: int) -> None:
    rng = Random(seed)
    events = histories(rng)
    sent = [event for own in events.values() for event in own]
    await api.write(sent + [event | {"received_at": T0 + 99} for event in sent if rng.random() < 0.1])
    for _ in range(REQUESTS):
        request = random_request(rng)
        reached = depths(request, events)
        answer = await api.call("/query/funnel", request)
        assert answer.status == 200, answer.body
        (whole,) = answer.json["data"]
        steps = range(1, len(request["steps"]) + 1)
        wanted = [sum(depth >= step for depth in reached.values()) for step in steps]
        assert [step["count"] for step in whole["steps"]] == wanted, request
        step = rng.choice(steps)
        dropped = step > 1 and rng.random() < 0.5
        body = {"query": request, "step": step, "dropped": dropped}
        listed = await everyone(api, api.workspace, "/query/funnel/actors", body)
        expected = {who for who, depth in reached.items() if (depth == step - 1 if dropped else depth >= step)}
        assert {one["actor"]["id"] for one in listed} == expected, body
