"""Trends over HTTP: hand-made cases with known answers, refusals, lists of actors, CSV, caching."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from tests.analyses import ask, asked, everyone
from tests.api import Api
from tests.oracle.events import Event

START = datetime(2024, 3, 4, tzinfo=UTC)  # a Monday
_numbers = count()


def at(
    day: float, name: str = "buy", user: str = "u", *, anonymous: str = "", table: str = "track", **properties: Any
) -> Event:
    """An event some days after START."""
    timestamp = round((START + timedelta(days=day)).timestamp() * 1000)
    return {
        "table": table,
        "message_id": f"m{next(_numbers)}",
        "user_id": user,
        "anonymous_id": anonymous,
        "timestamp": timestamp,
        "received_at": timestamp,
        "event": name,
        "name": name,
        "group_id": "",
        "properties": properties,
        "traits": {},
        "context": {},
    }


def body(*series: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"series": list(series), "from": "2024-03-04", "to": "2024-03-07", "as_of": "2024-06-01", **more}


async def answer(api: Api, *series: Mapping[str, Any], **more: Any) -> Any:
    return await ask(api, api.workspace, "/query/trends", body(*series, **more))


async def values(api: Api, measure: str, field: str | None = None, **more: Any) -> tuple[list[Any], Any]:
    """Return the values and the total of the one line of a measure."""
    series = {"measure": measure} | ({"field": field} if field else {})
    (line,) = (await answer(api, series, **more))["data"]
    return line["values"], line["total"]


async def test_each_measure_of_a_day_and_of_the_range(api: Api) -> None:
    prices = [(0, "u", 1), (0, "u", "3"), (0, "v", 2), (2, "u", 10), (2.5, "w", "x"), (2.5, "w", None)]
    await api.write([at(day, user=user, price=price) for day, user, price in prices])
    field = "properties.price"
    assert await values(api, "total") == ([3, 0, 3], 6)
    assert await values(api, "actors") == ([2, 0, 2], 3)
    assert await values(api, "per_actor") == ([1.5, None, 1.5], 2.0)
    assert await values(api, "sum", field) == ([6.0, 0, 10.0], 16.0)
    assert await values(api, "avg", field) == ([2.0, None, 10.0], 4.0)
    assert await values(api, "min", field) == ([1.0, None, 10.0], 1.0)
    assert await values(api, "max", field) == ([3.0, None, 10.0], 10.0)
    assert await values(api, "median", field) == ([2.0, None, 10.0], 2.5)
    assert await values(api, "p90", field) == ([2.8, None, 10.0], pytest.approx(7.9))
    assert await values(api, "unique", field) == ([3, 0, 2], 5)
    assert await values(api, "wau") == ([2, 2, 3], 3)


async def test_cumulative_values_are_of_all_so_far(api: Api) -> None:
    prices = [(0, "u", 1), (0, "u", "3"), (0, "v", 2), (2, "u", 10), (2.5, "w", "x"), (2.5, "w", None)]
    await api.write([at(day, user=user, price=price) for day, user, price in prices])
    field = "properties.price"
    assert await values(api, "total", cumulative=True) == ([3, 3, 6], 6)
    assert await values(api, "actors", cumulative=True) == ([2, 2, 3], 3)
    assert await values(api, "per_actor", cumulative=True) == ([1.5, 1.5, 2.0], 2.0)
    assert await values(api, "sum", field, cumulative=True) == ([6.0, 6.0, 16.0], 16.0)
    assert await values(api, "median", field, cumulative=True) == ([2.0, 2.0, 2.5], 2.5)
    assert await values(api, "unique", field, cumulative=True) == ([3, 3, 5], 5)
