"""The base of every message and the JSON codec all of them share."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from contracts.errors import FieldError, InvalidRequest

T = TypeVar("T")


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request, a response or a part of one: immutable, keyword-only, strict about unknown fields."""


_encoder = msgspec.json.Encoder(enc_hook=None, decimal_format="string")


@cache
def decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    """Return the one strict decoder of a type; building it walks the type, so it is kept."""
    return msgspec.json.Decoder(type_)


def encode(message: Any) -> bytes:
    """Return the JSON bytes of a message."""
    return _encoder.encode(message)


def decode(data: bytes, type_: type[T]) -> T:
    """Decode and validate bytes strictly, in one pass.

    Raises:
        InvalidRequest: not JSON, not UTF-8, nested too deep, or not of the type; names the path of the bad field.
    """
    try:
        result: T = decoder(cast("Any", type_)).decode(data)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest("the body is not valid JSON", errors=(FieldError(message=str(error)),)) from error
    except RecursionError as error:
        raise _too_deep() from error
    return result


def decode_request(data: bytes, type_: type[T]) -> T:
    """Decode what a client sent: as `decode`, and an object that names a key twice is refused, because two readers of
    the same bytes could keep different ones (RFC 8259, section 4).

    Raises:
        InvalidRequest: as `decode`, or a duplicate key.
    """
    result = decode(data, type_)
    try:
        json.loads(data, object_pairs_hook=_once, parse_int=str, parse_float=str)
    except _DuplicateKey as error:
        raise InvalidRequest(
            "the body is ambiguous", errors=(FieldError(message=f"the key {error.args[0]!r} appears twice"),)
        ) from error
    except UnicodeDecodeError as error:  # in a part that is passed on as it is
        raise InvalidRequest("the body is not valid JSON", errors=(FieldError(message=str(error)),)) from error
    except RecursionError as error:
        raise _too_deep() from error
    return result


class _DuplicateKey(ValueError):
    """Carries the key."""


def _once(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise _DuplicateKey(key)
        seen.add(key)


def _too_deep() -> InvalidRequest:
    return InvalidRequest(
        "the body is nested too deep", errors=(FieldError(message="nest at most some hundred levels"),)
    )


def invalid(error: msgspec.ValidationError) -> InvalidRequest:
    """Translate msgspec's message (``… - at `$.a[0].b` ``) into an error with a JSON Pointer (RFC 6901)."""
    text, _, path = str(error).partition(" - at `")
    return InvalidRequest(
        "the request is not valid", errors=(FieldError(pointer=json_pointer(path.removesuffix("`")), message=text),)
    )


def json_pointer(path: str) -> str:
    """Turn msgspec's path (``$.a[0].b``, ``[...]`` for any element) into a JSON Pointer (``/a/0/b``)."""
    parts = path.removeprefix("key in ").removeprefix("$").replace("[", ".").replace("]", "").split(".")
    return "".join("/" + part for part in parts if part)
