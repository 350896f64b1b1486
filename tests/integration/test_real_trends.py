"""Trends over a real shop's order lines equal plain Python over the same file."""

from __future__ import annotations

import csv
import gzip
import io
import math
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from services.kit.settings import Settings
from tests.analyses import ask, everyone
from tests.api import Api
from tests.integration.test_load_files import DATA, load
from tests.platform import ROOT

pytestmark = [
    pytest.mark.skipif(not DATA, reason="CDP_TEST_DATA names no folder with the real files"),
    pytest.mark.timeout(600),
]

MAPPING = ROOT / "deploy/cli/load/mappings/online_retail.toml"
INVALID = "customer_id = null or quantity <= 0 or unit_price <= 0"
ORDERS = {"names": ["Order Completed"]}
REVENUE = {"measure": "sum", "field": "properties.revenue"}
RANGE = {"from": "2010-12-01", "to": "2012-01-01", "interval": "month"}
MONTHS = [*(f"{year}-{month:02}" for year, month in [(2010, 12), *((2011, month) for month in range(1, 13))])]


@dataclass
class Invoice:
    """When its first line says, by whom, and what its lines cost."""

    at: str
    customer: str
    amounts: list[float] = field(default_factory=list)


def invoices() -> list[Invoice]:
    text = gzip.decompress((Path(DATA) / "online_retail.csv.gz").read_bytes()).decode()
    found: dict[str, Invoice] = {}
    for row in csv.DictReader(io.StringIO(text, newline="")):
        amount = int(row["quantity"]) * float(row["unit_price"])
        if row["customer_id"] and int(row["quantity"]) > 0 and float(row["unit_price"]) > 0:
            one = found.setdefault(row["invoice_no"], Invoice(row["invoice_date"], row["customer_id"]))
            one.amounts.append(amount)
    return list(found.values())


def by_month(orders: Sequence[Invoice]) -> Mapping[str, list[Invoice]]:
    found: dict[str, list[Invoice]] = defaultdict(list)
    for order in orders:
        found[order.at[:7]].append(order)
    return found


def revenue(orders: Sequence[Invoice]) -> float:
    return math.fsum(amount for order in orders for amount in order.amounts)


def close(numbers: float | Sequence[float]) -> Any:
    return pytest.approx(numbers, rel=1e-12)


async def test_orders_buyers_revenue_and_top_spenders_of_a_real_shop(
    infra: Settings, platform: object, api: Api, tmp_path: Path
) -> None:
    mapping = tmp_path / "valid.toml"
    mapping.write_text(f'skip = "{INVALID}"\n' + MAPPING.read_text())
    path = Path(DATA) / "online_retail.csv.gz"
    load(infra, api.workspace, path, "--map", str(mapping), "--rejects", os.devnull)
    orders = invoices()
    months = by_month(orders)
    assert list(months) == MONTHS

    async def answer(*series: Mapping[str, Any], **more: Any) -> Any:
        return await ask(api, api.workspace, "/query/trends", {"series": list(series), **RANGE, **more})

    lines = {"names": ["Order Line"], **REVENUE}
    found = await answer(ORDERS, ORDERS | {"measure": "actors"}, ORDERS | REVENUE, lines, formula="C / A")
    count, buyers, spent, spent_by_line, average = found["data"]
    assert [bucket["start"][:7] for bucket in found["buckets"]] == MONTHS
    assert (count["values"], count["total"]) == ([len(months[month]) for month in MONTHS], len(orders))
    assert buyers["values"] == [len({order.customer for order in months[month]}) for month in MONTHS]
    assert buyers["total"] == len({order.customer for order in orders}) == 4338
    assert spent["values"] == close([revenue(months[month]) for month in MONTHS])
    assert spent["total"] == close(revenue(orders)) == spent_by_line["total"]
    assert average["values"] == close([revenue(months[month]) / len(months[month]) for month in MONTHS])

    new = await answer(ORDERS | {"measure": "actors", "occurrence": "first"})
    seen: set[str] = set()
    expected = []
    for month in MONTHS:
        customers = {order.customer for order in months[month]}
        expected.append(len(customers - seen))
        seen |= customers
    assert new["data"][0]["values"] == expected
    so_far = await answer(ORDERS | {"measure": "actors"}, cumulative=True)
    assert so_far["data"][0]["values"] == [sum(expected[: number + 1]) for number in range(13)]

    by_customer: dict[str, list[Invoice]] = defaultdict(list)
    for order in orders:
        by_customer[order.customer].append(order)
    greatest = sorted(by_customer, key=lambda customer: (-revenue(by_customer[customer]), customer))
    top = await answer(ORDERS | REVENUE, breakdown={"by": ["user_id"], "limit": 10})
    assert [line["group"]["values"] for line in top["data"]] == [*([customer] for customer in greatest[:10]), []]
    rest = [order for customer in greatest[10:] for order in by_customer[customer]]
    assert [line["total"] for line in top["data"]] == close(
        [*(revenue(by_customer[customer]) for customer in greatest[:10]), revenue(rest)]
    )

    # Recency, frequency and monetary value of every customer; a breakdown has at most a thousand groups.
    recency: dict[str, str] = {}
    frequency: dict[str, int] = {}
    monetary: dict[str, float] = {}
    for prefix in sorted({customer[:2] for customer in by_customer}):
        of_these = {"where": {"op": "starts_with", "field": "user_id", "value": prefix}}
        split = {"breakdown": {"by": ["user_id"], "limit": 1_000}, **of_these}
        for line in (await answer(ORDERS, ORDERS | REVENUE, **split))["data"]:
            (customer,) = line["group"]["values"]
            (frequency if line["series"] == "A" else monetary)[customer] = line["total"]
        last = {"breakdown": {"by": ["user_id", "timestamp"], "limit": 1_000}, **of_these}
        for line in (await answer(ORDERS | {"occurrence": "last"}, **last))["data"]:
            customer, moment = line["group"]["values"]
            recency[customer] = moment
    assert frequency == {customer: len(found) for customer, found in by_customer.items()}
    assert monetary == {customer: close(revenue(found)) for customer, found in by_customer.items()}
    assert recency == {customer: max(order.at for order in found) + ".000Z" for customer, found in by_customer.items()}

    asked = {"query": {"series": [ORDERS | {"measure": "actors"}], **RANGE}, "bucket": "2011-11-01"}
    listed = await everyone(api, api.workspace, "/query/trends/actors", asked)
    assert {entry["actor"]["id"] for entry in listed} == {order.customer for order in months["2011-11"]}
