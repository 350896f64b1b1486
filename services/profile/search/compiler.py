"""Pure compiler: predicate tree → a condition on `profiles p` that is true or false, never NULL.

The functions it calls (schema `profile`, the migration of search) hold the meanings of docs/predicates.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from contracts import predicates as tree
from contracts.errors import InvalidRequest
from services.kit import timerange
from services.kit.predicates.numbers import Number, comparable
from services.profile.search.fields import Found, Place, Value, elements, locate
from services.profile.search.numbers import Wanted, numeric, wanted
from services.profile.search.parameters import Parameters

Test = Callable[[Value], str]
"""SQL of a condition on a value; NULL counts as false."""
_COMPARISONS: Final[dict[type, str]] = {tree.Gt: ">", tree.Gte: ">=", tree.Lt: "<", tree.Lte: "<="}


@dataclass(frozen=True, slots=True)
class Clock:
    """What times relative to now are relative to; `timezone`: IANA, checked."""

    as_of: datetime
    timezone: str


class Compiler:
    """Compiles the predicates of one statement. `matches` is none of them: see `patterns`."""

    def __init__(self, parameters: Parameters, clock: Clock) -> None:
        self._parameters, self._clock = parameters, clock

    def condition(self, predicate: tree.Predicate, pointer: str) -> str:
        """Return the condition.

        Raises:
            InvalidRequest: at the JSON Pointer, under `pointer`, of the field or value that cannot be.
        """
        return self._compile(predicate, Place(self._parameters), pointer)

    def _compile(self, node: tree.Predicate, place: Place, pointer: str) -> str:
        match node:
            case tree.And():
                return all_of([self._compile(x, place, f"{pointer}/items/{i}") for i, x in enumerate(node.items)])
            case tree.Or():
                return any_of([self._compile(x, place, f"{pointer}/items/{i}") for i, x in enumerate(node.items)])
            case tree.Not():
                return f"(NOT {self._compile(node.item, place, f'{pointer}/item')})"
            case tree.Neq() | tree.NotIn() | tree.NotContains() | tree.NotExists():
                return f"(NOT {self._ask(node, place, pointer)})"
            case tree.AnyElement() | tree.AllElements():
                found = elements(place, node.field, f"{pointer}/field")
                inside = replace(place, element=found.value.json, depth=found.depth)
                where = self._compile(node.where, inside, f"{pointer}/where")
                if isinstance(node, tree.AnyElement):
                    return _some(found, where)
                return f"(NOT {_some(found, f'(NOT {where})')})"
            case tree.ArrayContains():
                found = elements(place, node.field, f"{pointer}/field")
                return _some(found, self._equals(wanted([node.value]), node.ignore_case)(found.value))
            case _:
                return self._ask(node, place, pointer)

    def _ask(self, node: tree.Predicate, place: Place, pointer: str) -> str:
        """Return whether the field's value, or any of them, passes the test; of a negated op, that of its twin."""
        assert not isinstance(node, tree.And | tree.Or | tree.Not)
        found = locate(place, node.field, f"{pointer}/field")
        test = self._test(node, pointer)(found.value)
        return _some(found, test) if found.sources else f"coalesce({test}, false)"

    def _test(self, node: tree.Predicate, pointer: str) -> Test:
        at = f"{pointer}/value"
        match node:
            case tree.Eq() | tree.Neq():
                return self._equals(wanted([node.value]), node.ignore_case)
            case tree.In() | tree.NotIn():
                return self._equals(wanted(node.value), node.ignore_case)
            case tree.Gt() | tree.Gte() | tree.Lt() | tree.Lte():
                return self._compares([(_COMPARISONS[type(node)], comparable(node.value, at))], pointer)
            case tree.Between():
                low, high = (comparable(bound, f"{at}/{i}") for i, bound in enumerate(node.value))
                return self._compares([(">=", low), ("<=", high)], pointer)
            case tree.Contains() | tree.NotContains():
                return self._of_text(node.value, node.ignore_case, lambda text, part: f"strpos({text}, {part}) > 0")
            case tree.StartsWith():
                return self._of_text(node.value, node.ignore_case, lambda text, part: f"starts_with({text}, {part})")
            case tree.EndsWith():
                return self._of_text(
                    node.value, node.ignore_case, lambda text, part: f"right({text}, length({part})) = {part}"
                )
            case tree.Exists() | tree.NotExists():
                return lambda value: f"profile.text({value.json}) IS NOT NULL"
            case tree.Before() | tree.After():
                moment = self._parameters.bind(timerange.parse_instant(node.value, at), "timestamptz")
                operator = "<" if isinstance(node, tree.Before) else ">="
                return lambda value: f"{_moment(value)} {operator} {moment}"
            case tree.WithinLast() | tree.WithinNext():
                first, last = (self._parameters.bind(end, "timestamptz") for end in self._span(node, at))
                return lambda value: f"{_moment(value)} BETWEEN {first} AND {last}"
            case _:
                raise TypeError(f"{type(node).__name__} is not asked here")

    def _equals(self, values: Wanted, ignore_case: bool) -> Test:
        bind = self._parameters

        def test(value: Value) -> str:
            tests = []
            if values.texts:
                text, texts = f"profile.text({value.json})", bind.texts(values.texts)
                if ignore_case:
                    text, texts = f"profile.folded({text})", f"profile.all_folded({texts})"
                tests.append(f"{text} = ANY ({texts})")
            for kind, numbers in (("number", values.numbers), ("string", values.json_numbers)):
                if numbers:
                    listed = f"{bind.texts([numeric(number) for number in numbers])}::numeric[]"
                    number = f"profile.number({value.json}) = ANY ({listed})"
                    tests.append(f"(jsonb_typeof({value.json}) = '{kind}' AND {number})")
            return any_of(tests)

        return test

    def _compares(self, comparisons: Sequence[tuple[str, Number]], pointer: str) -> Test:
        def test(value: Value) -> str:
            if value.moment is not None:
                raise InvalidRequest.at(
                    f"{pointer}/op", "a time is no number: use before, after, within_last or within_next"
                )
            number = f"profile.number({value.json})"
            return all_of(
                [f"{number} {operator} {self._numeric(bound)}" for operator, bound in comparisons],
            )

        return test

    def _of_text(self, part: str, ignore_case: bool, test: Callable[[str, str], str]) -> Test:
        if "\0" in part:
            return lambda _: "false"  # no text here has a NUL
        bound = self._parameters.text(part)

        def of(value: Value) -> str:
            text = f"profile.text({value.json})"
            return test(f"profile.folded({text})", f"profile.folded({bound})") if ignore_case else test(text, bound)

        return of

    def _numeric(self, number: Number) -> str:
        return f"{self._parameters.text(numeric(number))}::numeric"

    def _span(self, node: tree.WithinLast | tree.WithinNext, at: str) -> tuple[datetime, datetime]:
        duration = timerange.parse_duration(node.value, at)
        sign = -1 if isinstance(node, tree.WithinLast) else 1
        as_of = self._clock.as_of
        other = timerange.shift(as_of, duration, sign=sign, timezone=self._clock.timezone, pointer=at)
        return (other, as_of) if sign < 0 else (as_of, other)


def all_of(conditions: Sequence[str]) -> str:
    """Return whether all of the conditions hold."""
    return f"({' AND '.join(conditions)})" if conditions else "true"


def any_of(conditions: Sequence[str]) -> str:
    """Return whether one of the conditions holds."""
    return f"({' OR '.join(conditions)})" if conditions else "false"


def _some(found: Found, condition: str) -> str:
    """Return whether the condition holds of one of the rows."""
    return f"EXISTS (SELECT FROM {', '.join(found.sources)} WHERE {condition})"


def _moment(value: Value) -> str:
    return value.moment if value.moment is not None else f"profile.moment({value.json})"
