"""Funnels over a real shop's click stream equal plain Python over its file."""

from __future__ import annotations

import csv
import gzip
import io
import math
import os
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.kit.settings import Settings
from tests.analyses import ask, everyone
from tests.api import Api
from tests.integration.test_load_files import DATA, load

DAY = 86_400
FUNNELS = (
    ("catalog", "product_view", "add_to_cart", "purchase"),
    ("home", "search", "product_view"),
    ("product_view", "product_view", "product_view", "cart"),
    ("add_to_cart", "shipping_details", "payment_details", "purchase", "review_page"),
)
PAGES = ("home", "catalog", "cart")
"""Events that the file's mapping makes pages of, beside those that end in `_page` and `_view`."""
FROM, TO, AS_OF = "2024-02-01", "2024-06-01", "2024-07-01T00:00:00Z"

pytestmark = pytest.mark.skipif(not DATA, reason="CDP_TEST_DATA names no folder with the real files")


def clicks() -> dict[str, list[tuple[int, str]]]:
    """Return of each user the (seconds since the epoch, event) of every click, in order."""
    text = gzip.decompress((Path(DATA) / "ecom_synthetic.csv.gz").read_bytes()).decode()
    found: dict[str, list[tuple[int, str]]] = {}
    for row in csv.DictReader(io.StringIO(text, newline="")):
        at = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
        found.setdefault(row["user_id"], []).append((round(at.timestamp()), row["event"]))
    return {user: sorted(events) for user, events in found.items()}


def deepest(events: Sequence[tuple[int, str]], names: Sequence[str], window: int) -> list[int]:
    """Return the times of the steps reached: of the deepest entry, the earliest of those. The nearest event is always
    as good as a later one where steps that differ share no events."""
    best: list[int] = []
    for place, (entered, name) in enumerate(events):
        if name != names[0] or not seconds(FROM) <= entered < seconds(TO):
            continue
        chain, used = [entered], {place}
        for wanted in names[1:]:
            later = (
                (at, other)
                for other, (at, name) in enumerate(events)
                if name == wanted and other not in used and chain[-1] <= at <= entered + window
            )
            at, other = min(later, default=(0, -1))
            if other < 0:
                break
            chain.append(at)
            used.add(other)
        if len(chain) > len(best):
            best = chain
    return best


def seconds(day: str) -> int:
    return round(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())


def step(name: str) -> dict[str, Any]:
    page = name in PAGES or name.endswith(("_page", "_view"))
    return {"table": "page" if page else "track", "names": [name]}


def described(values: Sequence[int]) -> dict[str, float] | None:
    """Return mean, median and the 90th percentile with linear interpolation."""
    if not values:
        return None
    ordered = sorted(values)
    place = 0.9 * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return {
        "mean": statistics.fmean(ordered),
        "median": statistics.median(ordered),
        "p90": low + (high - low) * (place - math.floor(place)),
    }


def spans(found: dict[str, list[int]], first: int, last: int) -> dict[str, float] | None:
    """Describe the seconds between two steps (from 0) of those that reached the later one."""
    return described([times[last] - times[first] for times in found.values() if len(times) > last])


async def test_ordered_funnels_of_a_day_a_week_and_a_month_equal_plain_python(
    infra: Settings, api: Api, workspace: UUID
) -> None:
    load(infra, workspace, Path(DATA) / "ecom_synthetic.csv.gz", "--map", "ecom_synthetic", "--rejects", os.devnull)
    users = clicks()
    for names in FUNNELS:
        for days in (1, 7, 30):
            found = {user: deepest(events, names, days * DAY) for user, events in users.items()}
            query = {
                "steps": [step(name) for name in names],
                "window": days * DAY,
                "from": FROM,
                "to": TO,
                "as_of": AS_OF,
                "times": True,
            }
            (whole,) = (await ask(api, workspace, "/query/funnel", query))["data"]
            counts = [sum(len(times) > index for times in found.values()) for index in range(len(names))]
            assert [one["count"] for one in whole["steps"]] == counts, (names, days)
            assert counts[0] > counts[-2] > counts[-1], "the file has such chains, and broken ones"
            for index, one in enumerate(whole["steps"][1:], 1):
                for shown, first in (("seconds_from_previous", index - 1), ("seconds_from_first", 0)):
                    assert one[shown] == pytest.approx(spans(found, first, index)), (names, days, index)
            last = {"query": query, "step": len(names), "dropped": True}
            lost = {entry["actor"]["id"] for entry in await everyone(api, workspace, "/query/funnel/actors", last)}
            assert lost == {user for user, times in found.items() if len(times) == len(names) - 1}


async def test_a_breakdown_by_platform_adds_up_to_the_whole(infra: Settings, api: Api, workspace: UUID) -> None:
    load(infra, workspace, Path(DATA) / "ecom_synthetic.csv.gz", "--map", "ecom_synthetic", "--rejects", os.devnull)
    names = FUNNELS[0]
    query = {"steps": [step(name) for name in names], "window": 7 * DAY, "from": FROM, "to": TO, "as_of": AS_OF}
    (whole,) = (await ask(api, workspace, "/query/funnel", query))["data"]
    for attribution in ("first_touch", "last_touch"):
        split = query | {"breakdown": {"by": ["properties.platform"], "attribution": attribution}}
        groups = (await ask(api, workspace, "/query/funnel", split))["data"]
        assert len(groups) > 1
        for index, one in enumerate(whole["steps"]):
            assert sum(group["steps"][index]["count"] for group in groups) == one["count"]
