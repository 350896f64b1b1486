"""Requests that path, header and body say together, and the entity tags of HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from contracts.base import Message
from contracts.errors import InvalidRequest
from contracts.operation import Operation
from contracts.operations import BY_ID
from contracts.queries import QueryReplace, QueryRun
from contracts.versioned import IfMatch
from gateway import etags
from gateway.reading import decode_body, decode_parameters

_ID = "00000000-0000-4000-8000-000000000001"
_REPLACE = BY_ID["query.queries_replace"]
_DELETE = BY_ID["query.queries_delete"]
_BODY = b'{"name": "n", "kind": "events", "definition": {"limit": 1}}'


@pytest.mark.parametrize(
    ("header", "versions"),
    [
        (None, None),
        ("*", "*"),
        (" * ", "*"),
        ('"7"', (7,)),
        ('"7-gzip"', (7,)),
        ('"7", "8" ,"9-gzip"', (7, 8, 9)),
        ('W/"7"', ()),
        ('W/"7", "8"', (8,)),
        ('"abc"', ()),
        ('""', ()),
        ('"-7"', ()),
        ('"7.0"', ()),
        ('"٣"', ()),
        ('"12345678901"', ()),
    ],
)
def test_if_match_names_versions(header: str | None, versions: Any) -> None:
    assert etags.versions(header) == versions


@pytest.mark.parametrize("header", ["", "7", "W/7", '"7', '7"', '"7" "8"', '"7",', "*, *", '"*", *', "'7'", "\0"])
def test_an_if_match_that_is_no_list_of_tags_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequest, match="If-Match"):
        etags.versions(header)


@pytest.mark.parametrize(
    ("header", "among"),
    [("*", True), ('"a"', True), ('W/"a"', True), ('"a-gzip"', True), ('"b", "a"', True), ('"b"', False), ("", False)],
)
def test_if_none_match_names_a_validator_in_any_variant(header: str, among: bool) -> None:
    assert etags.is_among("a", header) is among


def test_path_header_and_body_make_one_request() -> None:
    request = decode_body(_REPLACE, {"id": _ID}, '"3"', _BODY)
    assert request == QueryReplace(id=UUID(_ID), if_match=(3,), name="n", kind="events", definition={"limit": 1})


def test_an_absent_body_is_an_empty_one() -> None:
    assert decode_body(BY_ID["query.queries_run"], {"id": _ID}, None, b"") == QueryRun(id=UUID(_ID))


def test_without_if_match_the_field_is_absent() -> None:
    assert decode_body(_REPLACE, {"id": _ID}, None, _BODY).if_match is None
    assert decode_parameters(_DELETE, {"id": _ID}, []).if_match is None
    assert decode_parameters(_DELETE, {"id": _ID}, [], "*").if_match == "*"


@pytest.mark.parametrize(
    ("path", "if_match", "body", "pointer"),
    [
        ({"id": "x"}, None, _BODY, "/id"),
        ({"id": _ID}, None, b'{"id": 1}', "/id"),
        ({"id": _ID}, None, b'{"if_match": "*"}', "/if_match"),
        ({"id": _ID}, None, b'{"name": 7, "kind": "events", "definition": {}}', "/name"),
        ({"id": _ID}, None, b'{"name": "n", "kind": "events", "definition": 7}', "/definition"),
        ({"id": _ID}, None, b"[]", ""),
        ({"id": _ID}, None, b"nonsense", ""),
        ({"id": _ID}, None, b'{"name": "\xff"}', ""),
        ({"id": _ID}, None, b'{"\xff": 1}', ""),
        ({"id": _ID}, None, b'{"name": "a", "name": "b"}', ""),
        ({"id": _ID}, None, b'{"definition": {"limit": 1, "limit": 2}}', ""),
        ({"id": _ID}, None, b'{"definition": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}", ""),
        ({"id": _ID}, None, b'{"definition": {"a": 1e999}}', "/definition"),
        ({"id": _ID}, ", ".join(f'"{number}"' for number in range(101)), _BODY, "/if_match"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_wrong_is_named_where_it_was_said(path: Any, if_match: str | None, body: bytes, pointer: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        decode_body(_REPLACE, path, if_match, body)
    assert raised.value.errors[0].pointer == pointer


@pytest.mark.parametrize("name", ["id", "if_match"])
def test_a_query_parameter_does_not_say_what_belongs_elsewhere(name: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        decode_parameters(_DELETE, {"id": _ID}, [(name, "1")], '"1"')
    assert raised.value.errors[0].pointer == f"/{name}"


class _Numbered(Message, frozen=True, kw_only=True):
    number: int
    text: str
    if_match: IfMatch | None = None


def test_numbers_of_a_path_are_text_there_and_numbers_in_the_request() -> None:
    operation = Operation(
        service="query",
        name="numbered",
        method="PUT",
        path="/things/{number}/of/{text}",
        request=_Numbered,
        response=_Numbered,
        scope="x",
        summary="x",
    )
    assert (operation.parameters, operation.conditional, operation.has_body) == (("number", "text"), True, True)
    request = decode_body(operation, {"number": "7", "text": "8"}, None, b"")
    assert request == _Numbered(number=7, text="8")
    with pytest.raises(InvalidRequest) as raised:
        decode_body(operation, {"number": "seven", "text": "8"}, None, b"")
    assert raised.value.errors[0].pointer == "/number"


def test_changing_one_version_of_a_thing_needs_a_precondition() -> None:
    conditional = {operation.name for operation in BY_ID.values() if operation.conditional}
    assert conditional == {"queries_replace", "queries_delete", "queries_version_restore"}


def test_every_parameter_of_a_path_is_a_field_of_its_request() -> None:
    for operation in BY_ID.values():
        if operation.parameters:
            fields = {field.encode_name for field in msgspec.structs.fields(operation.request)}
            assert fields.issuperset(operation.parameters), operation.id
