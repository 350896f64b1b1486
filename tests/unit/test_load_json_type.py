"""What is read of a JSON column's declared type."""

from __future__ import annotations

import pytest

from deploy.cli.load.flatten import NotFlat, flatten_texts
from deploy.cli.load.json_type import parse_json_type


def test_limits_and_typed_texts_are_read_and_objects_in_arrays_get_their_share() -> None:
    declared = parse_json_type("JSON(max_dynamic_paths = 64, `app.name` Nullable(String), ip String)")
    assert declared is not None
    assert (declared.paths, declared.types, dict(declared.typed)) == (64, 32, {"app.name": True, "ip": False})
    assert declared.element_name == "JSON(max_dynamic_types=16, max_dynamic_paths=16)"
    plain = parse_json_type("JSON")
    assert plain is not None
    assert (plain.paths, plain.types, dict(plain.typed)) == (1024, 32, {})


@pytest.mark.parametrize(
    "name", ["String", "JSON(a UInt32)", "JSON(SKIP a)", "JSON(a Array(String))", "Object('json')"]
)
def test_other_declarations_are_left_to_the_engine(name: str) -> None:
    assert parse_json_type(name) is None


@pytest.mark.parametrize(
    "text",
    [
        b'{"a.b":1,"a":{"b":2}}',
        b'{"":1}',
        b'{"a":{".":1}}',
        b'{"ip":5}',
        b'{"ip":{}}',
        b'{"ip.x":1}',
        b'{"a":"\\ud800"}',
        b"{" + b",".join(b'"k%d":1' % i for i in range(5)) + b"}",
    ],
)
def test_what_only_the_engine_can_decide_is_not_flat(text: bytes) -> None:
    declared = parse_json_type("JSON(max_dynamic_paths=4, ip Nullable(String))")
    assert declared is not None
    with pytest.raises(NotFlat):
        flatten_texts([text], declared)


def test_members_that_are_objects_in_some_rows_and_values_in_others_are_two_paths() -> None:
    declared = parse_json_type("JSON(max_dynamic_paths=4)")
    assert declared is not None
    assert flatten_texts([b'{"a":{"b":1}}', b'{"a":2}', b'{"c":null}'], declared) == {
        "a.b": [1, None, None],
        "a": [None, 2, None],
    }
