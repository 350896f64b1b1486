"""The OpenAPI and AsyncAPI documents: valid in themselves, and true to what the gateway decodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from jsonschema import Draft202012Validator

from contracts import subjects
from contracts.base import decode_request, encode
from contracts.errors import InvalidRequest
from contracts.operation import MEDIA_TYPES, Operation
from contracts.operations import OPERATIONS
from gateway.documents.asyncapi import PUBLICATIONS, asyncapi
from gateway.documents.openapi import openapi
from gateway.reading import decode_body

OPENAPI = openapi(OPERATIONS, "Title", "1.0.0")
ASYNCAPI = asyncapi(OPERATIONS, "Title", "1.0.0")
_PARAMETERS = {"id": "00000000-0000-4000-8000-000000000001", "version": "1"}
IDS = [operation.id for operation in OPERATIONS]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(document: Any, reference: str) -> Any:
    assert reference.startswith("#/")
    for part in reference[2:].split("/"):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


def of(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = OPENAPI["paths"][operation.path][operation.method.lower()]
    return found


def valid(value: Any, schema: dict[str, Any]) -> None:
    jsonschema.validate(value, {**schema, "components": OPENAPI["components"]}, cls=Draft202012Validator)


@pytest.mark.parametrize("document", [OPENAPI, ASYNCAPI], ids=["openapi", "asyncapi"])
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = list(references(document))
    assert found
    for reference in found:
        assert resolve(document, reference) is not None


@pytest.mark.parametrize("document", [OPENAPI, ASYNCAPI], ids=["openapi", "asyncapi"])
def test_every_schema_is_a_json_schema(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_the_document_has_what_openapi_3_1_asks_for() -> None:
    assert OPENAPI["openapi"].startswith("3.1.")
    assert OPENAPI["info"]["title"] and OPENAPI["info"]["version"]
    ids = [details["operationId"] for methods in OPENAPI["paths"].values() for details in methods.values()]
    assert sorted(ids) == sorted(IDS)
    for path, methods in OPENAPI["paths"].items():
        assert path.startswith("/")
        for details in methods.values():
            for parameter in details["parameters"]:
                found = resolve(OPENAPI, parameter["$ref"]) if "$ref" in parameter else parameter
                assert found["in"] in ("path", "query", "header") and found["schema"]
            for response in details["responses"].values():
                found = resolve(OPENAPI, response["$ref"]) if "$ref" in response else response
                assert found["description"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
def test_every_media_type_and_error_is_documented(operation: Operation) -> None:
    responses = of(operation)["responses"]
    assert list(responses["200"]["content"]) == [MEDIA_TYPES[format_] for format_ in operation.formats]
    expected = {"200", "400", "404", "406", "422", "429", "500", "503", "504"}
    if operation.method in ("POST", "PUT"):
        expected |= {"413", "415"}
    assert expected <= responses.keys()
    for status in expected - {"200"}:
        content = resolve(OPENAPI, responses[status]["$ref"])["content"]
        assert list(content) == ["application/problem+json"]
        valid(content["application/problem+json"]["example"], content["application/problem+json"]["schema"])


@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
def test_examples_obey_their_schemas_and_are_decoded(operation: Operation) -> None:
    details = of(operation)
    if "requestBody" in details:
        content = details["requestBody"]["content"]["application/json"]
        assert content["examples"]
        for example in content["examples"].values():
            valid(example["value"], content["schema"])
            path = {name: _PARAMETERS[name] for name in operation.parameters}
            decode_body(operation, path, '"1"', encode(example["value"]))
    if "json" in operation.formats:  # else all it answers with is a stream
        answer = details["responses"]["200"]["content"]["application/json"]
        valid(answer["example"], answer["schema"])


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.parameters], ids=lambda each: each.id)
def test_what_the_path_and_if_match_say_is_a_parameter_and_no_part_of_the_body(operation: Operation) -> None:
    details = of(operation)
    parameters = [resolve(OPENAPI, each["$ref"]) if "$ref" in each else each for each in details["parameters"]]
    places = {each["name"]: each["in"] for each in parameters}
    assert {name: places[name] for name in operation.parameters} == dict.fromkeys(operation.parameters, "path")
    assert ("If-Match" in places) == operation.conditional == ("412" in details["responses"])
    assert "if_match" not in places
    if operation.has_body:
        schema = details["requestBody"]["content"]["application/json"]["schema"]
        assert not {*operation.parameters, "if_match"} & schema.get("properties", {}).keys()


def schema_accepts(body: Any) -> bool:
    schema = of(OPERATIONS[0])["requestBody"]["content"]["application/json"]["schema"]
    return not list(Draft202012Validator({**schema, "components": OPENAPI["components"]}).iter_errors(body))


def decoder_accepts(body: Any) -> bool:
    try:
        decode_request(encode(body), OPERATIONS[0].request)
    except InvalidRequest:
        return False
    return True


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"limit": 10_000},
        {"limit": 10_001},
        {"limit": 0},
        {"limit": None},
        {"limit": "1"},
        {"table": "any"},
        {"table": ["track", "page"]},
        {"table": []},
        {"table": "sales"},
        {"from": "-7d", "to": None},
        {"from": 7},
        {"columns": []},
        {"columns": None},
        {"colour": "red"},
        {"cursor": ""},
        {"actors": [{"kind": "user", "id": "a"}]},
        {"actors": [{"kind": "user"}]},
        {"where": {"op": "and", "items": []}},
        {"where": {"op": "eq", "field": "a", "value": True}},
        {"where": {"op": "eq", "field": "a", "value": None}},
        {"where": {"op": "eq", "field": "a"}},
        {"where": {"op": "nothing", "field": "a"}},
        {"where": {"op": "between", "field": "a", "value": [1, "2e3"]}},
        {"where": {"op": "between", "field": "a", "value": [1]}},
        {"where": {"op": "within_last", "field": "timestamp", "value": "7d"}},
        {"where": {"op": "within_last", "field": "timestamp", "value": "7 days"}},
        {"where": {"op": "not", "item": {"op": "exists", "field": ""}}},
    ],
    ids=str,
)
def test_schema_and_decoder_agree(body: Any) -> None:
    assert schema_accepts(body) == decoder_accepts(body)


def test_asyncapi_has_a_channel_for_each_operation_with_a_reply() -> None:
    addresses = {channel["address"] for channel in ASYNCAPI["channels"].values()}
    for operation in OPERATIONS:
        assert operation.subject in addresses
        action = ASYNCAPI["operations"][operation.id]
        assert action["action"] == "receive"
        assert action["reply"]["channel"]["$ref"] == f"#/channels/{operation.id}.reply"


def test_asyncapi_names_the_durable_events_with_their_parameters() -> None:
    assert {item.subject for item in PUBLICATIONS} == {subjects.INGESTED, subjects.CACHE_DROP}
    channel = ASYNCAPI["channels"]["events.ingested"]
    assert channel["address"] == "cdp.evt.v1.events.ingested.{workspace}"
    assert list(channel["parameters"]) == ["workspace"]
