"""JSON Schemas of the contracts, as both documents hold them under `components/schemas`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from contracts.errors import Problem

REFERENCE = "#/components/schemas/{name}"


def schemas(types: Iterable[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the schema of each type (mostly a reference) and the components they refer to.

    What the schemas say is what the decoder checks: both come from the same annotations.
    """
    references, components = msgspec.json.schema_components((*types, Problem), ref_template=REFERENCE)
    return [_tidy(reference) for reference in references[:-1]], _tidy(components)


def _tidy(node: Any) -> Any:
    """Put docstrings on one line and say Python's patterns as ECMA-262 reads them."""
    if isinstance(node, list | tuple):  # a default may be a tuple, which JSON writes as an array
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidied = {key: _tidy(value) for key, value in node.items()}
    if isinstance(description := tidied.get("description"), str):
        tidied["description"] = re.sub(r"\s+", " ", inspect.cleandoc(description))
    return tidied
