"""Free text: every word of it is part of some trait, whatever their case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.kit.predicates.fields import parse_path
from services.profile.search.compiler import all_of
from services.profile.search.fields import value_at
from services.profile.search.indexes import Usable
from services.profile.search.parameters import Parameters

INDEXED: Final = frozenset(
    (
        *("name", "first_name", "last_name", "firstName", "lastName", "username"),
        *("email", "phone", "company", "company.name"),
    )
)
"""The traits of profile.indexed_lines, which the trigram index is of."""
_SHORTEST: Final = 3
"""Characters of a word that the index can find."""
_SPECIAL: Final = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


def traits_of(setting: str) -> tuple[str, ...]:
    """Return the traits a setting names: dotted paths, comma-separated."""
    return tuple(name for name in (part.strip() for part in setting.split(",")) if name)


def condition(text: str, traits: Sequence[str], parameters: Parameters) -> str:
    """Return whether every word of a text is part of one of the traits."""
    words = text.split()
    if "\0" in text or not traits:
        return "false"
    if not words:
        return "true"
    values = [value_at(parameters, "p.traits", parse_path(trait).names) for trait in traits]
    return f"profile.has_words(profile.lines({', '.join(values)}), {parameters.texts(words)})"


def indexed(text: str, traits: Sequence[str], parameters: Parameters) -> Usable | None:
    """Return a condition that the one above implies and that the index answers; None when there is none."""
    words = text.split()
    found = [word for word in words if len(word) >= _SHORTEST and "\0" not in word]
    if not found or not INDEXED.issuperset(traits):
        return None
    patterns = [f"'%' || profile.folded({parameters.text(word.translate(_SPECIAL))}) || '%'" for word in found]
    sql = all_of([f"profile.indexed_lines(p.traits) LIKE {pattern}" for pattern in patterns])
    return Usable(sql, exact=len(found) == len(words) and frozenset(traits) == INDEXED, light=False)
