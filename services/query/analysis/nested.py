"""Requests inside of requests: `/actors` carries the analysis' own under `query`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from contracts.errors import InvalidRequest


@contextmanager
def under(pointer: str) -> Iterator[None]:
    """Put a pointer before those of the errors raised inside.

    Raises:
        InvalidRequest: as the block, its fields named from the whole request's root.
    """
    try:
        yield
    except InvalidRequest as error:
        moved = (msgspec.structs.replace(each, pointer=pointer + each.pointer) for each in error.errors)
        raise InvalidRequest(error.detail, errors=tuple(moved)) from error
