"""The groups of a breakdown: which stay, and the SQL that tells an event's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from contracts.analysis import Breakdown, Group
from services.kit import sql
from services.kit.predicates import Scope
from services.query.analysis import breakdown as parts

OTHER: Final = Group(other=True)
Values = tuple[bytes | None, ...]
"""The texts of a group, as the engine gives them."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups that stay, in their order; all other values are the group behind the last of them."""

    breakdown: Breakdown
    kept: tuple[Values, ...]

    @property
    def other(self) -> int:
        """The number of the group of all other values."""
        return len(self.kept)

    def number(self, scope: Scope) -> str:
        """Return SQL (UInt16) of the number of an event's group."""
        if not self.kept:
            return "toUInt16(0)"
        keys = ", ".join(_literal(_key(values)) for values in self.kept)
        numbers = ", ".join(f"toUInt16({number})" for number in range(len(self.kept)))
        found = _key_sql(parts.values(self.breakdown, scope))
        return f"transform({found}, [{keys}], [{numbers}], toUInt16({self.other}))"

    def shown(self, number: int) -> Group:
        """Return a group as answers write it."""
        if number == self.other:
            return OTHER
        return Group(values=tuple(None if v is None else v.decode(errors="replace") for v in self.kept[number]))


def names(breakdown: Breakdown) -> list[str]:
    """Return what the columns of an event's values are called: `p0`, `p1`, …"""
    return [f"p{index}" for index in range(len(breakdown.by))]


def value(breakdown: Breakdown, index: int, scope: Scope) -> str:
    """Return SQL of one of an event's values."""
    return parts.values(breakdown, scope)[index]


def values_of(group: Group) -> Values:
    """Return the texts of a group that a request writes."""
    return tuple(None if value is None else value.encode() for value in group.values)


def _key(values: Sequence[bytes | None]) -> bytes:
    """Return one text for several values, another one for any others: each with its length before it."""
    return b"".join(b"-" if value is None else b"%d:%b" % (len(value), value) for value in values)


def _key_sql(values: Sequence[str]) -> str:
    found = [f"ifNull(concat(toString(length({value})), ':', {value}), '-')" for value in values]
    return found[0] if len(found) == 1 else f"concat({', '.join(found)})"


def _literal(key: bytes) -> str:
    try:
        return sql.string(key.decode())
    except UnicodeDecodeError:
        return f"unhex('{key.hex()}')"
