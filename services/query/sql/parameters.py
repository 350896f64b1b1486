"""Values of `{name:Type}`: each becomes a literal, cast to the type that the statement names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from sqlglot import exp

from contracts.errors import InvalidRequest
from services.query.sql import refused

POINTER = "/parameters"


def bind(text: str, nodes: Iterable[exp.Expr], values: Mapping[str, Any]) -> None:
    """Replace the parameters among a statement's nodes.

    Raises:
        InvalidRequest: a parameter without a value, a value without a parameter, a value that no literal can hold.
    """
    used = set()
    for node in nodes:
        if not isinstance(node, exp.Placeholder):
            continue
        name, kind = node.name, node.args.get("kind")
        if not isinstance(kind, exp.DataType):
            raise refused.at(text, refused.offset_of(node), f"the parameter {name} needs a type: {{{name}:String}}")
        if name not in values:
            raise InvalidRequest.at(POINTER, f"the parameter {name} has no value")
        used.add(name)
        node.replace(exp.Cast(this=_literal(values[name], f"{POINTER}/{name}"), to=kind.copy()))
    for name in values:
        if name not in used:
            raise InvalidRequest.at(f"{POINTER}/{name}", f"the statement has no parameter {name}")


def _literal(value: Any, pointer: str) -> exp.Expr:
    match value:
        case None:
            return exp.Null()
        case bool():
            return exp.Boolean(this=value)
        case int():
            if not -(2**63) <= value < 2**64:
                raise InvalidRequest.at(pointer, "a number over 64 bits is given as text")
            return _signed(value)
        case float() if math.isfinite(value):
            return _signed(value)
        case str() if "\0" not in value:
            _encodable(value, pointer)
            return exp.Literal.string(value)
        case list():
            return exp.Array(expressions=[_literal(each, f"{pointer}/{at}") for at, each in enumerate(value)])
    raise InvalidRequest.at(pointer, "a value is text, a number, true, false, null, or a list of these")


def _signed(value: float) -> exp.Expr:
    number = exp.Literal.number(repr(abs(value)))
    return exp.Paren(this=exp.Neg(this=number)) if math.copysign(1.0, value) < 0 else number


def _encodable(value: str, pointer: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest.at(pointer, "the text holds a lone surrogate, which UTF-8 cannot carry") from error
