"""What a merge would change, told from two profiles."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from contracts.profile_merges import TraitChange
from contracts.profiles import Profile
from services.profile.merging.simulation import trait_changes, warnings

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def profile(user_id: str | None = None, **traits: Any) -> Profile:
    return Profile(
        id=UUID(int=1),
        user_id=user_id,
        anonymous_ids=(),
        traits=traits,
        trait_origins={},
        first_seen_at=NOW,
        last_seen_at=NOW,
    )


def test_traits_that_come_go_or_differ_are_told_by_name() -> None:
    before = {"same": {"a": [1]}, "gone": "x", "flag": 1}
    after = {"new": 2.5, "same": {"a": [1]}, "flag": True}
    assert trait_changes(before, after) == (
        TraitChange(name="flag", before=1, after=True),
        TraitChange(name="gone", before="x", after=None),
        TraitChange(name="new", before=None, after=2.5),
    )


def test_two_users_and_traits_that_name_one_person_are_warned_of_only_when_both_have_them() -> None:
    ada, bob = profile("ada", email="a@x", phone="1"), profile("bob", email="b@x")
    assert [(each.kind, each.trait) for each in warnings(ada, bob, {"phone", "email"})] == [
        ("two_users", None),
        ("different_trait", "email"),
    ]
    assert warnings(ada, profile(email="a@x"), {"phone", "email"}) == []
