"""ClickHouse's SELECT as sqlglot reads and writes it, kept close to the text: no function is renamed or reinterpreted.

sqlglot knows hundreds of functions and writes many of them back under other names, for it translates between databases.
Here every call stays what it is called, so that the list of allowed functions is asked for the very names that the
engine will see.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from sqlglot import exp
from sqlglot.dialects.clickhouse import ClickHouse
from sqlglot.generators.clickhouse import ClickHouseGenerator
from sqlglot.parsers.clickhouse import ClickHouseParser
from sqlglot.tokenizer_core import TokenType

_CALLS: Final = ("CAST", "EXTRACT", "COLUMNS", "VIEW")
"""The only functions whose arguments are more than a list of expressions."""

_MODIFIERS: Final = frozenset(
    (
        *(TokenType.PREWHERE, TokenType.WHERE, TokenType.GROUP_BY, TokenType.HAVING, TokenType.QUALIFY),
        *(TokenType.WINDOW, TokenType.ORDER_BY, TokenType.FETCH, TokenType.OFFSET),
        *(TokenType.SETTINGS, TokenType.FORMAT),  # read only to be refused by name
    )
)


class LimitBy(exp.Expression):
    """`LIMIT n BY …`, which may stand before another LIMIT. `this`: the Limit, with its expressions and offset."""

    arg_types: ClassVar[Any] = {"this": True}


class Source(exp.Expression):
    """What stands in a table's place: a sub-select that is SQL already. `this`: its text."""

    arg_types: ClassVar[Any] = {"this": True}


class Sql(ClickHouse):
    """The dialect of custom SQL."""

    class Tokenizer(ClickHouse.Tokenizer):
        COMMANDS: ClassVar[Any] = set()  # of these the rest would be one token
        COMMAND_PREFIX_TOKENS: ClassVar[Any] = set()

    class Parser(ClickHouseParser):
        FUNCTIONS: ClassVar[Any] = {}
        FUNCTION_PARSERS: ClassVar[Any] = {
            name: parser for name, parser in ClickHouseParser.FUNCTION_PARSERS.items() if name in _CALLS
        }
        NO_PAREN_FUNCTIONS: ClassVar[Any] = {}
        NO_PAREN_FUNCTION_PARSERS: ClassVar[Any] = {
            name: parser for name, parser in ClickHouseParser.NO_PAREN_FUNCTION_PARSERS.items() if name == "CASE"
        }
        COLUMN_OPERATORS: ClassVar[Any] = {
            kind: parser
            for kind, parser in ClickHouseParser.COLUMN_OPERATORS.items()
            if kind in (TokenType.DOT, TokenType.DOTCOLON, TokenType.DCOLON, TokenType.DOTCARET)
        }
        QUERY_MODIFIER_PARSERS: ClassVar[Any] = {
            **{kind: parser for kind, parser in ClickHouseParser.QUERY_MODIFIER_PARSERS.items() if kind in _MODIFIERS},
            TokenType.LIMIT: lambda self: self._parse_either_limit(),
        }
        QUERY_MODIFIER_TOKENS: ClassVar[Any] = set(QUERY_MODIFIER_PARSERS)

        def _parse_either_limit(self) -> tuple[str, exp.Expr | None]:
            limit = self._parse_limit()
            if limit is not None and self._match_pair(TokenType.OFFSET, TokenType.NUMBER, advance=False):
                limit = self._parse_offset_by(limit)
            if limit is not None and limit.expressions:
                return "limit_by", self.expression(LimitBy(this=limit))
            return "limit", limit

        def _parse_offset_by(self, limit: exp.Expr) -> exp.Expr:
            """Read `OFFSET m BY …` behind a LIMIT; an OFFSET of its own is left where it is."""
            start = self._index
            self._advance()
            offset = self._parse_number()
            keys = self._parse_limit_by()
            if keys is None:
                self._retreat(start)
            else:
                limit.set("offset", offset)
                limit.set("expressions", keys)
            return limit

        def _parse_function(self, *args: Any, **kwargs: Any) -> exp.Expr | None:
            """Any function may have parameters, `f(0.5)(x)`, not only the aggregates that sqlglot knows."""
            call = super()._parse_function(*args, **kwargs)
            if not isinstance(call, exp.Anonymous) or not self._match(TokenType.L_PAREN, advance=False):
                return call
            parameters = self._parse_func_params(call)
            made = exp.ParameterizedAgg(this=call.this, expressions=call.expressions, params=parameters)
            made.meta.update(call.meta)
            window: exp.Expr | None = self._parse_window(self.expression(made))
            return window

    class Generator(ClickHouseGenerator):
        TRANSFORMS: ClassVar[Any] = {
            **ClickHouseGenerator.TRANSFORMS,
            LimitBy: lambda self, node: _limit_by(self, node),
            exp.IntDiv: lambda self, node: self.func("intDiv", node.this, node.expression),
            Source: lambda self, node: f"({node.this})",
        }

        def offset_limit_modifiers(self, expression: exp.Expr, fetch: bool, limit: Any) -> list[str]:
            return [self.sql(expression, "limit_by"), *super().offset_limit_modifiers(expression, fetch, limit)]


def _limit_by(generator: Any, node: LimitBy) -> str:
    limit = node.this
    offset = limit.args.get("offset")
    numbers = f"{generator.sql(offset)}, " if offset else ""
    keys = ", ".join(generator.sql(each) for each in limit.expressions)
    return f" LIMIT {numbers}{generator.sql(limit, 'expression')} BY {keys}"
