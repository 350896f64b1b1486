"""The parts of a breakdown as SQL. Every value is a text or NULL for absent; 1 and "1" are one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

from contracts.analysis import Breakdown, BreakdownPart, Buckets, Membership
from contracts.common import TableName
from contracts.errors import InvalidRequest
from services.kit import sql
from services.kit.predicates import Scope, check_field, compile_field

NO_SEGMENTS: Final = "there are no segments yet: break down by a field"


def check_breakdown(breakdown: Breakdown, tables: Sequence[TableName], pointer: str = "/breakdown") -> None:
    """Refuse parts that none of an analysis' tables has.

    Raises:
        InvalidRequest: at the part.
    """
    for index, part in enumerate(breakdown.by):
        check_part(part, tables, f"{pointer}/by/{index}")


def check_part(part: BreakdownPart, tables: Sequence[TableName], pointer: str) -> None:
    """Refuse a part that none of an analysis' tables has.

    Raises:
        InvalidRequest: at `pointer`, or inside of it.
    """
    match part:
        case Membership():
            raise InvalidRequest.at(pointer, NO_SEGMENTS)
        case Buckets():
            check_field(part.field, tables, f"{pointer}/field")
            if list(part.bounds) != sorted(set(part.bounds)):
                raise InvalidRequest.at(f"{pointer}/bounds", "must ascend")
        case _:
            check_field(part, tables, pointer)


def values(breakdown: Breakdown, scope: Scope, pointer: str = "/breakdown") -> list[str]:
    """Return SQL of each part's value in an event of the scope: Nullable(String)."""
    return [value(part, scope, f"{pointer}/by/{index}") for index, part in enumerate(breakdown.by)]


def value(part: BreakdownPart, scope: Scope, pointer: str) -> str:
    """Return SQL of a part's value in an event of the scope: Nullable(String)."""
    if isinstance(part, Membership):
        raise InvalidRequest.at(pointer, NO_SEGMENTS)
    if not isinstance(part, Buckets):
        return compile_field(part, scope, pointer=pointer).text
    number = compile_field(part.field, scope, pointer=f"{pointer}/field").number
    labels = bucket_labels(part.bounds)
    tests = [
        f"{number} < {sql.number(bound)}, {sql.string(name)}" for bound, name in zip(part.bounds, labels, strict=False)
    ]
    return f"multiIf({number} IS NULL, NULL, {', '.join(tests)}, {sql.string(labels[-1])})"


def bucket_labels(bounds: Sequence[float]) -> list[str]:
    """Return the names of the buckets between bounds: one more than there are bounds."""
    texts = [repr(float(bound)).removesuffix(".0") for bound in bounds]
    between = [f"{low}..{high}" for low, high in itertools.pairwise(texts)]
    return [f"<{texts[0]}", *between, f">={texts[-1]}"]
