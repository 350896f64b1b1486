"""The order of profiles, total because ids are unique, and what comes after one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from contracts.errors import InvalidRequest
from contracts.profile_search import ProfileSort
from services.kit.predicates.numbers import number_of_text
from services.profile.search.fields import TIMES, trait_path, value_at
from services.profile.search.parameters import Parameters

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST: Final = (datetime(2300, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LONGEST: Final = 128
"""Characters of a text that count in the order of a trait."""
_keys: Final = msgspec.json.Decoder(tuple[tuple[int | str, ...], UUID])


@dataclass(frozen=True, slots=True)
class Order:
    """`keys`: SQL of what is sorted by, before the id; `indexed`: an index has this order."""

    by: ProfileSort
    keys: tuple[str, ...]
    indexed: bool

    @property
    def columns(self) -> str:
        """The keys, named k0, k1, …, each after a comma."""
        return "".join(f", {key} AS k{place}" for place, key in enumerate(self.keys))

    def clause(self, rows: str | None = None) -> str:
        """Return what ORDER BY says: of profiles `p`, or of other rows that have the columns."""
        way = self.by.order.upper()
        keys = self.keys if rows is None else tuple(f"{rows}.k{place}" for place in range(len(self.keys)))
        parts = [f"{key} {way}" for key in keys]
        if not self.indexed:
            parts[0] = f"{keys[0]} ASC"  # what has no such trait comes last either way
        return ", ".join([*parts, f"{rows or 'p'}.id {way}"])

    def after(self, last: tuple[Sequence[int | str], UUID], parameters: Parameters) -> str:
        """Return the condition that a profile comes after the one with these keys and this id."""
        values, id_ = last
        way = "<" if self.by.order == "desc" else ">"
        bound = [_bound(value, parameters, as_time=self.by.by in TIMES) for value in values]
        own = parameters.bind(id_, "uuid")
        if self.indexed:
            return f"({', '.join([*self.keys, 'p.id'])}) {way} ({', '.join([*bound, own])})"
        kind, *rest = self.keys
        number = f"{bound[1]}::numeric"
        follows = f'({", ".join([*rest, "p.id"])}) {way} ({number}, {bound[2]} COLLATE "C", {own})'
        return f"({kind} > {bound[0]} OR ({kind} = {bound[0]} AND {follows}))"


def order_of(by: ProfileSort, parameters: Parameters, pointer: str) -> Order:
    """Return the order a request asks for.

    Raises:
        InvalidRequest: under `pointer`: it cannot be sorted by that field.
    """
    if by.by in TIMES:
        return Order(by, (f"p.{by.by}",), indexed=True)
    if by.by == "id":
        return Order(by, (), indexed=True)
    path = trait_path(by.by, f"{pointer}/by")
    if path is None or path.steps or not path.names:
        raise InvalidRequest.at(f"{pointer}/by", "sort by last_seen_at, first_seen_at, id or a trait without []")
    value = value_at(parameters, "p.traits", path.names)
    number, text = f"profile.number({value})", f"profile.text({value})"
    return Order(
        by,
        (
            f"CASE WHEN {number} IS NOT NULL THEN 0 WHEN {text} IS NOT NULL THEN 1 ELSE 2 END",
            f"coalesce({number}, 0)",
            f"coalesce(CASE WHEN {number} IS NULL THEN left({text}, {_LONGEST}) END, '') COLLATE \"C\"",
        ),
        indexed=False,
    )


def key_of(order: Order, row: Any) -> str:
    """Return the text that stands for a row with the columns of the order and `id`, in a cursor."""
    keys = [row[f"k{place}"] for place in range(len(order.keys))]
    values = [
        (key - _EPOCH) // timedelta(microseconds=1)
        if isinstance(key, datetime)
        else key
        if isinstance(key, int)
        else str(key)
        for key in keys
    ]
    return msgspec.json.encode((values, row["id"])).decode()


def read_key(order: Order, text: str) -> tuple[tuple[int | str, ...], UUID]:
    """Read what `key_of` wrote.

    Raises:
        InvalidRequest: at /cursor: it is none of this order.
    """
    try:
        values, id_ = _keys.decode(text)
    except msgspec.DecodeError:
        raise foreign() from None
    if len(values) != len(order.keys) or not all(map(_fits, values, _shapes(order))):
        raise foreign()
    return values, id_


def _shapes(order: Order) -> tuple[str, ...]:
    return tuple("time" for _ in order.keys) if order.indexed else ("kind", "number", "text")


def _fits(value: int | str, shape: str) -> bool:
    match shape:
        case "time":
            return isinstance(value, int) and -_MOST <= value <= _MOST
        case "kind":
            return value in (0, 1, 2)
        case "number":
            written = str(value).removeprefix("-")
            return isinstance(value, str) and (written == "Infinity" or number_of_text(value) is not None)
        case _:
            return isinstance(value, str) and "\0" not in value


def _bound(value: int | str, parameters: Parameters, *, as_time: bool) -> str:
    if isinstance(value, int) and as_time:
        return parameters.bind(_EPOCH + timedelta(microseconds=value), "timestamptz")
    return parameters.bind(value, "int") if isinstance(value, int) else parameters.text(value)


def foreign() -> InvalidRequest:
    """Return the error of a cursor that was made for something else."""
    return InvalidRequest.at("/cursor", "not a cursor of profiles")
