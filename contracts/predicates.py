"""The predicate tree: one union tagged by `op`. Meanings: docs/predicates.md."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from contracts.base import Message

Scalar: TypeAlias = str | int | float | bool
Number: TypeAlias = Annotated[str, Meta(max_length=64)] | int | float
"""A JSON number, or text of the form ``[+-]?digits[.digits][e…]``."""
FieldName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1024, examples=["event", "properties.price"])]
"""A column (`event`, `timestamp`, …), `properties.<path>`, `traits.<path>`, `context.<path>`, `profile.traits.<path>`,
`computed.<trait>` or `segment`; `[]` after a path segment asks any element of that array."""
Text: TypeAlias = Annotated[str, Meta(max_length=65_536)]
Pattern: TypeAlias = Annotated[str, Meta(max_length=1_024)]
Duration: TypeAlias = Annotated[str, Meta(pattern=r"^\d{1,9}(min|h|d|w|m)$", examples=["7d"])]
Instant: TypeAlias = Annotated[str, Meta(min_length=4, max_length=40, examples=["2026-01-31T09:00:00Z"])]
"""ISO 8601; UTC without an offset."""


class And(Message, frozen=True, kw_only=True, tag_field="op", tag="and"):
    """True when every item is; empty is true."""

    items: Annotated[tuple[Predicate, ...], Meta(max_length=1_000)]


class Or(Message, frozen=True, kw_only=True, tag_field="op", tag="or"):
    """True when some item is; empty is false."""

    items: Annotated[tuple[Predicate, ...], Meta(max_length=1_000)]


class Not(Message, frozen=True, kw_only=True, tag_field="op", tag="not"):
    """True when the item is not."""

    item: Predicate


class Eq(Message, frozen=True, kw_only=True, tag_field="op", tag="eq"):
    """Numeric when both sides are numbers and at least one is a JSON number, otherwise by text."""

    field: FieldName
    value: Scalar
    ignore_case: bool = False


class Neq(Message, frozen=True, kw_only=True, tag_field="op", tag="neq"):
    """Exactly not `eq`: holds when the value is absent."""

    field: FieldName
    value: Scalar
    ignore_case: bool = False


class In(Message, frozen=True, kw_only=True, tag_field="op", tag="in"):
    """`eq` to one of the values."""

    field: FieldName
    value: Annotated[tuple[Scalar, ...], Meta(max_length=20_000)]
    ignore_case: bool = False


class NotIn(Message, frozen=True, kw_only=True, tag_field="op", tag="not_in"):
    """Exactly not `in`."""

    field: FieldName
    value: Annotated[tuple[Scalar, ...], Meta(max_length=20_000)]
    ignore_case: bool = False


class Gt(Message, frozen=True, kw_only=True, tag_field="op", tag="gt"):
    """Greater than a number; false for a value that is none."""

    field: FieldName
    value: Number


class Gte(Message, frozen=True, kw_only=True, tag_field="op", tag="gte"):
    """Greater than or equal to a number."""

    field: FieldName
    value: Number


class Lt(Message, frozen=True, kw_only=True, tag_field="op", tag="lt"):
    """Less than a number."""

    field: FieldName
    value: Number


class Lte(Message, frozen=True, kw_only=True, tag_field="op", tag="lte"):
    """Less than or equal to a number."""

    field: FieldName
    value: Number


class Between(Message, frozen=True, kw_only=True, tag_field="op", tag="between"):
    """Between two numbers, both included."""

    field: FieldName
    value: tuple[Number, Number]


class Contains(Message, frozen=True, kw_only=True, tag_field="op", tag="contains"):
    """The text holds this one."""

    field: FieldName
    value: Text
    ignore_case: bool = False


class NotContains(Message, frozen=True, kw_only=True, tag_field="op", tag="not_contains"):
    """Exactly not `contains`."""

    field: FieldName
    value: Text
    ignore_case: bool = False


class StartsWith(Message, frozen=True, kw_only=True, tag_field="op", tag="starts_with"):
    """The text begins with this one."""

    field: FieldName
    value: Text
    ignore_case: bool = False


class EndsWith(Message, frozen=True, kw_only=True, tag_field="op", tag="ends_with"):
    """The text ends with this one."""

    field: FieldName
    value: Text
    ignore_case: bool = False


class Matches(Message, frozen=True, kw_only=True, tag_field="op", tag="matches"):
    """RE2, unanchored, `.` matches a newline."""

    field: FieldName
    value: Pattern
    ignore_case: bool = False


class Exists(Message, frozen=True, kw_only=True, tag_field="op", tag="exists"):
    """There is a value; `""`, null and `{}` are none, `[]` is one."""

    field: FieldName


class NotExists(Message, frozen=True, kw_only=True, tag_field="op", tag="not_exists"):
    """Exactly not `exists`."""

    field: FieldName


class Before(Message, frozen=True, kw_only=True, tag_field="op", tag="before"):
    """A time earlier than this one."""

    field: FieldName
    value: Instant


class After(Message, frozen=True, kw_only=True, tag_field="op", tag="after"):
    """A time at or after this one."""

    field: FieldName
    value: Instant


class WithinLast(Message, frozen=True, kw_only=True, tag_field="op", tag="within_last"):
    """as_of minus the duration ≤ time ≤ as_of."""

    field: FieldName
    value: Duration


class WithinNext(Message, frozen=True, kw_only=True, tag_field="op", tag="within_next"):
    """as_of ≤ time ≤ as_of plus the duration."""

    field: FieldName
    value: Duration


class ArrayContains(Message, frozen=True, kw_only=True, tag_field="op", tag="array_contains"):
    """Some element of the array is `eq` to the value."""

    field: FieldName
    value: Scalar
    ignore_case: bool = False


class AnyElement(Message, frozen=True, kw_only=True, tag_field="op", tag="any"):
    """Some element of an array of objects satisfies `where`, whose fields are paths inside the element."""

    field: FieldName
    where: Predicate


class AllElements(Message, frozen=True, kw_only=True, tag_field="op", tag="all"):
    """Every element of an array of objects satisfies `where`; true for an empty or absent array."""

    field: FieldName
    where: Predicate


Predicate: TypeAlias = (
    And
    | Or
    | Not
    | Eq
    | Neq
    | In
    | NotIn
    | Gt
    | Gte
    | Lt
    | Lte
    | Between
    | Contains
    | NotContains
    | StartsWith
    | EndsWith
    | Matches
    | Exists
    | NotExists
    | Before
    | After
    | WithinLast
    | WithinNext
    | ArrayContains
    | AnyElement
    | AllElements
)
