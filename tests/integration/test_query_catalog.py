"""`POST /query/catalog` and `/workspace` through the gateway."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import Api, stamp
from tests.integration.test_query_events import DAY, T0, event


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


async def test_workspace_settings_hold_for_every_query_at_once(api: Api) -> None:
    assert (await api.call("/workspace", method="GET")).json == {
        "name": "",
        "timezone": "UTC",
        "week_start": "monday",
        "clock": None,
    }
    await api.write([event(n, timestamp=T0 + n * DAY) for n in range(4)])
    body = {"from": "2026-01-02", "columns": ["properties.n"]}
    assert len((await api.call("/query/events", body)).json["data"]) == 3
    settings = {"name": "Shop", "timezone": "Asia/Tokyo", "clock": "2026-01-03T00:00:00Z"}
    put = await api.call("/workspace", settings, method="PUT")
    assert put.status == 200
    assert put.json == settings | {"week_start": "monday"}
    assert (await api.call("/workspace", method="GET")).json == put.json
    # The clock hides later events and Tokyo's 2nd of January begins on the 1st; the cached answer is gone.
    answer = await api.call("/query/events", body)
    assert [row["properties.n"] for row in answer.json["data"]] == [1]
    assert answer.json["meta"]["as_of"] == "2026-01-03T00:00:00Z"


async def test_workspace_settings_that_cannot_be_name_the_field(api: Api) -> None:
    for body, pointer in (
        ({"timezone": "Nowhere"}, "/timezone"),
        ({"timezone": "right/UTC"}, "/timezone"),  # files of the zone database that no request may name
        ({"timezone": "localtime"}, "/timezone"),
        ({"clock": "9999-12-31T00:00:00Z"}, "/clock"),
        ({"clock": "0001-01-01T00:00:00+14:00"}, "/clock"),
        ({"name": "a\0b"}, "/name"),
        ({"clock": "2026-01-01T00:00:00"}, "/clock"),
        ({"week_start": "friday"}, "/week_start"),
    ):
        answer = await api.call("/workspace", body, method="PUT")
        assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, pointer)
