"""`x IN name`, where the name is a common table expression's or a list's: written out before anything is checked.

What comes of it (`x IN (SELECT name.a FROM name)`, `x IN ('a', 'b')`) anyone could have written, and is checked and
rewritten like the rest. A name that could mean something else as well is left as it is, and so refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sqlglot import exp

from services.query.sql.nodes import within
from services.query.sql.tables import VISIBLE

_COLUMNS: Final = frozenset(("number", *(name for table in VISIBLE.values() for name in table.columns)))
"""Names that tables and table functions give: the engine takes a name for a column before it takes it for a table."""
_MOST: Final = 10_000
"""Nodes that are written out, all together: a name may stand for thousands, and stand thousands of times."""
_MATERIALIZE: Final = "materialize"
_VALUES: Final = (exp.Literal, exp.Null, exp.Boolean)


def write_out(nodes: Sequence[exp.Expr]) -> bool:
    """Change the INs among a statement's nodes; return whether there may be new nodes now."""
    members = [node for node in nodes if isinstance(node, exp.In)]
    named = [(node, name) for node in members if (name := _name(node))]
    if named:
        _write_out(nodes, named)
    asking = [node for node in members if node.args.get("query")]
    for node in asking:
        _keep_from_folding(node)
    return bool(named or asking)


def _write_out(nodes: Sequence[exp.Expr], named: Sequence[tuple[exp.In, str]]) -> None:
    declared = Counter(_declared(nodes))
    ctes = {cte.alias: cte for node in nodes if isinstance(node, exp.With) for cte in node.expressions}
    sides: dict[str, exp.Expr | None] = {}
    left = _MOST
    for node, name in named:
        cte = ctes.get(name)
        if cte is None or declared[name] > 1 or name in _COLUMNS or not _is_within(node, cte):
            continue
        if name not in sides:
            sides[name] = _right_side(name, cte)
        side = sides[name]
        if side is not None:
            left -= len(within(side))
            if left < 0:
                break
            _set(node, side.copy())


def _keep_from_folding(node: exp.In) -> None:
    """Let no lambda around an IN be computed beforehand: with the setting `limit` the engine (26.9) computes one over
    constants, `arrayMap(x -> x IN (SELECT …), [1, 2])`, before the set is there, and nothing is in it."""
    around = node.find_ancestor(exp.Lambda, exp.Query)
    while isinstance(around, exp.Lambda) and isinstance(around.parent, exp.Anonymous):
        call = around.parent
        for argument in call.expressions:
            if argument is not around and argument.name != _MATERIALIZE:
                kept = exp.Anonymous(this=_MATERIALIZE)
                argument.replace(kept)
                kept.set("expressions", [argument])
        around = call.find_ancestor(exp.Lambda, exp.Query)


def _name(node: exp.In) -> str:
    """Return the name that stands alone on the right side, '' when something else does."""
    field, listed = node.args.get("field"), node.expressions
    value = listed[0] if field is None and len(listed) == 1 else field
    return value.name if isinstance(value, exp.Column) and len(value.parts) == 1 else ""


def _declared(nodes: Iterable[exp.Expr]) -> Iterator[str]:
    """Yield the names that a statement gives to anything, each as often as it does."""
    for node in nodes:
        if isinstance(node, exp.Alias):
            yield node.alias
        elif isinstance(node, exp.TableAlias):
            yield node.name
            yield from (column.name for column in node.columns)
        elif isinstance(node, exp.Lambda):
            yield from (argument.name for argument in node.expressions)


def _is_within(node: exp.Expr, cte: exp.Expr) -> bool:
    """Tell whether a node stands in the statement that a CTE belongs to."""
    with_: exp.Expr | None = cte.parent
    statement = None if with_ is None else with_.parent
    above = node.parent
    while above is not None and above is not statement:
        above = above.parent
    return above is not None


def _right_side(name: str, cte: exp.Expr) -> exp.Expr | None:
    """Return what a CTE's name stands for: a list, or a SELECT of its columns; None when that is not plain to see."""
    if cte.args.get("scalar"):
        values: exp.Expr = cte.this.unnest()
        return values if _is_list(values) else None
    columns = _columns(cte.this)
    return exp.Subquery(this=_select(name, columns)) if columns else None


def _is_list(node: exp.Expr) -> bool:
    """Tell whether a node is a value or a list of values that are there to be seen."""
    if isinstance(node, exp.Tuple | exp.Array):
        return all(map(_is_list, node.expressions))
    return isinstance(node, _VALUES) or (isinstance(node, exp.Neg | exp.Paren) and _is_list(node.this))


def _columns(query: exp.Expr) -> list[exp.Identifier]:
    """Return the names of a query's columns, none when one of them has none that is plain to see."""
    while isinstance(query, exp.SetOperation):
        query = query.this
    names: list[exp.Identifier] = []
    for each in query.expressions if isinstance(query, exp.Select) else ():
        name = each.args.get("alias") if isinstance(each, exp.Alias) else each.this
        if not isinstance(each, exp.Alias | exp.Column) or not isinstance(name, exp.Identifier):
            return []
        if isinstance(each, exp.Column) and len(each.parts) > 1:
            return []
        names.append(name)
    return names


def _select(name: str, columns: list[exp.Identifier]) -> exp.Select:
    table = exp.to_identifier(name, quoted=True)
    return exp.Select(
        expressions=[exp.Column(this=column.copy(), table=table.copy()) for column in columns],
        from_=exp.From(this=exp.Table(this=table)),
    )


def _set(node: exp.In, side: exp.Expr) -> None:
    part = "query" if isinstance(side, exp.Subquery) else "field"
    for each in ("field", "expressions", "query"):
        node.set(each, side if each == part else None)
