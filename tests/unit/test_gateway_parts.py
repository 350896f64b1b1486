"""The gateway's pure parts: negotiation, routing, parameters, request ids."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from msgspec import Meta

from contracts.base import Message
from contracts.errors import InvalidRequest, NotAcceptable
from contracts.operation import Format, Operation
from gateway.cors import Cors
from gateway.exchange import Exchange
from gateway.negotiation import accepts_gzip, choose_format, is_json
from gateway.reading import RequestIds, decode_parameters, workspace
from gateway.routes import Route, Routes

ALL: tuple[Format, ...] = ("json", "ndjson", "csv", "parquet", "arrow")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "json"),
        ("", "json"),
        ("*/*", "json"),
        ("text/*", "csv"),
        ("text/csv", "csv"),
        ("TEXT/CSV", "csv"),
        ("text/csv;q=0.5, application/json;q=0.4", "csv"),
        ("text/csv;q=0.5, application/json", "json"),
        ("application/json;q=0, */*", "ndjson"),
        ("application/vnd.apache.parquet", "parquet"),
        ("text/html, */*;q=0.1", "json"),
        ("application/json; charset=utf-8", "json"),
    ],
)
def test_accept_header_chooses_the_format(accept: str | None, expected: Format) -> None:
    assert choose_format(accept, ALL) == expected


@pytest.mark.parametrize("accept", ["text/html", "text/csv", "*/*;q=0", "application/json;q=nonsense", ","])
def test_accept_header_nothing_fits(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="application/json"):
        choose_format(accept, ("json",))


@pytest.mark.parametrize(
    ("header", "expected"),
    [(None, False), ("gzip", True), ("br, gzip;q=0.2", True), ("gzip;q=0", False), ("*", True), ("identity", False)],
)
def test_accept_encoding_is_read_with_its_qualities(header: str | None, expected: bool) -> None:
    assert accepts_gzip(header) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("application/json", True),
        ("Application/JSON; charset=UTF-8", True),
        ('application/json; charset="utf-8"', True),
        ("application/json; charset=utf-16", False),
        ("application/jsonp", False),
        ("text/json", False),
        (None, False),
    ],
)
def test_only_json_in_utf_8_is_json(header: str | None, expected: bool) -> None:
    assert is_json(header) is expected


def test_workspace_is_spelled_one_way() -> None:
    assert workspace("AAAAAAAA-2222-3333-4444-555555555555") == "aaaaaaaa-2222-3333-4444-555555555555"


def test_request_ids_are_unique_and_those_of_clients_kept_when_plain() -> None:
    ids = RequestIds()
    assert len({ids.of(None) for _ in range(1_000)}) == 1_000
    assert ids.of("abc-1.2") == "abc-1.2"
    assert ids.of('a"b') != 'a"b'
    assert RequestIds().of(None)[:16] != ids.of(None)[:16]


class Sought(Message, frozen=True, kw_only=True):
    id: str
    limit: int = 10
    deep: bool = False
    names: Annotated[tuple[str, ...], Meta(max_length=3, description="Names")] = ()
    kind: Literal["all"] | tuple[int, ...] = "all"


OPERATION = Operation(
    service="s", name="n", method="GET", path="/things/{id}", request=Sought, response=Sought, scope="", summary=""
)


def test_parameters_of_path_and_query_become_the_request() -> None:
    found = decode_parameters(OPERATION, {"id": "7"}, [("limit", "5"), ("deep", "true")])
    assert found == Sought(id="7", limit=5, deep=True)


def test_a_list_is_a_parameter_given_once_for_each_element() -> None:
    found = decode_parameters(OPERATION, {"id": "7"}, [("names", "a,b"), ("kind", "all")])
    assert found == Sought(id="7", names=("a,b",))
    found = decode_parameters(OPERATION, {"id": "7"}, [("names", "a"), ("kind", "1"), ("names", "b"), ("kind", "2")])
    assert found == Sought(id="7", names=("a", "b"), kind=(1, 2))


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ([("kind", "some")], "/kind"),
        ([("limit", "five")], "/limit"),
        ([("limit", "1"), ("limit", "2")], "/limit"),
        ([("id", "8")], "/id"),
        ([("colour", "red")], ""),
    ],
)
def test_bad_parameters_are_named(query: list[tuple[str, str]], pointer: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        decode_parameters(OPERATION, {"id": "7"}, query)
    assert [error.pointer for error in raised.value.errors] == [pointer]


async def nothing(exchange: Exchange) -> None:
    raise AssertionError


def test_routes_find_exact_paths_and_parts_in_braces() -> None:
    routes = Routes(Cors(""))
    listed, one = Route("list", nothing), Route("one", nothing)  # type: ignore[arg-type]
    routes.add("GET", "/things", listed)
    routes.add("DELETE", "/things/{id}", one)
    assert routes.find("GET", "/things") == (listed, {})
    assert routes.find("HEAD", "/things") == (listed, {})
    assert routes.find("DELETE", "/things/a.b") == (one, {"id": "a.b"})
    for method, path in (("GET", "/things/1"), ("DELETE", "/things/1/2"), ("DELETE", "/things/"), ("GET", "/Things")):
        assert routes.find(method, path)[0].name == "unrouted"


def test_cors_any_origin_needs_no_vary() -> None:
    assert Cors("*").headers("https://a.example")["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in Cors("*").headers("https://a.example")
    assert Cors("").headers("https://a.example") == {}
    assert Cors("https://a.example").headers("https://b.example") == {"Vary": "Origin"}
