"""Making people of rows: what PostgreSQL or a reader of JSON cannot hold does not hold up anybody."""

from __future__ import annotations

from uuid import UUID

import pytest

from services.profile.projection.people import MOST_LEVELS, Identify, Person, Seen, people

_WORKSPACE = UUID(int=7)


def _person(*traits: bytes) -> Person:
    seen = Seen(1, 1, b"ada", 0, b"", 10, 20, 1, 1, b"ada", 0)
    events = [Identify(1, 1, at, b"m%d" % at, text, ()) for at, text in enumerate(traits)]
    (person,) = people(_WORKSPACE, [seen], events, ())
    return person


def _nested(levels: int) -> bytes:
    return b'{"deep":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def test_traits_nested_as_deep_as_may_be_are_kept_and_deeper_ones_left_out_with_their_event() -> None:
    assert list(_person(_nested(MOST_LEVELS)).traits) == ["deep"]
    assert _person(_nested(MOST_LEVELS + 1)).traits == {}
    person = _person(b'{"plan":"pro"}', _nested(5_000), b'{"city":"Rome"}')
    assert {key: trait.value for key, trait in person.traits.items()} == {"plan": b'"pro"', "city": b'"Rome"'}


@pytest.mark.parametrize("text", [b"[" * 900, b'\\"' * 400 + b"{" * 600, b"]}" * 700])
def test_brackets_inside_texts_and_side_by_side_are_no_levels(text: bytes) -> None:
    value = b'"' + text + b'"'
    wide = b'{"note":%b,"list":[%b]}' % (value, b",".join([b"[]"] * 600))
    assert sorted(_person(wide).traits) == ["list", "note"]
