"""Retention on small histories with known answers, refusals, CSV, and the actors behind cells."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.api import Api

DAY = 86_400_000
FIRST = round(datetime(2026, 3, 2, tzinfo=UTC).timestamp() * 1000)
"""A Monday."""


def event(number: int, who: str, day: float, name: str = "buy", **more: Any) -> dict[str, Any]:
    timestamp = FIRST + round(day * DAY)
    return {
        "table": "track",
        "message_id": f"m{number}",
        "user_id": who,
        "timestamp": timestamp,
        "received_at": timestamp,
        "event": name,
        **more,
    }


def history(*events: tuple[Any, ...], **properties: Any) -> list[dict[str, Any]]:
    return [
        event(number, *one[:3], **({"properties": one[3]} if len(one) > 3 else {})) for number, one in enumerate(events)
    ]


WEEK: dict[str, Any] = {
    "start": {"names": ["visit"]},
    "return": {"names": ["buy"]},
    "period": "day",
    "periods": 3,
    "from": "2026-03-02",
    "to": "2026-03-05",
    "as_of": "2026-03-20",
}


async def ask(api: Api, **changes: Any) -> Any:
    body = {key: value for key, value in (WEEK | changes).items() if value is not None}
    answer = await api.call("/query/retention", body)
    assert answer.status == 200, (answer.body, body)
    return answer.json


def counts(answer: Any, group: int = 0) -> list[list[int | None]]:
    return [row["counts"] for row in answer["data"][group]["rows"]]


SHOP = history(
    ("ann", 0.5, "visit"),
    ("ann", 1.2, "buy"),
    ("ann", 1.3, "buy"),
    ("ann", 2.9, "buy"),
    ("bob", 0.1, "visit"),
    ("bob", 1.0, "visit"),
    ("bob", 3.0, "buy"),
    ("eve", 2.0, "visit"),
    ("eve", 2.5, "buy"),
    ("eve", 8.0, "buy"),
)


async def test_each_cell_counts_who_returns_in_its_period(api: Api) -> None:
    await api.write(SHOP)
    answer = await ask(api)
    assert counts(answer) == [[2, 1, 1], [1, 0, 1], [1, 0, 0]]
    assert [row["size"] for row in answer["data"][0]["rows"]] == [2, 1, 1]
    assert answer["data"][0]["rows"][0]["rates"] == [1.0, 0.5, 0.5]
    assert answer["data"][0]["mean"] == [1.0, 0.25, 0.5]
    assert answer["data"][0]["median"] == [1.0, 0.0, 0.5]
    assert answer["columns"] == [{"first": k, "last": k} for k in range(3)]


async def test_first_time_cohorts_hold_an_actor_once(api: Api) -> None:
    await api.write(SHOP)
    assert counts(await ask(api, cohorts="first_time")) == [[2, 1, 1], [0, 0, 0], [1, 0, 0]]


async def test_on_or_after_counts_later_returns_too_beyond_the_last_column(api: Api) -> None:
    await api.write(SHOP)
    answer = await ask(api, on_or_after=True)
    assert counts(answer) == [[2, 2, 2], [1, 1, 1], [1, 1, 1]]
    assert answer["columns"][1] == {"first": 1, "last": None}


async def test_occurrences_are_counted_within_one_cell(api: Api) -> None:
    await api.write([*SHOP, SHOP[1] | {"received_at": SHOP[1]["received_at"] + 5}])
    assert counts(await ask(api, min_occurrences=2)) == [[2, 1, 0], [1, 0, 0], [1, 0, 0]]
    assert counts(await ask(api, min_occurrences=3, brackets=[2], periods=None)) == [[2, 1], [1, 0], [1, 0]]


async def test_rolling_cells_are_counted_from_each_actors_anchor(api: Api) -> None:
    await api.write(SHOP)
    assert counts(await ask(api, cells="rolling")) == [[2, 0, 2], [1, 0, 1], [1, 0, 0]]


async def test_brackets_are_several_periods(api: Api) -> None:
    await api.write(SHOP)
    answer = await ask(api, brackets=[1, 5], periods=None)
    assert answer["columns"] == [{"first": 0, "last": 0}, {"first": 1, "last": 1}, {"first": 2, "last": 6}]
    assert counts(answer) == [[2, 1, 2], [1, 0, 1], [1, 0, 1]]
