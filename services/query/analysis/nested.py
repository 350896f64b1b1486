"""Requests inside of requests: `/actors` carries the analysis' own under `query`, what is saved under `definition`."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager

import msgspec

from contracts.errors import InvalidRequest


@contextmanager
def under(pointer: str, *, but: Container[str] = ()) -> Iterator[None]:
    """Put a pointer before those of the errors raised inside, `but` those into members of the whole request itself.

    Raises:
        InvalidRequest: as the block, its fields named from the whole request's root.
    """
    try:
        yield
    except InvalidRequest as error:
        moved = (
            each if _member(each.pointer) in but else msgspec.structs.replace(each, pointer=pointer + each.pointer)
            for each in error.errors
        )
        raise InvalidRequest(error.detail, errors=tuple(moved)) from error


def _member(pointer: str) -> str:
    """Return the member that a pointer leads into, '' for the whole."""
    return pointer.removeprefix("/").partition("/")[0]
