"""What a merge would change, without writing: people are made of the same rows, as they are and as one."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from contracts.base import encode
from contracts.errors import NotFound
from contracts.profile_merges import MergeEffects, MergeWarning, ProfileMerged, TraitChange
from contracts.profiles import Profile, TraitOrigin
from services.kit.clickhouse import External
from services.profile.ids import unsigned
from services.profile.merging import graph
from services.profile.merging.deciding import Pair, decide
from services.profile.profile import one
from services.profile.projection import gathering, people, statements
from services.profile.projection.profiles import moment
from services.profile.projection.statements import Scope
from services.profile.resources import Resources

_SECONDS: Final = 30.0
_SETTINGS: Final = {"do_not_merge_across_partitions_select_final": 1}
_KINDS: Final = {"user": 1, "anonymous": 2}


class _Both(NamedTuple):
    """Two people, and the one they would be."""

    winner: people.Person
    loser: people.Person
    merged: people.Person


async def simulate(resources: Resources, workspace: UUID, winner: graph.Person, loser: graph.Person) -> ProfileMerged:
    """Return what merging the profiles of two ids would answer, and what it would change.

    Raises:
        Conflict: as `services.profile.merging.deciding.decide`.
        NotFound: one of them has gone.
    """
    async with resources.postgres.connection() as connection:
        pair = await decide(connection, resources, workspace, winner, loser)
    if pair.winner == pair.loser:
        profile = await one(resources, workspace, str(pair.winner.profile(workspace)))
        already = MergeWarning(kind="already_one", message="both are one profile already: nothing would change")
        effects = MergeEffects(traits=(), ids=0, events=0, warnings=(already,))
        return ProfileMerged(changed=False, profile=profile, merge=None, effects=effects)
    blocked = await gathering.blocked(resources.clickhouse, workspace)
    both = await _both(resources, Scope(workspace, blocked), pair)
    before, other = await _profile(resources, both.winner), await _profile(resources, both.loser)
    profile = await _profile(resources, both.merged)
    found = warnings(before, other, resources.external_ids)
    if len(both.merged.ids) > resources.settings.profiles_many_ids:
        message = f"the profile would have {len(both.merged.ids)} ids"
        found.append(MergeWarning(kind="many_ids", message=message))
    effects = MergeEffects(
        traits=trait_changes(before.traits, profile.traits),
        ids=len(both.loser.ids),
        events=await _events(resources, Scope(workspace, blocked), both.loser.ids),
        warnings=tuple(found),
    )
    return ProfileMerged(changed=True, profile=profile, merge=None, effects=effects)


def trait_changes(before: dict[str, Any], after: dict[str, Any]) -> tuple[TraitChange, ...]:
    """Return the traits that differ, by name."""
    return tuple(
        TraitChange(name=name, before=before.get(name), after=after.get(name))
        for name in sorted(before.keys() | after.keys())
        if encode(before.get(name)) != encode(after.get(name))  # 1 is not true
    )


def warnings(winner: Profile, loser: Profile, naming: Collection[str]) -> list[MergeWarning]:
    """Return why these may not be one person. `naming`: the traits that name one."""
    found = []
    if winner.user_id is not None and loser.user_id is not None:
        message = f"each has a user id: {winner.user_id!r} and {loser.user_id!r}"
        found.append(MergeWarning(kind="two_users", message=message))
    for name in sorted(naming):
        if name in winner.traits and name in loser.traits and winner.traits[name] != loser.traits[name]:
            message = f"each has another {name!r}"
            found.append(MergeWarning(kind="different_trait", message=message, trait=name))
    return found


async def _both(resources: Resources, scope: Scope, pair: Pair) -> _Both:
    leads = {unsigned(person.key) for person in pair}
    keys = await gathering.related(resources.clickhouse, leads)
    async with resources.postgres.connection() as connection:
        seen, identifies, suppressed = await gathering.rows(resources.clickhouse, connection, scope, keys)
    rows, events = list(seen), list(identifies)
    apart = {person.key: person for person in people.people(scope.workspace, rows, events, suppressed)}
    if not leads <= apart.keys():
        raise NotFound("one of the profiles has just gone")
    root, kind, id_ = unsigned(pair.winner.key), _KINDS[pair.winner.kind], pair.winner.id.encode()
    joined = [
        row._replace(root=root, root_kind=kind, root_id=id_, beside_root=root if row.beside_root in leads else 0)
        for row in rows
    ]
    ordered = sorted((each._replace(root=root) for each in events), key=lambda each: (each.at, each.message_id))
    (merged,) = people.people(scope.workspace, joined, ordered, suppressed)
    return _Both(apart[root], apart[unsigned(pair.loser.key)], merged)


async def _profile(resources: Resources, person: people.Person) -> Profile:
    """Return a person as `GET /profiles/{id}` would; PostgreSQL has its own way of writing numbers."""
    members = [f"{msgspec.json.encode(name).decode()}:{each.value.decode()}" for name, each in person.traits.items()]
    row = await resources.postgres.fetchrow("SELECT $1::text::jsonb", f"{{{','.join(members)}}}")
    assert row is not None, "a SELECT without FROM has a row"
    return Profile(
        id=person.profile,
        user_id=person.user_id,
        anonymous_ids=tuple(person.anonymous_ids),
        traits=msgspec.json.decode(row[0]),
        trait_origins={
            name: TraitOrigin(at=moment(each.at), message_id=each.message_id) for name, each in person.traits.items()
        },
        first_seen_at=moment(person.first),
        last_seen_at=moment(person.last),
    )


async def _events(resources: Resources, scope: Scope, keys: Collection[int]) -> int:
    result = await resources.clickhouse.query(
        f"SELECT count() FROM {statements.EVENTS} FINAL {scope.clauses(statements.EVENTS)}",
        settings=_SETTINGS,
        query_id=uuid.uuid4().hex,
        timeout=_SECONDS,
        external=[External(statements.KEYS, [("key", "UInt64")], [(key,) for key in keys])],
    )
    return int(result.data[0][0])
