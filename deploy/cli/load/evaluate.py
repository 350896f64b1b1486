"""Evaluation of expressions, a column at a time: `evaluate(node, read, size)` is one list with a value for each row.

Absent values (empty CSV fields, JSON nulls) are None; an operation on None gives None, a comparison false.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

from deploy.cli.load import values
from deploy.cli.load.coded import Coded
from deploy.cli.load.errors import MappingError, RowError
from deploy.cli.load.expression import Call, Column, Literal, Node
from deploy.cli.load.memo import each_of

Read = Callable[[str], Sequence[Any]]
"""Returns the values of a column by its name."""


def evaluate(node: Node, read: Read, size: int) -> Sequence[Any]:
    """Return the value of an expression for every row.

    Raises:
        RowError: some row has no value for it; the caller finds out which by asking for fewer rows.
    """
    if isinstance(node, Literal):
        return Coded((node.value,), bytes(size))
    if isinstance(node, Column):
        return read(node.name)
    function = FUNCTIONS[node.name][2]
    if not node.arguments:
        return [function() for _ in range(size)]
    return each_of(function, [evaluate(argument, read, size) for argument in node.arguments])


def check(node: Node, known: Mapping[str, tuple[int, int, Any]] | None = None) -> None:
    """Check the functions of an expression.

    Raises:
        MappingError: an unknown function or a wrong number of arguments.
    """
    if not isinstance(node, Call):
        return
    functions = FUNCTIONS if known is None else known
    if node.name not in functions:
        names = ", ".join(sorted(name for name in functions if name.isidentifier()))
        raise MappingError(f"there is no function {node.name}(); there are {names}")
    least, most, _ = functions[node.name]
    if not least <= len(node.arguments) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise MappingError(f"{node.name}() takes {wanted} arguments, not {len(node.arguments)}")
    for argument in node.arguments:
        check(argument, known)


def _arithmetic(operate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def apply(left: Any, right: Any) -> Any:
        if left is None or right is None:
            return None
        a, b = values.number(left), values.number(right)
        try:
            return operate(a, b)
        except ArithmeticError as error:
            raise RowError(f"{a} and {b} cannot be computed with: {type(error).__name__}") from error

    return apply


def _divide(a: Any, b: Any) -> Any:
    return None if b == 0 else Decimal(a) / Decimal(b)


def _compare(operate: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def apply(left: Any, right: Any) -> bool:
        if left is None or right is None:
            return False
        if isinstance(left, str) and isinstance(right, str):
            a, b = values.number_of_text(left), values.number_of_text(right)
            # Two texts that are not both numbers compare as text, so ISO 8601 times compare in order.
            return operate(left, right) if a is None or b is None else operate(a, b)
        return operate(values.number(left), values.number(right))

    return apply


def equal(left: Any, right: Any) -> bool:
    """Whether two values are equal: as numbers when one is a number and the other spells one, else as text."""
    if left is None or right is None or left == "" or right == "":
        return left in (None, "") and right in (None, "")
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    if isinstance(left, bool) or isinstance(right, bool):
        return values.text(left) == values.text(right)
    try:
        return values.number(left) == values.number(right)
    except RowError:
        return values.text(left) == values.text(right)


def truth(value: Any) -> bool:
    """Whether a condition holds: absent, false, 0 and '' do not."""
    return bool(value) and value != "false"


def _textual(function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*arguments: Any) -> Any:
        given = [values.text(argument) for argument in arguments]
        return None if any(item is None for item in given) else function(*given)

    return apply


def _url(part: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def apply(value: Any) -> Any:
        if value is None:
            return None
        try:
            return part(urlsplit(values.text(value) or "")) or None
        except ValueError:  # no URL, so it has no such part; real data holds some
            return None

    return apply


def _object(*pairs: Any) -> dict[str, Any]:
    keys = [values.text(key) or "" for key in pairs[::2]]
    if len(pairs) % 2:
        raise RowError("object() takes pairs of a name and a value")
    return {key: item for key, item in zip(keys, map(values.plain, pairs[1::2]), strict=True) if item is not None}


def _round(value: Any, digits: Any = 0) -> Any:
    exact = values.number(value)
    return None if exact is None else round(Decimal(exact), int(digits))


def _number(value: Any) -> Any:
    return None if value == "" else values.number(value)


def _lower(value: str) -> str:
    return value.lower()


_MANY: Final = 64
FUNCTIONS: Final[Mapping[str, tuple[int, int, Callable[..., Any]]]] = {
    "+": (2, 2, _arithmetic(lambda a, b: a + b)),
    "-": (2, 2, _arithmetic(lambda a, b: a - b)),
    "*": (2, 2, _arithmetic(lambda a, b: a * b)),
    "/": (2, 2, _arithmetic(_divide)),
    "=": (2, 2, equal),
    "!=": (2, 2, lambda a, b: not equal(a, b)),
    "<": (2, 2, _compare(lambda a, b: a < b)),
    "<=": (2, 2, _compare(lambda a, b: a <= b)),
    ">": (2, 2, _compare(lambda a, b: a > b)),
    ">=": (2, 2, _compare(lambda a, b: a >= b)),
    "and": (2, 2, lambda a, b: truth(a) and truth(b)),
    "or": (2, 2, lambda a, b: truth(a) or truth(b)),
    "not": (1, 1, lambda a: not truth(a)),
    "if": (3, 3, lambda condition, a, b: a if truth(condition) else b),
    "coalesce": (1, _MANY, lambda *given: next((item for item in given if item is not None and item != ""), None)),
    "text": (1, 1, values.text),
    "number": (1, 1, _number),
    "boolean": (1, 1, values.boolean),
    "round": (1, 2, _round),
    "lower": (1, 1, _textual(_lower)),
    "upper": (1, 1, _textual(lambda a: a.upper())),
    "trim": (1, 1, _textual(lambda a: a.strip())),
    "concat": (1, _MANY, _textual(lambda *given: "".join(given))),
    "replace": (3, 3, _textual(lambda a, old, new: a.replace(old, new))),
    "starts_with": (2, 2, lambda a, b: a is not None and (values.text(a) or "").startswith(b)),
    "ends_with": (2, 2, lambda a, b: a is not None and (values.text(a) or "").endswith(b)),
    "contains": (2, 2, lambda a, b: a is not None and b in (values.text(a) or "")),
    "url_path": (1, 1, _url(lambda url: url.path)),
    "url_host": (1, 1, _url(lambda url: url.hostname)),
    "url_search": (1, 1, _url(lambda url: f"?{url.query}" if url.query else "")),
    "object": (2, _MANY, _object),
}
