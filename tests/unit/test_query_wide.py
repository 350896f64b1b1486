"""Wide integers quoted within JSON text, everything else left as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.wide import MAX_SAFE, quote_wide_integers

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
trees = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def widened(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_SAFE:
        return str(value)
    if isinstance(value, list):
        return [widened(item) for item in value]
    return {key: widened(item) for key, item in value.items()} if isinstance(value, dict) else value


@given(trees, st.booleans())
def test_exactly_the_integers_beyond_2_to_the_53_become_strings(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":")).encode("utf-8", "surrogatepass")
    assert json.loads(quote_wide_integers(text)) == widened(value)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            b'{"a":1,"a":{"b":12345678901234567890},"f":1e21,"g":0.000001,"n":-0}',
            b'{"a":1,"a":{"b":"12345678901234567890"},"f":1e21,"g":0.000001,"n":-0}',
        ),
        (b'{"s":"1234567890123456789\\",1234567890123456789"}', b'{"s":"1234567890123456789\\",1234567890123456789"}'),
        (
            b'{"s":"\\\\","k1234567890123456789":9007199254740992}',
            b'{"s":"\\\\","k1234567890123456789":"9007199254740992"}',
        ),
        (b"[9007199254740991,-9007199254740992]", b'[9007199254740991,"-9007199254740992"]'),
        (b"[1234567890123456.5,1234567890123456e3,0.12345678901234567]",) * 2,
        (b'{"id":"\xff","n":9007199254740992}', b'{"id":"\xff","n":"9007199254740992"}'),
        (b"[" * 5_000 + b"9007199254740992" + b"]" * 5_000, b"[" * 5_000 + b'"9007199254740992"' + b"]" * 5_000),
    ],
    ids=["names twice", "in a string", "in a name", "the bounds", "doubles", "bytes that are no text", "depth"],
)
def test_every_other_byte_stays_as_it_was(row: bytes, expected: bytes) -> None:
    assert quote_wide_integers(row) == expected
