"""Small histories that random ones led to, answered on paper: the service and the oracle both agree."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from tests.analyses import ask, write_many
from tests.api import Api
from tests.oracle import funnel_answer
from tests.oracle.events import Event
from tests.oracle.funnel_samples import World, settled

BEGIN = datetime(2024, 3, 1, tzinfo=UTC)


class Case(NamedTuple):
    """`events`: of the user u, each (table, name, seconds, message id, properties); `counts`: of each group in turn."""

    says: str
    events: tuple[tuple[str, str, float, str, dict[str, Any]], ...]
    request: dict[str, Any]
    counts: list[list[int]]


CASES = (
    Case(
        "of events that share time and message id the first is that of the table whose name is first",
        (("track", "c", 5, "m", {}), ("page", "c", 5, "m", {})),
        {"steps": [{"names": [], "table": "any", "occurrence": "first"}, {"names": ["c"], "table": "page"}]},
        # The first of all is the page: nothing is left for step 2.
        [[1, 0]],
    ),
)


def sent(case: Case) -> list[Event]:
    found = []
    for table, name, seconds, message_id, properties in case.events:
        at = round(BEGIN.timestamp() * 1000 + seconds * 1000)
        found.append(
            {
                "table": table, "message_id": message_id, "user_id": "u", "anonymous_id": "", "timestamp": at,
                "received_at": at, "event": name, "name": name, "group_id": "", "properties": properties,
                "traits": {}, "context": {},
            }
        )  # fmt: skip
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
async def test_cases_that_were_once_wrong_are_right(api: Api, case: Case) -> None:
    request = {"from": "2024-03-01", "to": "2024-03-02", "as_of": "2024-03-10T00:00:00+00:00"} | case.request
    world = World(
        workspace=api.workspace, zone="UTC", start=BEGIN, events=sent(case), settings={"week_start": "monday"}
    )
    expected = funnel_answer.data(settled(request, world))
    assert [[step["count"] for step in group["steps"]] for group in expected] == case.counts
    await write_many(api, {api.workspace: world.events})
    assert (await ask(api, api.workspace, "/query/funnel", request))["data"] == expected


@pytest.mark.parametrize("order", ["ordered", "strict", "any"])
@pytest.mark.parametrize("times", [False, True])
async def test_simultaneous_events_serve_as_many_steps_as_there_are_of_them(api: Api, order: str, times: bool) -> None:
    """Too many choices for the oracle: every order of them is one."""
    together = [
        ("track", name, 5, f"{name}{number}", {}) for name, count in (("a", 10), ("b", 9)) for number in range(count)
    ]
    apart = [("track", "ab"[number % 2], 100 + number, f"later{number}", {}) for number in range(20)]
    request = {
        "from": "2024-03-01", "to": "2024-03-02", "as_of": "2024-03-10T00:00:00Z", "window": 60, "order": order,
        "times": times, "steps": [{"names": [name]} for name in "ab" * 10],
    }  # fmt: skip
    await write_many(api, {api.workspace: sent(Case("", tuple(together), {}, []))})
    (whole,) = (await ask(api, api.workspace, "/query/funnel", request))["data"]
    assert [step["count"] for step in whole["steps"]] == [1] * 19 + [0]
    await write_many(api, {api.workspace: sent(Case("", tuple(apart), {}, []))})
    (whole,) = (await ask(api, api.workspace, "/query/funnel", request | {"window": 61}))["data"]
    assert [step["count"] for step in whole["steps"]] == [1] * 20
    if times:
        assert whole["steps"][-1]["seconds_from_first"] == {"mean": 19, "median": 19, "p90": 19}
