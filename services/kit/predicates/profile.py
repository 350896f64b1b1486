"""Fields of the profile that an event belongs to, as it is now: `profile.traits.<path>`.

Traits are in `cdp.profile_traits` under the key that events resolve to. A statement that asks of them joins, once, the
traits that its request names; a trait is then a column of JSON text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from services.kit import sql
from services.kit.event_schema import DATABASE
from services.kit.identity import resolved_key
from services.kit.predicates.columns import PROFILE, Scope
from services.kit.predicates.fields import Path, Step, parse_path

_KEY: Final = "profile_key"
_PREFIX: Final = f"{PROFILE}."


def traits_named(*parts: object) -> tuple[str, ...]:
    """Return the traits of profiles that parts of a request name, sorted. A text that only looks like such a field, a
    value say, is one more: it costs, and changes nothing."""
    found = {trait_of(parse_path(text.removeprefix(_PREFIX))) for part in parts for text in _texts(part)}
    return tuple(sorted(found))


def trait_of(path: Path) -> str:
    """Return the trait that a path behind `profile.traits.` leads into."""
    return (path.steps[0].names if path.steps else path.names)[0]


def inside(path: Path) -> Path:
    """Return the path that is left inside the trait's value."""
    if not path.steps:
        return Path((), path.names[1:])
    first, *others = path.steps
    return Path((Step(first.names[1:], first.arrays), *others), path.names)


def value_of(path: Path, scope: Scope) -> str:
    """Return SQL of the JSON text of the trait that a path leads into, '' when the profile has none."""
    return f"profile_trait_{scope.traits.index(trait_of(path))}"


def join(scope: Scope) -> str:
    """Return SQL to stand between the table of a statement and its PREWHERE: the profile's traits beside each event."""
    if not scope.traits:
        return ""
    values = ", ".join(
        f"anyIf(value, key = {sql.string(trait)}) AS profile_trait_{index}" for index, trait in enumerate(scope.traits)
    )
    named = ", ".join(map(sql.string, scope.traits))
    return (
        f" GLOBAL ANY LEFT JOIN (SELECT actor_key AS {_KEY}, {values} FROM {DATABASE}.profile_traits FINAL "
        f"PREWHERE workspace_id = {sql.uuid(scope.workspace)} AND key IN ({named}) GROUP BY actor_key) AS profile "
        f"ON {_KEY} = {resolved_key(scope.blocked)}"
    )


def _texts(part: object) -> Iterator[str]:
    waiting: list[Any] = [msgspec.to_builtins(part)]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list | tuple):
            waiting += item
        elif isinstance(item, str) and item.startswith(_PREFIX):
            yield item
