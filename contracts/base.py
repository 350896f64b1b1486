"""The base of every message and the JSON codec all of them share."""

from __future__ import annotations

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
        raise InvalidRequest(
            "the body is nested too deep", errors=(FieldError(message="nest at most some hundred levels"),)
        ) from error
    return result


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
