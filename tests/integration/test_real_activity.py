"""Life cycles and stickiness over a real shop's click stream equal plain Python over its file."""

from __future__ import annotations

import csv
import gzip
import io
import os
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from services.kit.settings import Settings
from tests.analyses import ask, everyone, key_of
from tests.api import Api
from tests.integration.test_load_files import DATA, load

FROM, TO, AS_OF = "2024-03-04", "2024-06-03", "2024-07-01T00:00:00Z"
BOUGHT = {"series": [{"names": ["purchase"]}]}
WEEK = timedelta(days=7)

pytestmark = pytest.mark.skipif(not DATA, reason="CDP_TEST_DATA names no folder with the real files")


def purchases() -> dict[str, set[date]]:
    """Return of each user the days with a purchase."""
    text = gzip.decompress((Path(DATA) / "ecom_synthetic.csv.gz").read_bytes()).decode()
    found: dict[str, set[date]] = {}
    for row in csv.DictReader(io.StringIO(text, newline="")):
        if row["event"] == "purchase":
            found.setdefault(row["user_id"], set()).add(date.fromisoformat(row["timestamp"][:10]))
    return found


async def test_buyers_week_by_week_and_day_by_day_equal_plain_python(
    infra: Settings, api: Api, workspace: UUID
) -> None:
    load(infra, workspace, Path(DATA) / "ecom_synthetic.csv.gz", "--map", "ecom_synthetic", "--rejects", os.devnull)
    bought, first, last = purchases(), date.fromisoformat(FROM), date.fromisoformat(TO)
    query = BOUGHT | {"from": FROM, "to": TO, "as_of": AS_OF}

    weeks = [first + WEEK * number for number in range((last - first) // WEEK)]
    active = {user: {day - timedelta(days=day.weekday()) for day in days} for user, days in bought.items()}
    states: dict[str, list[set[str]]] = {
        "new": [{u for u, found in active.items() if min(found) == week} for week in weeks],
        "returning": [{u for u, found in active.items() if {week, week - WEEK} <= found} for week in weeks],
        "resurrecting": [
            {u for u, found in active.items() if week in found and week - WEEK not in found and min(found) < week}
            for week in weeks
        ],
        "dormant": [{u for u, found in active.items() if week not in found and week - WEEK in found} for week in weeks],
    }
    (line,) = (await ask(api, workspace, "/query/lifecycle", query | {"period": "week"}))["data"]
    for state, users in states.items():
        assert line[state] == list(map(len, users))
        assert sum(line[state]) > 0, "the file has such buyers"
        body = {"query": query | {"period": "week"}, "period": weeks[5].isoformat(), "state": state}
        listed = await everyone(api, workspace, "/query/lifecycle/actors", body)
        assert {key_of(entry)[1] for entry in listed} == users[5]

    numbers = [sum(first <= day < last for day in days) for days in bought.values()]
    (line,) = (await ask(api, workspace, "/query/stickiness", query))["data"]
    assert line["counts"] == [numbers.count(n) for n in range(1, (last - first).days + 1)]
    assert line["mean"] == pytest.approx(sum(numbers) / sum(number > 0 for number in numbers))
    assert line["counts"][1] > 0, "the file has such buyers"
