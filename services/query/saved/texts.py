"""Names and descriptions: what they may hold, and how they are found."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

from contracts.errors import InvalidRequest

_SORTED_BY: Final = 200
"""Characters of a name that order it: a cursor must hold them."""
_SEPARATOR: Final = "\x1f"


def check_label(name: str, description: str, tags: Sequence[str] = ()) -> None:
    """Check what people call a thing.

    Raises:
        InvalidRequest: a blank name or tag, a tag twice, or a NUL character.
    """
    check_text(name, "/name")
    check_text(description, "/description")
    if not name.strip():
        raise InvalidRequest.at("/name", "must not be blank")
    for index, tag in enumerate(tags):
        check_text(tag, f"/tags/{index}")
        if not tag.strip():
            raise InvalidRequest.at(f"/tags/{index}", "must not be blank")
        if tag in tags[:index]:
            raise InvalidRequest.at(f"/tags/{index}", "is given twice")


def check_text(text: str | None, pointer: str) -> None:
    """Check that PostgreSQL can hold a text.

    Raises:
        InvalidRequest: it has a NUL character.
    """
    if text is not None and "\0" in text:
        raise InvalidRequest.at(pointer, "must not hold a NUL character")


def fold(text: str) -> str:
    """Return the form in which texts are compared: upper and lower case, composed and decomposed letters are one.

    Here and not in PostgreSQL, whose folding depends on the database's locale.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def sort_key(name: str) -> str:
    """Return what names are ordered by."""
    return fold(name)[:_SORTED_BY]


def haystack(*texts: str) -> str:
    """Return one text to search in."""
    return fold(_SEPARATOR.join(texts))
