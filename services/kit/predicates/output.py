"""Fields as output: their text for breakdowns and catalogues, their JSON for rows. Meanings: docs/predicates.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.kit import identity, sql
from services.kit.predicates import values
from services.kit.predicates.columns import COLUMNS, Scope
from services.kit.predicates.compiler import Place, locate
from services.kit.predicates.fields import parse_field
from services.kit.predicates.operations import is_number_text
from services.kit.predicates.values import Value

_NO_NUMBER: Final = "CAST(NULL, 'Nullable(Float64)')"


@dataclass(frozen=True, slots=True)
class Field:
    """SQL of a field's value in a row.

    `text`: Nullable(String), as breakdowns show it. `json`: Nullable(String), JSON of its own type. `number`:
    Nullable(Float64). `texts`: Array(String), one text for each value; only a field with `[]` has more than one, and
    its `text` and `json` are the array of its values, its `number` is NULL.
    """

    text: str
    json: str
    number: str
    texts: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """SQL of an output column.

    `json`: String, `null` when absent. `text`: String, for CSV, '' when absent. `typed`: for Parquet and Arrow, a
    DateTime64(3, 'UTC') for the times, else Nullable(String). `wide`: the JSON may hold integers beyond 2^53.
    """

    json: str
    text: str
    typed: str
    wide: bool


def compile_field(field: str, scope: Scope, pointer: str) -> Field:
    """Return SQL of a field's value; every expression is NULL or empty in a table that lacks the field.

    Raises:
        InvalidRequest: at `pointer`: no such field.
    """
    found = locate(Place(scope), field, pointer)
    if isinstance(found, Value):
        texts = f"arrayFilter(x -> x != '', [ifNull({found.text}, '')])"
        return Field(found.text, found.json, _number(found), texts)
    element = values.in_text("e")
    texts = f"arrayFilter(x -> x != '', arrayMap(e -> ifNull({element.text}, ''), {found}))"
    parts = f"arrayFilter(x -> x != '', arrayMap(e -> ifNull({element.json}, ''), {found}))"
    listed = f"if(empty({parts}), NULL, concat('[', arrayStringConcat({parts}, ','), ']'))"
    return Field(listed, listed, _NO_NUMBER, texts)


def render_column(column: str, scope: Scope, pointer: str) -> Rendered:
    """Return SQL of an output column of an events query: `actor`, a column, or a path.

    Raises:
        InvalidRequest: at `pointer`: no such column.
    """
    if column == "actor":
        return _actor(scope)
    reference = parse_field(column, pointer)
    field = compile_field(column, scope, pointer)
    kind = COLUMNS[reference.column]
    if kind.kind == "time":
        return Rendered(f"assumeNotNull({field.json})", f"assumeNotNull({field.text})", sql.identifier(column), False)
    if reference.path is None and kind.kind == "object" and set(kind.tables) & set(scope.tables):
        # An object that is there is shown even when it is empty.
        whole = values.object_text(column)
        return Rendered(whole, whole, f"CAST({whole}, 'Nullable(String)')", True)
    text = f"ifNull({field.text}, '')"
    return Rendered(f"ifNull({field.json}, 'null')", text, field.text, kind.kind == "object")


def _actor(scope: Scope) -> Rendered:
    kind, id_ = identity.actor_columns(scope.blocked)
    text = f"concat('{{\"kind\":\"', {kind}, '\",\"id\":', toJSONString({id_}), '}}')"
    known = f"{kind} != ''"
    return Rendered(f"if({known}, {text}, 'null')", f"if({known}, {text}, '')", f"if({known}, {text}, NULL)", False)


def _number(value: Value) -> str:
    numbers = [f"toFloat64({number})" for number in value.numbers]
    if value.string is not None:
        numbers.append(f"if({is_number_text(value.string)}, toFloat64OrNull({value.string}), NULL)")
    return f"coalesce({', '.join(numbers)})" if numbers else _NO_NUMBER
