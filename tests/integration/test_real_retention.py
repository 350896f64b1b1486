"""Retention over real shops' files equals plain Python over the same files."""

from __future__ import annotations

import csv
import gzip
import io
import os
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import pytest

from services.kit.settings import Settings
from tests.analyses import ask, everyone
from tests.api import Api
from tests.integration.test_load_files import DATA, load

pytestmark = [
    pytest.mark.skipif(not DATA, reason="CDP_TEST_DATA names no folder with the real files"),
    pytest.mark.timeout(600),
]


def rows_of(name: str) -> list[dict[str, str]]:
    text = gzip.decompress((Path(DATA) / name).read_bytes()).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def triangle(
    active: Mapping[str, set[int]], cohort: Mapping[str, set[int]], rows: int, columns: int
) -> list[list[int | None]]:
    """Return the counts: who is active in period r + k of those whose cohorts have r. Null from `rows` on."""
    found: list[list[int | None]] = []
    for row in range(rows):
        members = [who for who, periods in cohort.items() if row in periods]
        counts = [sum(k == 0 or row + k in active[who] for who in members) for k in range(columns)]
        found.append([count if row + k < rows else None for k, count in enumerate(counts)])
    return found


async def test_monthly_first_time_retention_of_real_buyers(
    infra: Settings, platform: object, api: Api, tmp_path: Path
) -> None:
    lines = [
        row
        for row in rows_of("online_retail.csv.gz")
        if row["customer_id"] and int(row["quantity"]) > 0 and float(row["unit_price"]) > 0
    ]
    path = tmp_path / "valid.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    load(infra, api.workspace, path, "--map", "online_retail", "--rejects", os.devnull)

    active: dict[str, set[int]] = defaultdict(set)
    revenue: dict[tuple[str, int], float] = defaultdict(float)
    invoices: dict[str, int] = {}
    for row in lines:
        year, month = int(row["invoice_date"][:4]), int(row["invoice_date"][5:7])
        number = invoices.setdefault(row["invoice_no"], (year - 2010) * 12 + month - 12)
        active[row["customer_id"]].add(number)
        revenue[row["customer_id"], number] += int(row["quantity"]) * float(row["unit_price"])
    first = {who: {min(months)} for who, months in active.items()}
    body = {
        "start": {"names": ["Order Completed"]},
        "cohorts": "first_time",
        "period": "month",
        "periods": 13,
        "from": "2010-12-01",
        "to": "2011-12-10",
        "as_of": "2011-12-31",
    }
    answer = await ask(api, api.workspace, "/query/retention", body)
    counts = triangle(active, first, rows=13, columns=13)
    rows = answer["data"][0]["rows"]
    assert [row["counts"] for row in rows] == counts
    assert sum(row["size"] for row in rows) == len(active) == 4338
    assert rows[12]["incomplete"][0], "December was still running"

    measured = await ask(
        api, api.workspace, "/query/retention", body | {"measure": {"kind": "sum", "field": "properties.revenue"}}
    )
    for number, row in enumerate(measured["data"][0]["rows"]):
        members = [who for who, months in first.items() if number in months]
        for k in range(13 - number):
            total = sum(revenue.get((who, number + k), 0.0) for who in members)
            assert row["values"][k] == pytest.approx(total, rel=1e-9)
    assert [row["counts"] for row in measured["data"][0]["rows"]] == counts

    for retained in (True, False):
        asked = {"query": body, "row": "2011-03-01", "k": 4, "retained": retained}
        listed = await everyone(api, api.workspace, "/query/retention/actors", asked)
        wanted = {who for who, months in first.items() if 3 in months and (7 in active[who]) == retained}
        assert {entry["actor"]["id"] for entry in listed} == wanted


@pytest.mark.parametrize("cohorts", ["first_time", "recurring"])
async def test_weekly_retention_of_a_click_stream(
    infra: Settings, platform: object, api: Api, tmp_path: Path, cohorts: str
) -> None:
    load(infra, api.workspace, Path(DATA) / "ecom_synthetic.csv.gz", "--map", "ecom_synthetic", "--rejects", os.devnull)
    clicks = rows_of("ecom_synthetic.csv.gz")
    days = [date.fromisoformat(row["timestamp"][:10]) for row in clicks]
    monday = min(days) - timedelta(days=min(days).weekday())
    active: dict[str, set[int]] = defaultdict(set)
    for row, day in zip(clicks, days, strict=True):
        active[row["user_id"]].add((day - monday).days // 7)
    rows = (max(days) - monday).days // 7 + 1
    cohort = {who: {min(weeks)} if cohorts == "first_time" else weeks for who, weeks in active.items()}
    body = {
        "start": {"table": ["track", "page"]},
        "cohorts": cohorts,
        "period": "week",
        "periods": 8,
        "from": str(min(days)),
        "to": str(max(days) + timedelta(days=1)),
        "as_of": str(monday + timedelta(days=7 * rows)),
    }
    answer = await ask(api, api.workspace, "/query/retention", body)
    assert [row["counts"] for row in answer["data"][0]["rows"]] == triangle(active, cohort, rows, 8)
    assert not any(any(row["incomplete"]) for row in answer["data"][0]["rows"])
