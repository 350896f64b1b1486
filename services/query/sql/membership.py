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
"""Nodes of lists that are written out, all together."""
_VALUES: Final = (exp.Literal, exp.Null, exp.Boolean)


def write_out(nodes: Sequence[exp.Expr]) -> bool:
    """Change the INs among a statement's nodes; return whether there were any, and with them new nodes."""
    found = [(node, name) for node in nodes if isinstance(node, exp.In) and (name := _name(node))]
    if not found:
        return False
    declared = Counter(_declared(nodes))
    ctes = {cte.alias: cte for node in nodes if isinstance(node, exp.With) for cte in node.expressions}
    written = 0
    for node, name in found:
        cte = ctes.get(name)
        if cte is None or declared[name] > 1 or name in _COLUMNS or not _is_within(node, cte):
            continue
        if cte.args.get("scalar"):
            values = cte.this.unnest()
            if _is_list(values) and (written := written + len(within(values))) <= _MOST:
                _set(node, field=values.copy())
        elif columns := _columns(cte.this):
            _set(node, query=exp.Subquery(this=_select(name, columns)))
    return True


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


def _set(node: exp.In, **parts: exp.Expr) -> None:
    for part in ("field", "expressions", "query"):
        node.set(part, parts.get(part))
