"""The clock of a statement: now() and its like say the request's time, never the server's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlglot import exp

from services.query.sql.dialect import Sql

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND: Final = 2**32 - 1
"""Of a DateTime; the first is 0."""


def fix(nodes: Sequence[exp.Expr], as_of: datetime) -> None:
    """Replace what asks for the time among a checked statement's nodes, of which each comes before those below it.

    A column of a result keeps the name it would have had.
    """
    asking: list[exp.Expr] = []
    asking += [node for node in nodes if isinstance(node, exp.Anonymous) and node.name.lower() in _CLOCKS]
    bare = [node for node in nodes if isinstance(node, exp.Column) and _is_bare(node)]
    if bare:
        known = set(_defined(nodes))
        asking += [node for node in bare if node.name not in known]
    for node in asking:
        _keep_name(node)
    for node in reversed(asking):
        node.replace(_CLOCKS[node.name.lower()](as_of, node.expressions))


def _is_bare(column: exp.Column) -> bool:
    return len(column.parts) == 1 and column.name.lower() in _WITHOUT_BRACKETS


def _defined(nodes: Sequence[exp.Expr]) -> list[str]:
    """Return the names that a statement gives: a column so named is no function to the engine."""
    names = []
    for node in nodes:
        match node:
            case exp.Alias():
                names.append(node.alias)
            case exp.TableAlias():
                names += [node.name, *(each.name for each in node.columns)]
            case exp.Lambda():
                names += [each.name for each in node.expressions]
    return names


def _keep_name(node: exp.Expr) -> None:
    """Give the column of a SELECT that a node stands in the name that it has now."""
    while node.parent is not None and not isinstance(node.parent, exp.Select):
        node = node.parent
    if node.parent is None or node.arg_key != "expressions" or isinstance(node, exp.Alias | exp.Star):
        return
    column = exp.Alias(alias=exp.to_identifier(node.sql(Sql, comments=False), quoted=True))
    node.replace(column)
    column.set("this", node)


def _second(as_of: datetime, arguments: list[exp.Expr]) -> exp.Expr:
    """`arguments`: a time zone, or none."""
    seconds = min(max((as_of - _EPOCH) // timedelta(seconds=1), 0), _LAST_SECOND)
    return _call("toDateTime", exp.Literal.number(seconds), *arguments)


def _fraction(as_of: datetime, arguments: list[exp.Expr]) -> exp.Expr:
    """`arguments`: the number of digits, or none; a time zone, or none."""
    milliseconds = exp.Literal.string(str((as_of - _EPOCH) // timedelta(milliseconds=1)))
    exact = _call("fromUnixTimestamp64Milli", _call("toInt64", milliseconds))
    digits = arguments[0] if arguments else exp.Literal.number(3)
    return _call("toDateTime64", exact, digits, *arguments[1:])


def _day(as_of: datetime, arguments: list[exp.Expr]) -> exp.Expr:
    return _call("toDate", _second(as_of, arguments))


def _day_before(as_of: datetime, arguments: list[exp.Expr]) -> exp.Expr:
    return _call("subtractDays", _day(as_of, arguments), exp.Literal.number(1))


def _time_of_day(as_of: datetime, arguments: list[exp.Expr]) -> exp.Expr:
    return _call("toTime", _second(as_of, arguments))


def _universal(as_of: datetime, arguments: list[exp.Expr]) -> exp.Expr:
    return _second(as_of, [*arguments, exp.Literal.string("UTC")])


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=list(arguments))


_CLOCKS: Final[Mapping[str, Callable[[datetime, list[exp.Expr]], exp.Expr]]] = {
    **dict.fromkeys(("now", "nowinblock", "current_timestamp", "localtimestamp"), _second),
    **dict.fromkeys(("now64", "nowinblock64"), _fraction),
    **dict.fromkeys(("today", "curdate", "current_date"), _day),
    "yesterday": _day_before,
    "localtime": _time_of_day,
    **dict.fromkeys(("utctimestamp", "utc_timestamp"), _universal),
}
"""By the function's name in lower case: the same time as the function returns, in the same type."""
_WITHOUT_BRACKETS: Final = frozenset(
    ("now", "today", "curdate", "current_date", "current_timestamp", "localtime", "localtimestamp")
)
"""Those that the engine calls for a bare name, unless a column has it."""
