"""Mappings: rows into events, groups into events, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.cli.load.chunk import Chunk, Reject
from deploy.cli.load.duplicates import Duplicates
from deploy.cli.load.emit import Emitter
from deploy.cli.load.errors import MappingError
from deploy.cli.load.groups import Groups
from deploy.cli.load.mapping import Mapping, bundled, read_mapping
from deploy.cli.load.options import Options, apply
from deploy.cli.load.piece import Piece
from deploy.cli.load.plan import compile_mapping
from deploy.cli.load.segment import Call, SegmentEmitter

LINES = [
    {"invoice": "1", "sku": "A", "n": "2", "price": "2.55", "at": "2011-01-01T10:00:00", "who": "7", "land": "UK"},
    {"invoice": "1", "sku": "B", "n": "1", "price": "10", "at": "2011-01-01T10:00:00", "who": "7", "land": "UK"},
    {"invoice": "2", "sku": "A", "n": "x", "price": "2.55", "at": "2011-01-02T10:00:00", "who": "8", "land": ""},
    {"invoice": "3", "sku": "A", "n": "5", "price": "2.55", "at": "bad", "who": "8", "land": "FR"},
    {"invoice": "4", "sku": "C", "n": "3", "price": "1", "at": "2011-01-03T10:00:00", "who": "", "land": "FR"},
    {"invoice": "1", "sku": "C", "n": "-1", "price": "0.1", "at": "2011-01-04T10:00:00", "who": "7", "land": "FR"},
]
WHOLE = """
timezone = "Europe/Berlin"
user_id = "who"
timestamp = "at"
[types]
n = "number"
[[events]]
table = "track"
event = "'Order Line'"
properties.sku = "sku"
properties.amount = "n * price"
properties.place.country = "land"
[[events]]
table = "track"
event = "'Order Completed'"
group_by = "invoice"
properties.order_id = "invoice"
properties.revenue = "round(sum(n * price), 2)"
properties.lines = "count()"
properties.products = "list(object('sku', sku, 'quantity', n))"
[[events]]
table = "identify"
group_by = "who"
traits.country = "last(land)"
"""


def chunk_of(rows: list[dict[str, Any]]) -> Chunk:
    names = list(rows[0])
    return Chunk(
        rows=range(1, len(rows) + 1),
        lines=range(2, len(rows) + 2),
        sources=[str(row) for row in rows],
        columns={name: [row[name] for row in rows] for name in names},
    )


def objects_of(rows: list[Any]) -> Chunk:
    numbers = range(1, len(rows) + 1)
    return Chunk(rows=numbers, lines=numbers, sources=[str(row) for row in rows], objects=rows)


def mapping_of(text: str) -> Mapping:
    return msgspec.toml.decode(text, type=Mapping)


def emitted(text: str, chunk: Chunk, known: list[str] | None) -> tuple[list[dict[str, Any]], list[Reject]]:
    emitter = Emitter(compile_mapping(mapping_of(text), known), "hash", 1_000)
    return flatten([*emitter.rows(chunk), *emitter.end()])


def flatten(made: list[Piece | Reject]) -> tuple[list[dict[str, Any]], list[Reject]]:
    events = []
    for piece in made:
        if isinstance(piece, Piece):
            events += [event_of(piece, i) for i in range(len(piece))]
    return events, [item for item in made if isinstance(item, Reject)]


def event_of(piece: Piece, i: int) -> dict[str, Any]:
    event: dict[str, Any] = {
        "table": piece.table,
        "id": piece.message_ids[i],
        "user": piece.user_ids[i],
        "anonymous": piece.anonymous_ids[i],
        "time": piece.times[i],
        "received": piece.received[i],
    }
    event |= {name: column[i] for name, column in piece.names.items()}
    for name, values in piece.objects.items():
        if isinstance(values, dict):
            event[name] = {path: column[i] for path, column in values.items() if column[i] is not None}
        else:
            event[name] = msgspec.json.decode(values[i])  # type: ignore[call-overload]
    if piece.nulls is not None:
        event["nulls"] = list(piece.nulls[i])
    return event


def test_lines_invoices_and_customers_come_of_one_file() -> None:
    events, rejects = emitted(WHOLE, chunk_of(LINES), list(LINES[0]))
    reasons = {reject.line: reject.reason for reject in rejects}
    assert reasons == {
        4: "n: 'x' is not a number",
        5: "timestamp: 'bad' is not a time (ISO 8601 or a Unix time)",
        6: "neither a user id nor an anonymous id",
    }
    lines = [event for event in events if event.get("event") == "Order Line"]
    assert [(event["id"], event["properties"]) for event in lines] == [
        ("hash:1", {"sku": "A", "amount": 5.1, "place.country": "UK"}),
        ("hash:2", {"sku": "B", "amount": 10, "place.country": "UK"}),
        ("hash:6", {"sku": "C", "amount": -0.1, "place.country": "FR"}),
    ]
    assert lines[0]["time"] == 1_293_872_400_000, "10:00 in Berlin is 9:00 UTC"
    (order,) = (event for event in events if event.get("event") == "Order Completed")
    assert order["id"] == "hash:1:2"
    assert order["properties"] == {
        "order_id": "1",
        "revenue": 15.0,
        "lines": 3,
        "products": [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}, {"sku": "C", "quantity": -1}],
    }
    (customer,) = (event for event in events if event["table"] == "identify")
    assert (customer["id"], customer["user"], customer["traits"]) == ("hash:1:3", "7", {"country": "FR"})
    assert customer["time"] == lines[0]["time"], "the first row's"


def test_a_rejected_row_leaves_nothing_in_its_group() -> None:
    events, _ = emitted(WHOLE, chunk_of(LINES), list(LINES[0]))
    assert {event["properties"]["order_id"] for event in events if event.get("event") == "Order Completed"} == {"1"}


def test_rows_that_do_not_meet_a_condition_are_left_out() -> None:
    text = """
    user_id = "who"
    timestamp = "at"
    skip = "sku = 'C'"
    [[events]]
    table = "page"
    when = "n > 1"
    properties = "*"
    """
    events, rejects = emitted(text, chunk_of(LINES[:2] + LINES[5:]), list(LINES[0]))
    assert rejects == []
    assert [event["properties"]["sku"] for event in events] == ["A"]
    assert set(events[0]["properties"]) == {"invoice", "sku", "n", "price", "land"}, (
        "what serves the ids is not repeated"
    )
    assert events[0]["name"] == ""


def test_ndjson_rows_keep_their_shape_with_a_star_and_nulls_unset_traits() -> None:
    rows = [
        {"id": 7, "ts": 1_300_000_000, "plan": None, "tags": ["a"], "address": {"zip": None, "city": "x"}, "n": "5"},
        {"id": "", "ts": 1, "plan": 1},
        {"id": {"x": 1}, "ts": 1},
    ]
    text = """
    user_id = "id"
    timestamp = "ts"
    types.n = "number"
    [[events]]
    table = "identify"
    traits = { "*" = true, city = "address.city" }
    """
    events, rejects = emitted(text, objects_of(rows), None)
    (event,) = events
    assert event["user"] == "7"
    assert event["traits"] == {"plan": None, "tags": ["a"], "address": {"zip": None, "city": "x"}, "n": 5, "city": "x"}
    assert event["nulls"] == ["address.zip", "plan"]
    assert [reject.row for reject in rejects] == [2, 3]


def test_message_ids_of_the_file_are_kept_and_told_apart_for_each_event_of_a_row() -> None:
    text = """
    user_id = "who"
    timestamp = "at"
    message_id = "sku"
    [[events]]
    table = "track"
    event = "land"
    [[events]]
    table = "track"
    event = "'Copy'"
    """
    events, _ = emitted(text, chunk_of([LINES[0], {**LINES[1], "sku": ""}]), list(LINES[0]))
    assert [event["id"] for event in events] == ["A", "hash:2", "A:2", "hash:2:2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('user_id = "nobody"', "events\\[0\\].user_id: the file has no column nobody"),
        ('timestamp = "at +"', "timestamp: unexpected end"),
        ('timezone = "Mars/Olympus"', "no time zone"),
        ('types.nope = "number"', "types.nope: the file has no column"),
        ('skip = "boo(at)"', "skip: there is no function boo"),
    ],
)
def test_a_mapping_that_cannot_be_names_the_entry(change: str, message: str) -> None:
    lines = ['user_id = "who"', 'timestamp = "at"', change, "[[events]]", 'table = "identify"']
    text = "\n".join(line for line in lines if line is change or not line.startswith(change.split(" ")[0]))
    with pytest.raises(MappingError, match=message):
        compile_mapping(mapping_of(text), list(LINES[0]))


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ('table = "track"', "event is missing"),
        ('table = "group"', "group_id is missing"),
        ('table = "identify"\nevent = "sku"', "has no event"),
        ('table = "track"\nevent = "sku"\ntraits = "*"', "has properties"),
        ('table = "identify"\ntraits.n = 5', "is no expression"),
        ('table = "identify"\ntraits.n = "sum(n)"', "no function sum"),
        ('table = "identify"\ngroup_by = "who"\ntraits.n = "sum(sum(n))"', "another aggregate"),
    ],
)
def test_an_event_that_cannot_be_says_why(event: str, message: str) -> None:
    with pytest.raises(MappingError, match=message):
        compile_mapping(mapping_of(f'user_id = "who"\ntimestamp = "at"\n[[events]]\n{event}'), list(LINES[0]))


def test_a_star_over_a_group_means_the_first_row_and_needs_columns() -> None:
    text = 'user_id = "who"\ntimestamp = "at"\n[[events]]\ntable = "identify"\ngroup_by = "who"\ntraits = "*"'
    events, _ = emitted(text, chunk_of([LINES[0], LINES[5]]), list(LINES[0]))
    assert events[0]["traits"] == {"invoice": "1", "sku": "A", "n": "2", "price": "2.55", "land": "UK"}
    with pytest.raises(MappingError, match="no meaning"):
        compile_mapping(mapping_of(text), None)


def test_unknown_entries_of_a_mapping_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text('[[events]]\ntable = "track"\nevnt = "x"\n')
    with pytest.raises(MappingError, match="evnt"):
        read_mapping(str(path))
    with pytest.raises(MappingError, match="online_retail"):
        read_mapping("no-such-mapping")


def test_the_bundled_mappings_fit_the_columns_they_name() -> None:
    columns = {
        "online_retail": "invoice_no,stock_code,description,quantity,invoice_date,unit_price,customer_id,country",
        "ecom_synthetic": "user_id,session_id,event,timestamp,platform,acquisition_channel,user_cohort,user_lifecycle",
        "cdnow": "master_customer_id,sample_id,date,number_of_cds,dollar_value",
        "wikipedia_sessions": "uuid,timestamp,url",
    }
    assert set(bundled()) == set(columns)
    for name, known in columns.items():
        assert compile_mapping(read_mapping(name), known.split(",")).events


def test_short_options_make_the_same_mapping_as_a_file() -> None:
    options = Options(
        table="track", event_column="sku", user_column="who", timestamp_column="at", properties="*", types=["n=number"]
    )
    mapping = apply(options, None)
    assert mapping is not None
    emitter = Emitter(compile_mapping(mapping, list(LINES[0])), "hash", 1_000)
    events, _ = flatten(list(emitter.rows(chunk_of(LINES[:1]))))
    assert events[0]["event"] == "A"
    assert events[0]["properties"] == {"invoice": "1", "n": 2, "price": "2.55", "land": "UK"}
    assert apply(Options(), None) is None
    for wrong in (Options(event="E"), Options(table="track", event="a", event_column="b"), Options(types=["n"])):
        with pytest.raises(MappingError):
            apply(wrong, None)


def test_groups_are_the_same_when_they_do_not_fit_in_memory() -> None:
    text = """
    user_id = "who"
    timestamp = "at"
    [[events]]
    table = "identify"
    group_by = "who"
    traits = { sum = "sum(n)", first = "n", last = "last(n)", min = "min(n)", max = "max(n)", c = "count()" }
    context = { all = "list(n)" }
    """
    rows = [{"who": str(i * 7 % 11), "n": str(i * 13 % 17), "at": f"2011-01-01T00:00:{i:02d}"} for i in range(60)]
    plan = compile_mapping(mapping_of(text), list(rows[0]))
    results = []
    for most in (3, 10_000):
        emitter = Emitter(plan, "hash", 1_000)
        grouping = plan.events[0].grouping
        assert grouping is not None
        emitter._groups = [Groups(grouping, max_groups=most)]
        for start in range(0, 60, 8):
            part = chunk_of(rows[start : start + 8])
            part.rows = range(start + 1, start + 1 + len(part))
            assert list(emitter.rows(part)) == []
        events, rejects = flatten(list(emitter.end()))
        assert rejects == []
        results.append(sorted(events, key=lambda event: str(event["user"])))
        emitter.close()
    assert results[0] == results[1]
    mine = [int(row["n"]) for row in rows if row["who"] == "0"]
    event = next(event for event in results[0] if event["user"] == "0")
    assert event["traits"] == {
        "sum": sum(mine),
        "first": str(mine[0]),
        "last": str(mine[-1]),
        "min": str(min(mine)),
        "max": str(max(mine)),
        "c": len(mine),
    }
    assert event["context"] == {"all": [str(n) for n in mine]}


def test_segment_calls_of_all_kinds_become_events_without_a_mapping() -> None:
    lines = [
        b'{"type":"track","userId":1,"event":"E","properties":{"a":{"b":1}},"timestamp":"2024-01-01T00:00:00Z","messageId":"m"}',
        b'{"type":"page","anonymousId":"a","originalTimestamp":1704067200,"context":{"ip":"::1"},"integrations":{}}',
        b'{"type":"identify","userId":"u","traits":{"plan":null},"timestamp":"2024-01-01","receivedAt":"2024-01-02"}',
        b'{"type":"group","userId":"u","groupId":"g","traits":{"n":1},"timestamp":"2024-01-01"}',
        b'{"type":"track","userId":"","event":"E","timestamp":"2024-01-01"}',
        b'{"type":"track","userId":"u","event":"E"}',
        b'{"type":"track","userId":"u","timestamp":"2024-01-01"}',
        b'{"type":"track","userId":"u","event":"E","timestamp":"2024-01-01","properties":[1]}',
    ]
    calls = [msgspec.json.decode(line, type=Call) for line in lines]
    events, rejects = flatten(list(SegmentEmitter("hash", 5).rows(objects_of(calls))))
    found = {event["table"]: event for event in events}
    assert found["track"]["id"] == "m"
    assert found["track"]["user"] == "1"
    assert found["track"]["properties"] == {"a": {"b": 1}}
    assert found["page"]["id"] == "hash:2"
    assert found["page"]["context"] == {"ip": "::1"}
    assert found["identify"]["nulls"] == ["plan"]
    assert found["identify"]["received"] == 1_704_153_600_000
    assert found["group"]["group_id"] == "g"
    assert [(reject.row, reject.reason) for reject in rejects] == [
        (5, "neither userId nor anonymousId"),
        (6, "no timestamp"),
        (7, "no event"),
        (8, "properties is not an object"),
    ]


def test_duplicate_ids_are_counted_exactly_when_they_do_not_fit_in_memory() -> None:
    for limit in (10, 1_000_000):
        counter = Duplicates(limit)
        for start in range(0, 1_000, 50):
            counter.add("track", [f"m{i % 700}" for i in range(start, start + 50)])
        counter.add("page", ["m1", "m1"])
        assert counter.count() == 301
