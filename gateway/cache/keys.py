"""What identifies an answer: the workspace, the operation, the format, and the request."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, NamedTuple

from contracts.base import encode
from contracts.operation import Format, Operation

_RAW_BYTES = 2_048
"""Bodies longer than this are looked up by their digest, so that the memory level does not hold them twice."""


class RawKey(NamedTuple):
    """The request as it came: finds a cached answer without decoding anything."""

    workspace: str
    operation: str
    format: Format
    body: bytes


class CanonicalKey(NamedTuple):
    """The request as it was understood: the same for every spelling of it. `digest` is hexadecimal."""

    workspace: str
    digest: str


def raw_key(workspace: str, operation: Operation, format_: Format, body: bytes) -> RawKey:
    """Return the key of the bytes a client sent."""
    return RawKey(workspace, operation.id, format_, body if len(body) <= _RAW_BYTES else _digest(body))


def canonical_key(workspace: str, operation: Operation, format_: Format, request: Any) -> CanonicalKey:
    """Return the key of a decoded request: field order, spacing and spelled-out defaults make no difference."""
    prefix = f"{operation.subject}\n{format_}\n".encode()
    return CanonicalKey(workspace, _digest(prefix + encode(request)).hex())


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()
