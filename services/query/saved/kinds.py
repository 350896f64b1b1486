"""Which analyses can be saved: every operation that answers a request about a range of events, and custom SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from contracts.base import decode, encode
from contracts.errors import InvalidRequest
from contracts.operation import Operation
from contracts.operations import OPERATIONS
from contracts.sql import SqlRequest
from services.query.analysis.nested import under

RANGE: Final = ("from", "to", "timezone", "as_of")
"""What every analysis has, and a run may say anew."""
_OF_ONE_RUN: Final = {
    "cursor": "a saved query begins at its first page: leave it out",
    "query_id": "each run has an id of its own: leave it out",
}
"""Members that no definition has, and why."""
MAX_BYTES: Final = 262_144
"""Of a definition, as JSON."""


def _is_analysis(operation: Operation) -> bool:
    if operation.path != f"/query/{operation.name}" or not isinstance(operation.request, type(msgspec.Struct)):
        return False
    if operation.request is SqlRequest:
        return True  # its range is in the statement
    return {field.encode_name for field in msgspec.structs.fields(operation.request)}.issuperset(RANGE)


ANALYSES: Final[Mapping[str, Operation]] = {
    operation.name: operation for operation in OPERATIONS if _is_analysis(operation)
}
"""Operations by kind."""


def analysis(kind: str) -> Operation:
    """Return the operation that answers queries of a kind.

    Raises:
        InvalidRequest: there is no such kind; lists those there are.
    """
    operation = ANALYSES.get(kind)
    if operation is None:
        raise InvalidRequest.at("/kind", f"must be one of {', '.join(sorted(ANALYSES))}")
    return operation


def check_definition(kind: str, definition: Mapping[str, Any]) -> None:
    """Check that a definition is a request of its kind.

    Raises:
        InvalidRequest: it is not; pointers lead into `/definition`.
    """
    operation = analysis(kind)
    if len(encode(definition)) > MAX_BYTES:
        raise InvalidRequest.at("/definition", f"must be at most {MAX_BYTES} bytes of JSON")
    with under("/definition"):
        request_of(operation, definition)
    for member, why in _OF_ONE_RUN.items():
        if definition.get(member) is not None:
            raise InvalidRequest.at(f"/definition/{member}", why)


def request_of(operation: Operation, members: Mapping[str, Any]) -> Any:
    """Return the operation's request that has these members, as strictly as if they had come from a client.

    Raises:
        InvalidRequest: they make none.
    """
    return decode(encode(members), operation.request)
