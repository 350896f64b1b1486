"""`matches`: PostgreSQL has no RE2, so patterns are looked for here, in the rows that pass everything else.

A tree with patterns becomes two: one without, which every profile of the whole tree meets, for PostgreSQL, and a test
of rows, whose columns are the truth of the parts without patterns and the texts that patterns are looked for in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import re2

from contracts import predicates as tree
from contracts.errors import InvalidRequest
from services.kit.predicates.checks import check_pattern
from services.profile.search.compiler import Compiler
from services.profile.search.fields import Place, locate
from services.profile.search.parameters import Parameters

_TRUE: Final = tree.And(items=())
_FALSE: Final = tree.Or(items=())
Test = Callable[[Sequence[Any]], bool]


@dataclass(frozen=True, slots=True)
class Split:
    """`loose`: a tree without patterns, implied by the one it was made of. `columns`: SQL; `test`: of their values."""

    loose: tree.Predicate
    columns: tuple[str, ...] = ()
    test: Test | None = None


def split(predicate: tree.Predicate, compiler: Compiler, parameters: Parameters, pointer: str) -> Split:
    """Take the patterns out of a predicate.

    Raises:
        InvalidRequest: at the JSON Pointer, under `pointer`: not RE2, or asked of an array's elements one at a time.
    """
    if not _has_pattern(predicate):
        return Split(predicate)
    columns: list[str] = []
    test = _Tests(compiler, parameters, columns).of(predicate, pointer)
    return Split(_without(predicate, implied=True), tuple(columns), test)


@dataclass(frozen=True, slots=True)
class _Tests:
    compiler: Compiler
    parameters: Parameters
    columns: list[str]

    def of(self, node: tree.Predicate, pointer: str) -> Test:
        if not _has_pattern(node):
            return self._column(self.compiler.condition(node, pointer), bool)
        match node:
            case tree.And():
                every = [self.of(item, f"{pointer}/items/{i}") for i, item in enumerate(node.items)]
                return lambda row: all(test(row) for test in every)
            case tree.Or():
                some = [self.of(item, f"{pointer}/items/{i}") for i, item in enumerate(node.items)]
                return lambda row: any(test(row) for test in some)
            case tree.Not():
                inner = self.of(node.item, f"{pointer}/item")
                return lambda row: not inner(row)
            case tree.Matches():
                return self._column(self._texts(node.field, f"{pointer}/field"), _search(node, f"{pointer}/value"))
            case _:
                raise InvalidRequest.at(
                    f"{pointer}/op",
                    "`matches` cannot be asked of one element at a time here: use contains, starts_with or ends_with "
                    "inside, or `matches` with [] in its field",
                )

    def _texts(self, field: str, pointer: str) -> str:
        found = locate(Place(self.parameters), field, pointer)
        text = f"profile.text({found.value.json})"
        return f"ARRAY(SELECT {text} FROM {', '.join(found.sources)})" if found.sources else f"ARRAY[{text}]"

    def _column(self, column: str, test: Callable[[Any], bool]) -> Test:
        place = len(self.columns)
        self.columns.append(column)
        return lambda row: test(row[place])


def _search(node: tree.Matches, pointer: str) -> Callable[[Sequence[str | None]], bool]:
    pattern = re2.compile(("(?si)" if node.ignore_case else "(?s)") + check_pattern(node.value, pointer))
    return lambda texts: any(text is not None and pattern.search(text) is not None for text in texts)


def _without(node: tree.Predicate, *, implied: bool) -> tree.Predicate:
    """Return the tree with patterns taken for true where that makes it true of more, or of less (not `implied`)."""
    match node:
        case tree.Matches():
            return _TRUE if implied else _FALSE
        case tree.And():
            return tree.And(items=tuple(_without(item, implied=implied) for item in node.items))
        case tree.Or():
            return tree.Or(items=tuple(_without(item, implied=implied) for item in node.items))
        case tree.Not():
            return tree.Not(item=_without(node.item, implied=not implied))
        case _:
            return node


def _has_pattern(node: tree.Predicate) -> bool:
    match node:
        case tree.Matches():
            return True
        case tree.And() | tree.Or():
            return any(map(_has_pattern, node.items))
        case tree.Not():
            return _has_pattern(node.item)
        case tree.AnyElement() | tree.AllElements():
            return _has_pattern(node.where)
        case _:
            return False
