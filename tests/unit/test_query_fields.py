"""The fields of sampled rows are spelled as predicates read them."""

from __future__ import annotations

import json

from services.kit.predicates.fields import Path, Step, parse_field
from services.query.fields import describe


def test_names_that_end_like_an_array_lead_back_to_themselves() -> None:
    properties = {"t[]": 1, "a[].b[][]": 2, "back\\\\[]": 3, "list[]": [{"x[]": True}], "plain": [{"y": 0}]}
    row = json.dumps({"table": "track", "properties": properties}).encode()
    found = [parse_field(entry.field, "") for entry in describe([row], "properties")]
    assert {reference.path for reference in found} == {
        Path((), ("t[]",)),
        Path((), ("a[]", "b[][]")),
        Path((), ("back\\\\[]",)),
        Path((), ("list[]",)),
        Path((Step(("list[]",), 1),), ("x[]",)),
        Path((), ("plain",)),
        Path((Step(("plain",), 1),), ("y",)),
    }
