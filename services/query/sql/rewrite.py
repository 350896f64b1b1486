"""Wall 1, second half: every table becomes the workspace's own rows of it, and the statement is written anew."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlglot import exp

from services.kit.identity import Blocked
from services.query.sql import refused
from services.query.sql.dialect import Source, Sql
from services.query.sql.tables import DICTIONARY_CALLS, JSON_COLUMNS, NOT_YET, VISIBLE, physical, sub_select

_SIMPLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
MAX_SOURCES: Final = 200
"""Tables of the engine that one statement may read, the same one counted each time it is named."""
_Scope = Mapping[str, str]
"""Of each CTE that may be named here, the name it is given."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A statement for the engine, and what must be found in it when the engine itself reads it."""

    sql: str
    tables: frozenset[str]
    """Full names of the engine's tables."""
    table_functions: frozenset[str]
    dictionary_calls: int
    """Calls of `dictGetOrDefault`."""
    explained: bool = False
    """The plan is wanted, not the rows."""
    described: bool = False
    """The columns are wanted: the statement has them, and no rows."""


def rewrite(text: str, root: exp.Expr, workspace: UUID, blocked: Blocked | None, paths: Collection[str]) -> Rewritten:
    """Return a checked statement over one workspace's rows; `root` is changed. `paths`: its `json_paths`.

    Raises:
        InvalidRequest: names a table that is not there.
    """
    rewriter = _Rewriter(text, workspace, blocked, paths)
    rewriter.visit(root, {})
    return Rewritten(
        sql=root.sql(Sql, copy=False, comments=False),
        tables=frozenset(rewriter.sources),
        table_functions=frozenset(rewriter.table_functions),
        dictionary_calls=rewriter.sources.total() * DICTIONARY_CALLS,
    )


def json_paths(nodes: Iterable[exp.Expr]) -> tuple[str, ...]:
    """Return the names of the JSON subcolumns that a statement's nodes read, none when it asks for all columns: those
    given besides would be among them."""
    found = set()
    for node in nodes:
        match node:
            case exp.Column():
                found.add(_path(node))
            case exp.Columns() | exp.Star(parent=exp.Select() | exp.Column()):
                return ()
    return tuple(sorted(found - {""}))


def _path(column: exp.Column) -> str:
    """Return the name of the longest subcolumn that begins with a column, '' for none or one of another name."""
    node: exp.Expr = column
    parts = [part.name for part in column.parts]
    while isinstance(node.parent, exp.Dot) and node.parent.this is node:
        node = node.parent
        if not isinstance(node.expression, exp.Identifier):
            return ""
        parts.append(node.expression.name)
    start = next((index for index, part in enumerate(parts[:2]) if part in JSON_COLUMNS), None)
    if start is None or len(parts) < start + 2 or not all(_SIMPLE.match(part) for part in parts):
        return ""
    path = ".".join(parts[start:])
    if isinstance(node.parent, exp.JSONCast):
        type_ = node.parent.to.sql(Sql)
        return f"{path}.:`{type_}`" if _SIMPLE.match(type_) else ""
    return path


@dataclass(slots=True)
class _Rewriter:
    text: str
    workspace: UUID
    blocked: Blocked | None
    paths: Collection[str]
    sources: Counter[str] = field(default_factory=Counter)
    table_functions: set[str] = field(default_factory=set)
    named: int = 0

    def visit(self, node: exp.Expr, scope: _Scope) -> None:
        """Rewrite the tables below a node, which may name the CTEs in scope."""
        with_ = node.args.get("with_")
        if with_ is not None:
            scope = self._with(with_, scope)
        if isinstance(node, exp.Select):
            _merge_prewhere(node)
        for child in list(node.iter_expressions()):
            if child is with_:
                continue
            if isinstance(child, exp.Final):
                child = child.replace(child.this)  # each event comes once as it is
            self.visit(child, scope)
            if isinstance(child, exp.Table):
                self._table(child, scope)

    def _with(self, with_: exp.Expr, scope: _Scope) -> _Scope:
        for cte in with_.expressions:
            if cte.args.get("scalar"):
                self.visit(cte, scope)
                continue
            name, given = cte.alias, f"__cte{self.named}"
            self.named += 1
            inner = {**scope, name: given} if with_.args.get("recursive") else scope
            self.visit(cte, inner)
            cte.args["alias"].set("this", exp.to_identifier(given))
            scope = {**scope, name: given}
        return scope

    def _table(self, table: exp.Table, scope: _Scope) -> None:
        if isinstance(table.this, exp.Anonymous):
            self._table_function(table)
            return
        name = table.name
        alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(name, quoted=True))
        if name in scope:
            table.set("this", exp.to_identifier(scope[name]))
            table.set("alias", alias)
            return
        if name not in VISIBLE:
            what = "is not there yet" if name in NOT_YET else "is not there"
            known = ", ".join(VISIBLE)
            raise refused.at(self.text, refused.offset_of(table.this), f"the table {name} {what}: there are {known}")
        self.sources.update(physical(source) for source in VISIBLE[name].sources)
        if self.sources.total() > MAX_SOURCES:
            what = f"the statement reads tables over {MAX_SOURCES} times (events counts as four)"
            raise refused.at(self.text, refused.offset_of(table.this), what)
        table.set("this", Source(this=sub_select(name, self.workspace, self.blocked, self.paths)))
        table.set("alias", alias)

    def _table_function(self, table: exp.Table) -> None:
        call = table.this
        if call.name == "view":
            _replace(table, exp.Subquery(this=call.expressions[0], alias=table.args.get("alias")))
        else:
            self.table_functions.add(call.name)


def _replace(table: exp.Table, sub: exp.Subquery) -> None:
    joins = table.args.get("joins")
    if joins:
        sub.set("joins", joins)
    table.replace(sub)


def _merge_prewhere(select: exp.Select) -> None:
    """What is asked before columns are read may only be asked of a table: of a sub-select it is a WHERE."""
    prewhere = select.args.pop("prewhere", None)
    if prewhere is None:
        return
    where = select.args.get("where")
    condition = prewhere.this
    if where is not None:
        condition = exp.And(this=exp.paren(prewhere.this), expression=exp.paren(where.this))
    select.set("where", exp.Where(this=condition))
