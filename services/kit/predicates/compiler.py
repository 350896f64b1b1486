"""Pure compiler: predicate tree → one ClickHouse expression that is 0 or 1, never NULL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from contracts import predicates as tree
from contracts.errors import InvalidRequest
from services.kit import sql, timerange
from services.kit.predicates import operations, profile, values
from services.kit.predicates.checks import check_limits, check_pattern
from services.kit.predicates.columns import COLUMNS, PROFILE, Scope
from services.kit.predicates.fields import Path, Reference, parse_field, parse_path
from services.kit.predicates.numbers import comparable
from services.kit.predicates.operations import Comparison
from services.kit.predicates.values import Value

_COMPARISONS: dict[type, Comparison] = {tree.Gt: ">", tree.Gte: ">=", tree.Lt: "<", tree.Lte: "<="}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a field is looked up: in a row, or, with `element` (SQL of its JSON text), inside an array's element.
    `depth` numbers the lambda variables so that an inner one never hides an outer one."""

    scope: Scope
    element: str | None = None
    depth: int = 0

    def inside(self) -> Place:
        """Return the place of one element of an array."""
        return replace(self, element=f"e{self.depth}", depth=self.depth + 1)


def compile_predicate(predicate: tree.Predicate, scope: Scope, pointer: str = "/where") -> str:
    """Return the SQL of a predicate over a row of the scope.

    A column that the scope's tables lack is absent; `check_predicate` refuses those that no table of a request has.

    Raises:
        InvalidRequest: at the JSON Pointer, under `pointer`, of the field or value that cannot be.
    """
    check_limits(predicate, pointer)
    return _compile(predicate, Place(scope), pointer)


def _compile(node: tree.Predicate, place: Place, pointer: str) -> str:
    match node:
        case tree.And():
            return operations.all_of([_compile(x, place, f"{pointer}/items/{i}") for i, x in enumerate(node.items)])
        case tree.Or():
            return operations.any_of([_compile(x, place, f"{pointer}/items/{i}") for i, x in enumerate(node.items)])
        case tree.Not():
            return f"not({_compile(node.item, place, f'{pointer}/item')})"
        case tree.Neq() | tree.NotIn() | tree.NotContains() | tree.NotExists():
            return f"not({_ask(place, node.field, _test(node, place, pointer), pointer)})"
        case tree.AnyElement() | tree.AllElements():
            inner = place.inside()
            where = _compile(node.where, inner, f"{pointer}/where")
            function = "arrayExists" if isinstance(node, tree.AnyElement) else "arrayAll"
            return f"{function}({inner.element} -> {where}, {elements(place, node.field, f'{pointer}/field')})"
        case tree.ArrayContains():
            inner = place.inside()
            assert inner.element is not None
            found = operations.wanted([node.value])
            test = operations.is_one_of(values.in_text(inner.element), found, ignore_case=node.ignore_case)
            return f"arrayExists({inner.element} -> {test}, {elements(place, node.field, f'{pointer}/field')})"
        case _:
            return _ask(place, node.field, _test(node, place, pointer), pointer)


def _ask(place: Place, field: str, test: Callable[[Value], str], pointer: str) -> str:
    """Return the test of a field's value, or of any of them when the field goes through arrays."""
    found = locate(place, field, f"{pointer}/field")
    if isinstance(found, Value):
        return test(found)
    inner = place.inside()
    assert inner.element is not None
    return f"arrayExists({inner.element} -> {test(values.in_text(inner.element))}, {found})"


def _test(node: tree.Predicate, place: Place, pointer: str) -> Callable[[Value], str]:
    """Return the test of one value; of a negated op, that of its twin."""
    at = f"{pointer}/value"
    match node:
        case tree.Eq() | tree.Neq():
            found = operations.wanted([node.value])
            return lambda value: operations.is_one_of(value, found, ignore_case=node.ignore_case)
        case tree.In() | tree.NotIn():
            found = operations.wanted(node.value)
            return lambda value: operations.is_one_of(value, found, ignore_case=node.ignore_case)
        case tree.Gt() | tree.Gte() | tree.Lt() | tree.Lte():
            bounds = [(_COMPARISONS[type(node)], comparable(node.value, at))]
            return lambda value: operations.compares(_no_time(value, pointer), bounds)
        case tree.Between():
            low, high = (comparable(bound, f"{at}/{i}") for i, bound in enumerate(node.value))
            both: list[tuple[Comparison, int | float]] = [(">=", low), ("<=", high)]
            return lambda value: operations.compares(_no_time(value, pointer), both)
        case tree.Contains() | tree.NotContains():
            part = operations.contains(node.value, node.ignore_case)
            return lambda value: operations.text_satisfies(value, part)
        case tree.StartsWith():
            start = operations.starts_with(node.value, node.ignore_case)
            return lambda value: operations.text_satisfies(value, start)
        case tree.EndsWith():
            end = operations.ends_with(node.value, node.ignore_case)
            return lambda value: operations.text_satisfies(value, end)
        case tree.Matches():
            pattern = operations.matches(check_pattern(node.value, at), node.ignore_case)
            return lambda value: operations.text_satisfies(value, pattern)
        case tree.Exists() | tree.NotExists():
            return operations.is_present
        case tree.Before() | tree.After():
            moment = sql.datetime64(timerange.parse_instant(node.value, at))
            operator = "<" if isinstance(node, tree.Before) else ">="
            return lambda value: operations.moment_satisfies(value, lambda time: f"{time} {operator} {moment}")
        case tree.WithinLast() | tree.WithinNext():
            first, last = _span(node, place.scope, at)
            return lambda value: operations.moment_satisfies(
                value, lambda time: f"{time} >= {sql.datetime64(first)} AND {time} <= {sql.datetime64(last)}"
            )
        case _:
            raise TypeError(f"{type(node).__name__} asks nothing of one value")


def _span(node: tree.WithinLast | tree.WithinNext, scope: Scope, at: str) -> tuple[datetime, datetime]:
    duration = timerange.parse_duration(node.value, at)
    sign = -1 if isinstance(node, tree.WithinLast) else 1
    other = timerange.shift(scope.as_of, duration, sign=sign, timezone=scope.timezone, pointer=at)
    return (other, scope.as_of) if sign < 0 else (scope.as_of, other)


def _no_time(value: Value, pointer: str) -> Value:
    if value.moment is not None:
        raise InvalidRequest.at(f"{pointer}/op", "a time is no number: use before, after, within_last or within_next")
    return value


def locate(place: Place, field: str, pointer: str) -> Value | str:
    """Return the value of a field, or, when it goes through arrays, SQL of Array(String): the values' JSON texts.

    Raises:
        InvalidRequest: at `pointer`: no such field.
    """
    if place.element is not None:
        return _in_text(place.element, parse_path(field))
    reference = parse_field(field, pointer)
    if not _has(place.scope, reference):
        return values.ABSENT
    if reference.column == PROFILE and reference.path is not None:
        return _in_text(profile.value_of(reference.path, place.scope), profile.inside(reference.path))
    if reference.path is None:
        return _column(reference.column, place.scope)
    if not reference.path.steps:
        return values.at_path(reference.column, reference.path.names)
    return _values(_enter_column(reference.column, reference.path), reference.path)


def elements(place: Place, field: str, pointer: str) -> str:
    """Return SQL of Array(String): the JSON texts of the elements of the array, or arrays, that a field names.

    Raises:
        InvalidRequest: at `pointer`: no such field.
    """
    if place.element is not None:
        return _elements_in_text(place.element, parse_path(field))
    reference = parse_field(field, pointer)
    if not _has(place.scope, reference) or reference.path is None:
        return "emptyArrayString()"
    if reference.column == PROFILE:
        return _elements_in_text(profile.value_of(reference.path, place.scope), profile.inside(reference.path))
    if not reference.path.steps:
        return values.array_elements(reference.column, reference.path.names)
    return _flattened(_enter_column(reference.column, reference.path), reference.path.names)


def _in_text(raw: str, path: Path) -> Value | str:
    if not path.steps:
        return values.in_text(values.inner_value(raw, path.names))
    return _values(_enter(raw, path), path)


def _elements_in_text(raw: str, path: Path) -> str:
    if not path.steps:
        return values.inner_elements(raw, path.names)
    return _flattened(_enter(raw, path), path.names)


def _has(scope: Scope, reference: Reference) -> bool:
    return bool(set(COLUMNS[reference.column].tables) & set(scope.tables))


def _column(name: str, scope: Scope) -> Value:
    kind = COLUMNS[name].kind
    if kind == "time":
        return values.time_column(name)
    if kind == "object":
        return values.whole_object(name)
    if kind == "table" and len(scope.tables) == 1:
        return values.constant(scope.tables[0])
    return values.text_column(name)


def _enter_column(column: str, path: Path) -> str:
    first = path.steps[0]
    found = values.array_elements(column, first.names)
    for _ in range(first.arrays - 1):
        found = _flattened(found, ())
    return _enter_steps(found, path, 1)


def _enter(element: str, path: Path) -> str:
    first = path.steps[0]
    found = values.inner_elements(element, first.names)
    for _ in range(first.arrays - 1):
        found = _flattened(found, ())
    return _enter_steps(found, path, 1)


def _enter_steps(found: str, path: Path, start: int) -> str:
    for step in path.steps[start:]:
        found = _flattened(found, step.names)
        for _ in range(step.arrays - 1):
            found = _flattened(found, ())
    return found


def _flattened(found: str, names: tuple[str, ...]) -> str:
    return f"arrayFlatten(arrayMap(x -> {values.inner_elements('x', names)}, {found}))"


def _values(found: str, path: Path) -> str:
    return f"arrayMap(x -> {values.inner_value('x', path.names)}, {found})" if path.names else found
