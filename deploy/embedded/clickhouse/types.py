"""ClickHouse type names, parsed: ``Array(Tuple(a String, b Nullable(UInt8)))`` becomes a tree."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from .errors import ServerError

_TOKEN = re.compile(r"\s*([(),=]|'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.|``)*`|[^\s(),='`]+)", re.DOTALL)

_SIZES = {
    **{f"{sign}Int{bits}": bits // 8 for sign in ("", "U") for bits in (8, 16, 32, 64, 128, 256)},
    **{f"Decimal{bits}": bits // 8 for bits in (32, 64, 128, 256)},
    "Float32": 4,
    "Float64": 8,
    "BFloat16": 2,
    "Bool": 1,
    "Nothing": 1,
    "UUID": 16,
    "IPv4": 4,
    "IPv6": 16,
    "Date": 2,
    "Date32": 4,
    "DateTime": 4,
    "DateTime32": 4,
    "DateTime64": 8,
    "Time": 4,
    "Time64": 8,
    "Enum8": 1,
    "Enum16": 2,
}

_ALIASES = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "Polygon": "Array(Ring)",
    "MultiLineString": "Array(LineString)",
    "MultiPolygon": "Array(Polygon)",
}


@dataclass(frozen=True)
class Type:
    """``name`` with its argument types; ``names`` are the element or path names where the arguments bear any.

    ``size`` is the width in bytes of one value, 0 when it varies.
    """

    name: str
    arguments: tuple[Type, ...] = ()
    names: tuple[str, ...] = ()
    size: int = 0


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Type:
    """Parse a type name; ServerError 50 when the text is not one."""
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != re.sub(r"\s+", "", text) and not re.search("['`]", text):
        raise _unknown(text)
    try:
        parsed, rest = _parse(tokens, 0)
    except (IndexError, RecursionError, ValueError):
        raise _unknown(text) from None
    if rest != len(tokens):
        raise _unknown(text)
    return parsed


def _unknown(text: str) -> ServerError:
    return ServerError(50, f"Unknown data type: {text[:200]}", "UNKNOWN_TYPE")


def _parse(tokens: list[str], at: int) -> tuple[Type, int]:
    name = tokens[at]
    groups: list[list[str]] = []
    at += 1
    if at < len(tokens) and tokens[at] == "(":
        groups, at = _arguments(tokens, at + 1)
    return _build(name, groups), at


def _arguments(tokens: list[str], at: int) -> tuple[list[list[str]], int]:
    groups: list[list[str]] = [[]]
    depth = 1
    while True:
        text = tokens[at]
        at += 1
        depth += (text == "(") - (text == ")")
        if not depth:
            return [group for group in groups if group], at
        if text == "," and depth == 1:
            groups.append([])
        else:
            groups[-1].append(text)


def _build(name: str, groups: list[list[str]]) -> Type:
    if name in _ALIASES:
        return parse(_ALIASES[name])
    if name in _SIZES:
        return Type(name, size=_SIZES[name])
    if name.startswith("Interval"):
        return Type("Interval", size=8)
    if name == "Decimal":
        precision = int(groups[0][0])
        return Type(name, size=4 if precision <= 9 else 8 if precision <= 18 else 16 if precision <= 38 else 32)
    if name == "FixedString":
        return Type(name, size=int(groups[0][0]))
    if name == "String":
        return Type(name)
    if name in ("Nullable", "Array", "LowCardinality", "Map", "Variant"):
        return Type(name, tuple(_whole(group) for group in groups))
    if name in ("Tuple", "Nested"):
        return Type(name, *_named(groups))
    if name == "SimpleAggregateFunction":
        return _whole(groups[1])
    if name == "Dynamic":
        return Type(name)
    if name in ("JSON", "Object"):
        return Type(name, *_named([group for group in groups if _is_typed_path(group)]))
    raise ServerError(48, f"Values of type {name} cannot be carried by this connection; cast them to String")


def _whole(group: list[str]) -> Type:
    parsed, end = _parse(group, 0)
    if end != len(group):
        raise ValueError(group)
    return parsed


def _named(groups: list[list[str]]) -> tuple[tuple[Type, ...], tuple[str, ...]]:
    types, names = [], []
    for group in groups:
        named = len(group) > 1 and group[1] != "("
        names.append(group[0].strip("`") if named else "")
        types.append(_whole(group[1:] if named else group))
    return tuple(types), tuple(names)


def _is_typed_path(group: list[str]) -> bool:
    return len(group) > 1 and group[0] != "SKIP" and group[1] != "="
