"""Predicates over events as they were sent, in plain Python: docs/predicates.md, followed literally.

An event is a dict with `table`, its columns (texts; aware datetimes for the times) and its objects as decoded JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from contracts.common import TABLES
from services.kit.event_schema import CONTEXT_PATHS
from tests.oracle.timerange import shifted

Flat = dict[str, Any]
"""An object: full dotted path → text, number, boolean or array. In arrays null stays, objects are Flat again."""

TABLES_OF = {
    "event": ("track",),
    "name": ("page",),
    "group_id": ("group",),
    "properties": ("track", "page"),
    "traits": ("identify", "group"),
}
"""The columns that not every table has."""


# What the store keeps of an object.


def stored(sent: dict[str, Any], *, typed: bool = False) -> Flat:
    """Return what the store keeps of an object; `typed` for `context`."""
    flat: Flat = {}
    _flatten("", sent, flat)
    if typed:
        flat = {path: text(value) if path in CONTEXT_PATHS else value for path, value in flat.items()}
    return flat


def _flatten(prefix: str, sent: dict[str, Any], into: Flat) -> None:
    for name, value in sent.items():
        if value is None:
            continue
        if isinstance(value, dict):
            _flatten(f"{prefix}{name}.", value, into)
        elif prefix + name not in into:
            into[prefix + name] = _array(value) if isinstance(value, list) else _beyond(value)


def _beyond(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return str(value)
    return value


def _array(sent: list[Any]) -> list[Any]:
    """Return what is kept of an array: arrays of one depth whose values are of two kinds may become of one."""
    leaves = _leaves(sent)
    kinds = {"text" if isinstance(leaf, str) else "boolean" if isinstance(leaf, bool) else "number" for leaf in leaves}
    if kinds == {"boolean", "text"}:
        return _each(sent, text)
    if kinds <= {"boolean", "number"} and "number" in kinds:
        doubles = any(isinstance(leaf, float) for leaf in leaves)
        return _each(sent, float if doubles else int)
    return [_element(_beyond(item)) for item in sent]


def _leaves(sent: list[Any]) -> list[Any]:
    """Return the texts, numbers and booleans of arrays nested equally deep; none when they are not, or hold objects."""
    if sent and all(isinstance(item, list) for item in sent):
        inner = [_leaves(item) for item in sent if item]
        return [leaf for leaves in inner for leaf in leaves] if all(inner) else []
    given = [_beyond(item) for item in sent if item is not None]
    return given if not any(isinstance(item, list | dict) for item in given) else []


def _each(sent: list[Any], change: Callable[[Any], Any]) -> list[Any]:
    return [
        item if item is None else _each(item, change) if isinstance(item, list) else change(_beyond(item))
        for item in sent
    ]


def _element(item: Any) -> Any:
    if isinstance(item, list):
        return _array(item)
    return stored(item) if isinstance(item, dict) else item


def through_text(value: Any) -> Any:
    """Return a stored value as it is read back from its JSON text, as elements of arrays are."""
    if isinstance(value, list):
        return [through_text(item) for item in value]
    if isinstance(value, dict):
        return {path: through_text(item) for path, item in value.items()}
    if isinstance(value, float):
        text_of_it = ecmascript(value)
        return _beyond(int(text_of_it)) if re.fullmatch("-?[1-9][0-9]*|0", text_of_it) else value
    return value


# Texts, numbers and times.


def ecmascript(number: float) -> str:
    """Return a double's shortest digits in ECMAScript's layout, but -0 for minus zero and e21 for e+21."""
    sign, digits, exponent = Decimal(repr(number)).as_tuple()
    assert isinstance(exponent, int)
    figures = "".join(map(str, digits)).lstrip("0")
    point = len(figures) + exponent
    figures = figures.rstrip("0")
    if not figures:
        shown = "0"
    elif len(figures) <= point <= 21:
        shown = figures + "0" * (point - len(figures))
    elif 0 < point <= 21:
        shown = f"{figures[:point]}.{figures[point:]}"
    elif -6 < point <= 0:
        shown = f"0.{'0' * -point}{figures}"
    else:
        shown = f"{figures[0]}{'.' + figures[1:] if figures[1:] else ''}e{point - 1}"
    return "-" + shown if sign else shown


def text(value: Any) -> str:
    """Return the text of a value that is not absent."""
    if isinstance(value, str):
        return value
    return compact(value)


def shown(value: Any) -> str:
    """Return the text of a field's value that is not absent, a time column's too."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    return text(value)


def compact(value: Any) -> str:
    """Return a stored value as compact JSON."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return ecmascript(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        escaped = json.dumps(value, ensure_ascii=False)
        return escaped.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    if isinstance(value, list):
        return f"[{','.join(map(compact, value))}]"
    entries = [(path.split("."), value[path]) for path in sorted(value, key=str.encode)]
    return _object(entries)


def _object(entries: list[tuple[list[str], Any]]) -> str:
    members = []
    place = 0
    while place < len(entries):
        (name, *rest), value = entries[place]
        end = place + 1
        if rest:
            while end < len(entries) and entries[end][0][0] == name and len(entries[end][0]) > 1:
                end += 1
            shown = _object([(names[1:], inner) for names, inner in entries[place:end]])
        else:
            shown = compact(value)
        members.append(f"{compact(name)}:{shown}")
        place = end
    return f"{{{','.join(members)}}}"


def absent(value: Any) -> bool:
    return value is None or value == "" or value == {}


def is_json_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: Any) -> int | float | None:
    """Return the number a value is, an integer when it fits 64 bits."""
    if isinstance(value, str):
        if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", value) is None:
            return None
        value = int(value) if re.fullmatch("[+-]?[0-9]+", value) else float(value)
    if not is_json_number(value):
        return None
    return value if isinstance(value, int) and -(2**63) <= value < 2**64 else float(value)


def moment(value: Any) -> datetime | None:
    """Return the time a value is, to the microsecond."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        return None
    found = re.fullmatch(
        "([0-9]{4})-([0-9]{2})-([0-9]{2})"
        "(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.]([0-9]{1,9}))?)?(?:Z|([+-])([0-9]{2})(?::?([0-9]{2}))?)?)?",
        value,
    )
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = found.groups(default="0")
    if not 1900 <= int(year) <= 2299 or int(hours) > 23 or int(minutes) > 59:
        return None
    try:
        local = datetime(*map(int, (year, month, day, hour, minute, second, fraction.ljust(6, "0")[:6])), tzinfo=UTC)
    except ValueError:
        return None
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return local - (-offset if sign == "-" else offset)


# Fields.


def segments(path: str) -> list[tuple[str, int]]:
    """Return the names of a path, each with the levels of array to enter behind it."""
    found = []
    for segment in path.split("."):
        levels = 0
        while segment.endswith("[]") and not segment.endswith("\\[]"):
            segment, levels = segment[:-2], levels + 1
        if segment.endswith("\\[]"):
            segment = segment[:-3] + "[]"
        found.append((segment, levels))
    return found


def read(flat: Any, names: list[str], *, in_text: bool) -> Any:
    """Return the value at a path of an object, None when absent.

    `in_text`: the object is read from its JSON text, where what follows a name that holds a value is out of reach.
    """
    if not names:
        return flat
    if not isinstance(flat, dict):
        return None
    path = ".".join(names)
    if in_text:
        flat = through_text(flat)
    if in_text and any(".".join(names[:length]) in flat for length in range(1, len(names))):
        return None
    if path in flat:
        return None if absent(flat[path]) else flat[path]
    return {inner.removeprefix(f"{path}."): value for inner, value in flat.items() if inner.startswith(f"{path}.")}


def reach(root: Any, path: str, *, in_text: bool) -> list[Any]:
    """Return the values that a path names inside an object: one, or those of all elements."""
    values, names = [root], []
    for name, levels in segments(path):
        names.append(name)
        if levels:
            odd = in_text or is_odd(names)
            values, names = [read(value, names, in_text=odd) for value in values], []
            in_text = True
        for _ in range(levels):
            values = [through_text(item) for value in values if isinstance(value, list) for item in value]
    return [read(value, names, in_text=in_text or is_odd(names)) for value in values]


def is_odd(names: list[str]) -> bool:
    """Tell whether a path has the engine's own marks and so is read from the object's JSON text."""
    path = ".".join(names)
    return path == "" or ":`" in path or "^`" in path


def of_row(event: dict[str, Any], field: str) -> list[Any]:
    """Return the values of a field of a row. Its `profile`: the Flat traits of whoever it belongs to."""
    if field.startswith("profile.traits."):
        return reach(event["profile"], field.removeprefix("profile.traits."), in_text=True)
    column, dot, path = field.partition(".")
    if event["table"] not in TABLES_OF.get(column, TABLES):
        return []
    value = event[column]
    if isinstance(value, dict):
        flat = stored(value, typed=column == "context")
        return reach(flat, path, in_text=False) if dot else [flat]
    return [value]


# Predicates, as JSON.


def holds(predicate: dict[str, Any], event: dict[str, Any], *, as_of: datetime, timezone_name: str) -> bool:
    """Tell whether a predicate is true of an event."""

    def ask(node: dict[str, Any], element: Any, inside: bool) -> bool:
        def values() -> list[Any]:
            found = reach(element, node["field"], in_text=True) if inside else of_row(event, node["field"])
            return [value for value in found if not absent(value)]

        match node["op"]:
            case "and":
                return all(ask(item, element, inside) for item in node["items"])
            case "or":
                return any(ask(item, element, inside) for item in node["items"])
            case "not":
                return not ask(node["item"], element, inside)
            case "neq" | "not_in" | "not_contains" | "not_exists":
                twin = {"neq": "eq", "not_in": "in", "not_contains": "contains", "not_exists": "exists"}[node["op"]]
                return not ask({**node, "op": twin}, element, inside)
            case "any" | "all":
                items = [through_text(item) for value in values() if isinstance(value, list) for item in value]
                return (any if node["op"] == "any" else all)(ask(node["where"], item, True) for item in items)
            case _:
                return any(passes(node, value, as_of, timezone_name) for value in values())

    return ask(predicate, None, False)


def passes(node: dict[str, Any], value: Any, as_of: datetime, timezone_name: str) -> bool:
    """Tell whether an op, but a negated one, is true of a value that is there."""
    op, wanted = node["op"], node.get("value")
    fold = str.lower if node.get("ignore_case") else str
    match op:
        case "exists":
            return True
        case "eq":
            return _equal(value, wanted, fold)
        case "in":
            return any(_equal(value, one, fold) for one in wanted)
        case "array_contains":
            return isinstance(value, list) and any(
                not absent(x) and _equal(x, wanted, fold) for x in through_text(value)
            )
        case "gt" | "gte" | "lt" | "lte" | "between":
            return _compares(op, number(value), wanted)
        case "contains":
            return fold(wanted) in fold(shown(value))
        case "starts_with":
            return fold(shown(value)).startswith(fold(wanted))
        case "ends_with":
            return fold(shown(value)).endswith(fold(wanted))
        case "matches":
            flags = re.DOTALL | (re.IGNORECASE if node.get("ignore_case") else 0)
            return re.search(wanted, shown(value), flags) is not None
        case _:
            return _is_in_time(op, moment(value), wanted, as_of, timezone_name)


def _equal(value: Any, wanted: Any, fold: Any) -> bool:
    left, right = number(value), number(wanted)
    if left is not None and right is not None and (is_json_number(value) or is_json_number(wanted)):
        return left == right
    return bool(fold(shown(value)) == fold(text(wanted)))


def _compares(op: str, value: int | float | None, wanted: Any) -> bool:
    if value is None:
        return False
    if op == "between":
        low, high = (number(bound) for bound in wanted)
        assert low is not None and high is not None
        return low <= value <= high
    bound = number(wanted)
    assert bound is not None
    return {"gt": value > bound, "gte": value >= bound, "lt": value < bound, "lte": value <= bound}[op]


def _is_in_time(op: str, value: datetime | None, wanted: str, as_of: datetime, timezone_name: str) -> bool:
    if value is None:
        return False
    if op in ("before", "after"):
        bound = moment(wanted)
        assert bound is not None
        return value < bound if op == "before" else value >= bound
    found = re.fullmatch("([0-9]+)(min|h|d|w|m)", wanted)
    assert found is not None
    amount = int(found[1]) * (-1 if op == "within_last" else 1)
    other = shifted(as_of, amount, found[2], ZoneInfo(timezone_name))
    return min(as_of, other) <= value <= max(as_of, other)
