"""The mapping's expressions: parsed here, evaluated in evaluate.py.

or → and → not → = != < <= > >= → + - → * / → -x → 'text', 12.5, true, null, column, `any column`, f(x, …), ( … )
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from deploy.cli.load.errors import MappingError

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<text>'(?:[^']|'')*')|(?P<quoted>`[^`]+`)|(?P<word>[^\W\d][\w.]*)"
    r"|(?P<sign>!=|<=|>=|[-+*/=<>(),]))"
)
_LEVELS: Final = (("or",), ("and",), ("=", "!=", "<", "<=", ">", ">="), ("+", "-"), ("*", "/"))
_CONSTANTS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None}
MAX_DEPTH: Final = 50


@dataclass(frozen=True)
class Literal:
    """A constant."""

    value: Any


@dataclass(frozen=True)
class Column:
    """The value of a column, or of a dotted path of an NDJSON row."""

    name: str


@dataclass(frozen=True)
class Call:
    """A function or an operator applied to its arguments."""

    name: str
    arguments: tuple[Node, ...]


Node = Literal | Column | Call


def parse(source: str) -> Node:
    """Return the tree of an expression.

    Raises:
        MappingError: says what is wrong and where, and that constant texts take quotes.
    """
    return _Parser(source).parse()


def columns_of(node: Node) -> Iterator[str]:
    """Yield the name of every column an expression reads."""
    if isinstance(node, Column):
        yield node.name
    elif isinstance(node, Call):
        for argument in node.arguments:
            yield from columns_of(argument)


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens: list[tuple[str, str, int]] = []
        at = 0
        while source[at:].strip():
            match = _TOKEN.match(source, at)
            if match is None:
                raise self.error(at, "this is no expression")
            assert match.lastgroup is not None
            self.tokens.append((match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            at = match.end()
        self.tokens.append(("end", "", len(source)))
        self.position = 0
        self.depth = 0

    def error(self, at: int, message: str) -> MappingError:
        return MappingError(
            f"{message} at position {at + 1} of: {self.source}\n"
            "  (a constant text takes single quotes: 'Order Line'; an odd column name backticks: `Unit Price`)"
        )

    def parse(self) -> Node:
        node = self.binary(0)
        kind, text, at = self.tokens[self.position]
        if kind != "end":
            raise self.error(at, f"unexpected {text}")
        return node

    def accept(self, *texts: str) -> str | None:
        kind, text, _ = self.tokens[self.position]
        if kind in ("sign", "word") and text in texts:
            self.position += 1
            return text
        return None

    def binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self.unary()
        if level == 2 and self.accept("not"):
            return Call("not", (self.nested(2),))
        node = self.binary(level + 1)
        while operator := self.accept(*_LEVELS[level]):
            node = Call(operator, (node, self.binary(level + 1)))
        return node

    def nested(self, level: int) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(self.tokens[self.position][2], f"nested more than {MAX_DEPTH} deep")
        node = self.binary(level)
        self.depth -= 1
        return node

    def unary(self) -> Node:
        if self.accept("-"):
            return Call("-", (Literal(0), self.nested(len(_LEVELS))))
        return self.primary()

    def primary(self) -> Node:
        kind, text, at = self.tokens[self.position]
        self.position += 1
        if kind == "number":
            return Literal(Decimal(text) if "." in text else int(text))
        if kind == "text":
            return Literal(text[1:-1].replace("''", "'"))
        if kind == "quoted":
            return Column(text[1:-1])
        if kind == "word" and text in _CONSTANTS:
            return Literal(_CONSTANTS[text])
        if kind == "word":
            return Call(text, self.arguments()) if self.accept("(") else Column(text)
        if text == "(":
            node = self.nested(0)
            if not self.accept(")"):
                raise self.error(self.tokens[self.position][2], "a ) is missing")
            return node
        raise self.error(at, f"unexpected {text or 'end'}")

    def arguments(self) -> tuple[Node, ...]:
        if self.accept(")"):
            return ()
        found = [self.nested(0)]
        while self.accept(","):
            found.append(self.nested(0))
        if not self.accept(")"):
            raise self.error(self.tokens[self.position][2], "a ) is missing")
        return tuple(found)
