"""One op asked of one value: SQL that is 0 or 1, never NULL. Meanings: docs/predicates.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from contracts.predicates import Scalar
from services.kit import sql
from services.kit.predicates.numbers import (
    Number,
    NumberSets,
    compare_as_doubles,
    literal,
    number_of_text,
    number_sets,
    whole_or_double,
)
from services.kit.predicates.values import NUMBER_PATTERN, Value, numbers_of_text

Comparison: TypeAlias = Literal["<", "<=", ">", ">="]
TextTest: TypeAlias = Callable[[str], str]
"""SQL of a String expression → SQL of UInt8."""

TIME_PATTERN: Final = (
    r"^(19|2[0-2])[0-9][0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
    r"(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?)?$"
)
"""The texts that are times, but for days a month lacks."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The values of eq, in and array_contains, sorted by how they are compared."""

    texts: tuple[str, ...]
    """Compared with texts, booleans, arrays and objects."""
    any_number: NumberSets
    """Compared with JSON numbers."""
    json_number: NumberSets
    """Compared with texts that are numbers, too."""


def wanted(values: Iterable[Scalar]) -> Wanted:
    """Sort the values to be looked up."""
    texts: dict[str, None] = {}
    of_texts: list[Number] = []
    of_json: list[Number] = []
    for value in values:
        if isinstance(value, bool):
            texts["true" if value else "false"] = None
        elif isinstance(value, str):
            texts[value] = None
            number = number_of_text(value)
            if number is not None:
                of_texts.append(number)
        else:
            of_json.append(whole_or_double(value))
    texts.pop("", None)
    return Wanted(tuple(texts), number_sets([*of_texts, *of_json]), number_sets(of_json))


def is_one_of(value: Value, values: Wanted, *, ignore_case: bool) -> str:
    """Return whether the value is `eq` to one of the values."""
    tests: list[str] = []
    if value.string is not None:
        tests += _string_is_one_of(value, values, ignore_case)
    if value.numbers:
        tests += _chain(_lookups(value.numbers, value.double, values.any_number))
    if value.boolean is not None:
        tests += _boolean_is_one_of(value.boolean, values.texts, ignore_case)
    structured = tuple(text for text in values.texts if text[0] in "[{")
    if value.composite is not None and structured:
        tests.append(f"ifNull({_membership(value.composite, structured, ignore_case)}, 0)")
    if value.moment is not None and value.other is not None and values.texts:
        tests.append(f"ifNull({_membership(value.other, values.texts, ignore_case)}, 0)")
    return any_of(tests)


def compares(value: Value, comparisons: Sequence[tuple[Comparison, Number]]) -> str:
    """Return whether the value is a number for which every comparison holds."""

    def holds(number: str) -> str:
        return f"({' AND '.join(f'{number} {operator} {literal(bound)}' for operator, bound in comparisons)})"

    rounded = compare_as_doubles(bound for _, bound in comparisons)
    numbers = (value.double,) if rounded and value.double is not None else value.numbers
    tests = _chain([holds(number) for number in numbers])
    if value.string is not None:
        of_text = (_double(value.string),) if rounded else numbers_of_text(value.string)
        tests.append(_when_number(value.string, [holds(number) for number in of_text]))
    return any_of(tests)


def text_satisfies(value: Value, test: TextTest) -> str:
    """Return whether the value is present and its text passes the test."""
    tests: list[str] = []
    if value.string is not None:
        passed = f"({value.string} != '' AND {test(value.string)})"
        tests.append(f"ifNull({passed}, 0)" if value.nullable else passed)
    if value.other is not None:
        # Lazily: most values are strings, and the text of anything else is costly.
        unset = "1" if value.string is None else _is_unset(value)
        tests.append(f"if({unset}, ifNull({test(value.other)}, 0), 0)")
    return any_of(tests)


def is_present(value: Value) -> str:
    """Return whether there is a value."""
    tests: list[str] = []
    if value.string is not None:
        tests.append(f"ifNull({value.string} != '', 0)" if value.nullable else f"{value.string} != ''")
    if value.present is not None:
        tests.append(value.present)
    return any_of(tests)


def moment_satisfies(value: Value, test: TextTest) -> str:
    """Return whether the value is a time that passes the test, which is given SQL of a Nullable(DateTime64)."""
    if value.moment is not None:
        return f"({test(value.moment)})"
    if value.string is None:
        return "0"
    parsed = f"parseDateTime64BestEffortOrNull({value.string}, 6, 'UTC')"
    return f"if({_matches(value.string, TIME_PATTERN)}, ifNull({test(parsed)}, 0), 0)"


def contains(part: str, ignore_case: bool) -> TextTest:
    """Return the test that a text holds a part."""
    return lambda text: f"position({_folded(text, ignore_case)}, {_folded(sql.string(part), ignore_case)}) > 0"


def starts_with(part: str, ignore_case: bool) -> TextTest:
    """Return the test that a text begins with a part."""
    return lambda text: f"startsWith({_folded(text, ignore_case)}, {_folded(sql.string(part), ignore_case)})"


def ends_with(part: str, ignore_case: bool) -> TextTest:
    """Return the test that a text ends with a part."""
    return lambda text: f"endsWith({_folded(text, ignore_case)}, {_folded(sql.string(part), ignore_case)})"


def matches(pattern: str, ignore_case: bool) -> TextTest:
    """Return the test that a pattern is found in a text."""
    flags = "(?si)" if ignore_case else "(?s)"
    return lambda text: f"match({text}, {sql.string(flags + pattern)})"


def is_number_text(text: str) -> str:
    """Return whether a text is a number; NULL for NULL."""
    return _matches(text, NUMBER_PATTERN)


def any_of(tests: Sequence[str]) -> str:
    """Return whether one of the tests holds."""
    return _joined("or", tests, "0")


def all_of(tests: Sequence[str]) -> str:
    """Return whether all of the tests hold."""
    return _joined("and", tests, "1")


def _joined(function: str, tests: Sequence[str], nothing: str) -> str:
    if len(tests) < 2:
        return tests[0] if tests else nothing
    return f"{function}({', '.join(tests)})"


def _string_is_one_of(value: Value, values: Wanted, ignore_case: bool) -> list[str]:
    assert value.string is not None
    tests: list[str] = []
    if values.texts:
        member = _membership(value.string, values.texts, ignore_case)
        tests.append(f"ifNull({member}, 0)" if value.nullable else member)
    lookups = _lookups(numbers_of_text(value.string), _double(value.string), values.json_number)
    if lookups:
        tests.append(_when_number(value.string, lookups))
    return tests


def _boolean_is_one_of(boolean: str, texts: tuple[str, ...], ignore_case: bool) -> list[str]:
    known = {text.lower() if ignore_case else text for text in texts}
    return [f"ifNull({boolean} = {word}, 0)" for word in ("true", "false") if word in known]


def _membership(text: str, texts: tuple[str, ...], ignore_case: bool) -> str:
    literals = [_folded(sql.string(one), ignore_case) for one in texts]
    subject = _folded(text, ignore_case)
    return f"{subject} = {literals[0]}" if len(literals) == 1 else f"{subject} IN ({', '.join(literals)})"


def _lookups(numbers: Sequence[str], double: str | None, sets: NumberSets) -> list[str]:
    """Return one nullable lookup for each type that can hold one of the numbers."""
    pairs = list(zip(numbers, (sets.signed, sets.unsigned, sets.double), strict=True))
    if sets.as_doubles and double is not None:
        pairs = [(double, sets.double)]
    return [
        f"{number} = {literals[0]}" if len(literals) == 1 else f"{number} IN ({', '.join(literals)})"
        for number, literals in pairs
        if literals
    ]


def _double(text: str) -> str:
    return f"toFloat64OrNull({text})"


def _chain(lookups: Sequence[str]) -> list[str]:
    return [f"coalesce({', '.join(lookups)}, 0)"] if lookups else []


def _when_number(text: str, tests: Sequence[str]) -> str:
    return f"if({is_number_text(text)}, coalesce({', '.join(tests)}, 0), 0)"


def _matches(text: str, pattern: str) -> str:
    return f"match({text}, {sql.string(pattern)})"


def _is_unset(value: Value) -> str:
    return f"isNull({value.string})" if value.nullable else f"{value.string} = ''"


def _folded(text: str, ignore_case: bool) -> str:
    return f"lowerUTF8({text})" if ignore_case else text
