"""SQL that reads one value in every type it may have been stored with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.kit import sql
from services.kit.event_schema import CONTEXT_PATHS

NUMBER_PATTERN: Final = r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
"""The texts that are numbers; in RE2 `$` is the end of the text only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """Expressions for the types a value may have. In a row at most one is set, none when the value is absent.

    `string`: String ('' when unset) or, if `nullable`, Nullable(String) (NULL or '' when unset).
    `numbers`: Nullable(Int64), Nullable(UInt64), Nullable(Float64); the first that is not NULL is the JSON number.
    `double`: Nullable(Float64), all of `numbers` rounded, where that is the cheaper way to read them.
    `boolean`: Nullable(Bool). `moment`: DateTime64, of time columns.
    `composite`: Nullable(String), the compact JSON of an array or object.
    `other`: Nullable(String), the text of anything that is no string. `present`: UInt8, there is such a thing.
    None stands for: never of that type.
    `json`: Nullable(String), the value as JSON of its own type, NULL when absent.
    """

    string: str | None = None
    nullable: bool = True
    numbers: tuple[str, ...] = ()
    double: str | None = None
    boolean: str | None = None
    composite: str | None = None
    other: str | None = None
    present: str | None = None
    moment: str | None = None
    json: str = "CAST(NULL, 'Nullable(String)')"

    @property
    def text(self) -> str:
        """Nullable(String): the value's text, NULL when absent."""
        if self.string is None:
            return self.other if self.other is not None else "CAST(NULL, 'Nullable(String)')"
        own = f"nullIf({self.string}, '')"
        if self.other is None:
            return f"CAST({own}, 'Nullable(String)')"
        return f"if(isNotNull({own}), {own}, {self.other})"


ABSENT: Final = Value()


def text_column(name: str) -> Value:
    """Return the value of a column of texts."""
    column = sql.identifier(name)
    return Value(string=column, nullable=False, json=f"if({column} = '', NULL, toJSONString({column}))")


def constant(text: str) -> Value:
    """Return the value that is this text in every row."""
    literal = sql.string(text)
    return Value(string=literal, nullable=False, json=f"CAST(toJSONString({literal}), 'Nullable(String)')")


def time_column(name: str) -> Value:
    """Return the value of a DateTime64(3) column in UTC."""
    column = sql.identifier(name)
    text = f"CAST(concat(replaceOne(toString({column}), ' ', 'T'), 'Z'), 'Nullable(String)')"
    return Value(moment=column, other=text, present="1", json=f"toJSONString({text})")


def whole_object(column: str) -> Value:
    """Return the value of a column of objects."""
    text = f"nullIf({object_text(column)}, '{{}}')"
    return Value(composite=text, other=text, present=f"isNotNull({text})", json=text)


def at_path(column: str, names: tuple[str, ...]) -> Value:
    """Return the value at a path of a column of objects, read by typed subcolumns where there can be any."""
    path = ".".join(names)
    if column == "context" and path in CONTEXT_PATHS:
        declared = sql.json_path(column, path)
        return Value(string=declared, json=f"toJSONString(nullIf({declared}, ''))")
    if not _is_subcolumn(path):
        return in_text(f"JSONExtractRaw({object_text(column)}{_keys(names)})")
    dynamic = sql.json_path(column, path)
    inner = f"{sql.identifier(column)}.^{sql.identifier(path)}"
    inside = f"nullIf(toJSONString({inner}), '{{}}')"
    array = f"if(startsWith(dynamicType({dynamic}), 'Array'), toJSONString({dynamic}), NULL)"
    scalar = f"CAST({dynamic}, 'Nullable(String)')"
    return Value(
        string=f"{dynamic}.:String",
        numbers=tuple(f"{dynamic}.:{type_}" for type_ in ("Int64", "UInt64", "Float64")),
        boolean=f"{dynamic}.:Bool",
        composite=f"if(isNull({dynamic}), {inside}, {array})",
        other=f"multiIf(isNull({dynamic}), {inside}, "
        f"startsWith(dynamicType({dynamic}), 'Array'), toJSONString({dynamic}), nullIf({scalar}, ''))",
        present=f"if(isNull({dynamic}), notEmpty({inner}), isNull({dynamic}.:String))",
        json=f"multiIf(isNull({dynamic}), {inside}, ifNull({dynamic}.:String = '', 0), NULL, toJSONString({dynamic}))",
    )


def in_text(raw: str) -> Value:
    """Return the value whose JSON text an expression (String, '' when absent) holds."""
    composite = f"startsWith({raw}, '[') OR (startsWith({raw}, '{{') AND {raw} != '{{}}')"
    scalar = f"match({raw}, '^[-0-9tf]')"
    return Value(
        string=f"if(startsWith({raw}, '\"'), JSONExtractString({raw}), '')",
        nullable=False,
        numbers=numbers_of_text(raw),
        double=f"toFloat64OrNull({raw})",
        boolean=f"if({raw} IN ('true', 'false'), {raw} = 'true', NULL)",
        composite=f"if({composite}, {raw}, NULL)",
        other=f"if({scalar} OR {composite}, {raw}, NULL)",
        present=f"({scalar} OR {composite})",
        json=f"if({raw} IN ('', 'null', '\"\"', '{{}}'), NULL, {raw})",
    )


def numbers_of_text(text: str) -> tuple[str, str, str]:
    """Return what `numbers` of a value holds, from a text; NULL, all of them, when it is no number."""
    signed, unsigned = f"toInt64OrNull({text})", f"toUInt64OrNull({text})"
    # An integer is never read as a double, too: rounded, it could equal another number.
    return signed, unsigned, f"if(isNull({signed}) AND isNull({unsigned}), toFloat64OrNull({text}), NULL)"


def array_elements(column: str, names: tuple[str, ...]) -> str:
    """Return Array(String): the JSON texts of the elements of the array at a path; empty when it is none."""
    path = ".".join(names)
    if column == "context" and path in CONTEXT_PATHS:
        return "emptyArrayString()"
    if not _is_subcolumn(path):
        return inner_elements(object_text(column), names)
    return f"JSONExtractArrayRaw(ifNull(toJSONString({sql.json_path(column, path)}), ''))"


def inner_value(raw: str, names: tuple[str, ...]) -> str:
    """Return String: the JSON text of the value inside an object's JSON text, '' when there is none."""
    return f"JSONExtractRaw({raw}{_keys(names)})" if names else raw


def inner_elements(raw: str, names: tuple[str, ...]) -> str:
    """Return Array(String): the elements of the array inside an object's JSON text."""
    return f"JSONExtractArrayRaw({raw}{_keys(names)})"


def object_text(column: str) -> str:
    """Return String: a column's object as compact JSON."""
    return f"toJSONString({sql.identifier(column)})"


def _keys(names: tuple[str, ...]) -> str:
    return "".join(f", {sql.string(name)}" for name in names)


def _is_subcolumn(path: str) -> bool:
    # An empty name is no identifier; ":`" and "^`" are the engine's own marks of types and sub-objects.
    return path != "" and ":`" not in path and "^`" not in path
