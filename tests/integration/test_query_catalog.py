"""`POST /query/catalog` and `/workspace` through the gateway."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import Api, stamp
from tests.integration.test_query_events import T0, event


async def test_names_come_with_exact_counts_and_last_seen(api: Api) -> None:
    await api.write([event(n, event="A" if n % 3 else "B") for n in range(9)])
    await api.write([event(0, event="B"), event(20, table="page", name="Home"), event(21, table="identify")])
    answer = (await api.call("/query/catalog", {"kind": "names"})).json
    assert [(e["table"], e["name"], e["count"]) for e in answer["data"]] == [
        ("track", "A", 6),
        ("track", "B", 3),
        ("identify", None, 1),
        ("page", "Home", 1),
    ]
    assert answer["data"][0]["last_seen"].startswith(stamp(T0 + 8000)[:19])
    assert answer["truncated"] is False
    cut = (await api.call("/query/catalog", {"kind": "names", "limit": 1, "prefix": "B"})).json
    assert [entry["name"] for entry in cut["data"]] == ["B"]


async def test_fields_come_with_types_and_coverage(api: Api) -> None:
    await api.write(
        [
            event(1, properties={"price": 1.5, "items": [{"sku": "x"}], "empty": "", "nested": {"deep": True}}),
            event(2, properties={"price": "free"}),
            event(3, table="identify", traits={"plan": "pro"}, user_id="u"),
        ]
    )
    answer = (await api.call("/query/catalog", {"kind": "fields"})).json
    fields = {entry["field"]: entry for entry in answer["data"]}
    assert fields["properties.price"]["types"] == ["number", "string"]
    assert fields["properties.price"]["coverage"] == pytest.approx(2 / 3)
    assert fields["properties.price"]["tables"] == ["track"]
    assert fields["properties.items"]["types"] == ["array"]
    assert fields["properties.items[].sku"]["types"] == ["string"]
    assert fields["properties.nested.deep"]["types"] == ["boolean"]
    assert fields["timestamp"]["types"] == ["time"]
    assert fields["traits.plan"]["coverage"] == pytest.approx(1 / 3)
    assert "properties.empty" not in fields
    assert answer["sampled"] == 3
    for entry in answer["data"]:  # whatever the catalogue offers, a predicate takes
        where = {"op": "exists", "field": entry["field"]}
        assert (await api.call("/query/events", {"where": where})).status == 200


async def test_values_are_ranked_and_found_by_prefix(api: Api) -> None:
    colours = ["Red", "red", "Rose", "blue", "Red", 7, None, ""]
    await api.write([event(n, properties={"c": colour}) for n, colour in enumerate(colours)])
    await api.write([event(0, properties={"c": "Red"})])

    async def values(**body: Any) -> list[tuple[str, int]]:
        answer = await api.call("/query/catalog", {"kind": "values", "field": "properties.c"} | body)
        return [(entry["value"], entry["count"]) for entry in answer.json["data"]]

    assert await values() == [("Red", 2), ("7", 1), ("Rose", 1), ("blue", 1), ("red", 1)]
    assert await values(prefix="RE") == [("Red", 2), ("red", 1)]
    assert await values(prefix="Re", ignore_case=False) == [("Red", 2)]
    assert await values(limit=1) == [("Red", 2)]


async def test_catalogue_requests_that_cannot_be_name_the_field(api: Api) -> None:
    for body, pointer in (
        ({"kind": "shapes"}, "/kind"),
        ({"kind": "values"}, ""),
        ({"kind": "values", "field": "nope"}, "/field"),
        ({"kind": "values", "field": "group_id", "table": "track"}, "/field"),
        ({"kind": "fields", "names": ["x"], "table": "group"}, "/names"),
    ):
        answer = await api.call("/query/catalog", body)
        assert answer.status == 400, body
        assert answer.json["errors"][0].get("pointer", "") == pointer
