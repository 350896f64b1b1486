"""Tuples of texts and nulls as one text, the same for equal tuples only: `-` for null, else length, `:`, bytes."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.analysis import Group


def packed(values: Sequence[str]) -> str:
    """Return SQL of the packed tuple of values (SQL, Nullable(String)): String."""
    parts = [f"ifNull(concat(toString(length(assumeNotNull({v}))), ':', {v}), '-')" for v in values]
    return f"concat({', '.join(parts)}, '')"


def packed_whole(values: Sequence[str]) -> str:
    """Return SQL of the packed tuple, NULL when one of the values is."""
    nulls = " OR ".join(f"{value} IS NULL" for value in values)
    return f"if({nulls}, NULL, {packed(values)})"


def pack(values: Sequence[str | None]) -> bytes:
    """Return what `packed` makes of these values."""
    parts = []
    for value in values:
        text = None if value is None else value.encode(errors="surrogateescape")
        parts.append(b"-" if text is None else b"%d:%b" % (len(text), text))
    return b"".join(parts)


def unpack(text: bytes) -> tuple[bytes | None, ...]:
    """Return the values that were packed."""
    values: list[bytes | None] = []
    at = 0
    while at < len(text):
        if text[at : at + 1] == b"-":
            values.append(None)
            at += 1
            continue
        colon = text.index(b":", at)
        end = colon + 1 + int(text[at:colon])
        values.append(text[colon + 1 : end])
        at = end
    return tuple(values)


def order(text: bytes) -> tuple[tuple[bool, bytes], ...]:
    """Return a key that sorts packed tuples by their values, null first."""
    return tuple((value is not None, value or b"") for value in unpack(text))


def group_of(text: bytes) -> Group:
    """Return a packed tuple as answers show it."""
    return Group(values=tuple(None if value is None else value.decode(errors="replace") for value in unpack(text)))
