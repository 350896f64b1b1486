"""What a statement may be made of: the parser's nodes, and of those that can hold more, the parts that are let through.

A list of what is allowed: whatever a newer parser comes to understand is refused until it is added here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlglot import exp

from services.query.sql.dialect import LimitBy

NODES: Final = frozenset(
    (
        *(exp.Select, exp.Union, exp.Except, exp.Intersect, exp.Subquery, exp.From, exp.Join, exp.Table),
        *(exp.TableAlias, exp.With, exp.CTE, exp.Final, exp.Where, exp.PreWhere, exp.Having, exp.Qualify, exp.Group),
        *(exp.GroupingSets, exp.Rollup, exp.Cube, exp.Order, exp.Ordered, exp.WithFill, exp.Limit, exp.LimitOptions),
        *(LimitBy, exp.Offset, exp.Fetch, exp.Window, exp.WindowSpec, exp.Filter, exp.Distinct, exp.Star, exp.Columns),
        *(exp.Column, exp.Identifier, exp.Alias, exp.Literal, exp.HexString, exp.BitString, exp.Boolean, exp.Null),
        *(exp.Paren, exp.Tuple, exp.Array, exp.Bracket, exp.Dot, exp.JSONCast, exp.NestedJSONSelect, exp.Lambda),
        *(exp.Anonymous, exp.AnonymousAggFunc, exp.CombinedAggFunc, exp.ParameterizedAgg, exp.CombinedParameterizedAgg),
        *(exp.Case, exp.If, exp.Cast, exp.CastToStrType, exp.Extract, exp.Interval, exp.DataType, exp.DataTypeParam),
        *(exp.Var, exp.And, exp.Or, exp.Not, exp.Neg, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.IntDiv),
        *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Is, exp.In),
        *(exp.Between, exp.Like, exp.ILike, exp.RegexpLike, exp.DPipe, exp.Exists, exp.Placeholder),
        exp.ColumnDef,  # the named element of a Tuple type
    )
)

_QUERY: Final = frozenset(("with_", "expressions", "distinct", "limit", "offset", "order", "limit_by"))
PARTS: Final[Mapping[type[exp.Expr], frozenset[str]]] = {
    exp.Select: _QUERY | {"from_", "joins", "prewhere", "where", "group", "having", "qualify", "windows"},
    exp.Subquery: frozenset(("this", "alias", "with_", "joins", "limit", "offset", "order", "limit_by")),
    exp.Union: _QUERY | {"this", "expression"},
    exp.Except: _QUERY | {"this", "expression"},
    exp.Intersect: _QUERY | {"this", "expression"},
    exp.Table: frozenset(("this", "alias", "joins")),
    exp.Join: frozenset(("this", "side", "kind", "method", "on", "using", "global_", "expressions")),
    exp.CTE: frozenset(("this", "alias", "scalar")),
    exp.With: frozenset(("expressions", "recursive")),
    exp.Group: frozenset(("expressions", "grouping_sets", "cube", "rollup", "totals", "all")),
    exp.Star: frozenset(("except_", "replace")),
    exp.Cast: frozenset(("this", "to")),
    exp.In: frozenset(("this", "expressions", "query", "field", "is_global")),
    exp.Placeholder: frozenset(("this", "kind")),
    exp.Lambda: frozenset(("this", "expressions")),
    exp.Column: frozenset(("this", "table", "db", "catalog")),
    exp.ColumnDef: frozenset(("this", "kind")),
    exp.Fetch: frozenset(("direction", "count", "limit_options")),
}
"""Of these nodes only the named parts may be there."""

CALLS: Final = (
    exp.Anonymous,
    exp.AnonymousAggFunc,
    exp.CombinedAggFunc,
    exp.ParameterizedAgg,
    exp.CombinedParameterizedAgg,
)
"""Nodes that call a function by its name."""

TYPES: Final = frozenset(
    (
        *(f"{sign}INT{bits}" for sign in ("", "U") for bits in (128, 256)),
        *("TINYINT", "SMALLINT", "INT", "BIGINT", "UTINYINT", "USMALLINT", "UINT", "UBIGINT", "FLOAT", "DOUBLE"),
        *("DECIMAL", "DECIMAL32", "DECIMAL64", "DECIMAL128", "DECIMAL256", "BOOLEAN", "TEXT", "VARCHAR", "CHAR"),
        *("FIXEDSTRING", "UUID", "DATE", "DATE32", "DATETIME", "DATETIME64", "TIMESTAMP", "IPV4", "IPV6", "ENUM"),
        *("ENUM8", "ENUM16", "ARRAY", "STRUCT", "MAP", "NULLABLE", "LOWCARDINALITY", "NOTHING", "JSON", "DYNAMIC"),
        *("VARIANT", "NESTED", "TIME", "INTERVAL"),
    )
)
"""Data types of a cast or a parameter, as the parser names them."""

NAMES: Final[Mapping[type[exp.Expr], str]] = {
    exp.Apply: "APPLY",
    exp.Command: "this kind of statement",
    exp.Values: "VALUES",
    exp.Aliases: "a list of aliases, or a call of a function of this name,",
    exp.Parameter: "a parameter without a type",
    exp.TableSample: "SAMPLE",
}
"""What to call nodes that are refused and whose class says too little."""


def within(root: exp.Expr) -> list[exp.Expr]:
    """Return a node and all below it, those of a level before the next: `walk`, in half the time."""
    nodes = [root]
    for node in nodes:
        for part in node.args.values():
            if isinstance(part, exp.Expr):
                nodes.append(part)
            elif isinstance(part, list):
                nodes.extend(each for each in part if isinstance(each, exp.Expr))
    return nodes
