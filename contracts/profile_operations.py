"""The operations of the profile service: their part of the one table (contracts/operations.py)."""

from __future__ import annotations

from typing import Final

from contracts import privacy, profiles
from contracts.operation import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        service="profile",
        name="get",
        method="GET",
        path="/profiles/{id}",
        request=profiles.ProfileGet,
        response=profiles.Profile,
        scope="profiles:read",
        summary="One person's profile",
        description="By the profile's id, `user_id:…`, `anonymous_id:…` or a trait that names one person, as "
        "`email:…`. Ids that were merged or linked find the profile they belong to now.",
    ),
    Operation(
        service="profile",
        name="delete",
        method="DELETE",
        path="/profiles/{id}",
        request=privacy.ProfileDelete,
        response=privacy.Deletion,
        scope="privacy:write",
        summary="Forget a person in every store, for good",
        description="The profile is gone at once. The answer says which stores have still to follow; "
        "`GET /deletions/{id}` says how far they are. What comes in later under the same ids is removed, too.",
        idempotent=False,
    ),
    Operation(
        service="profile",
        name="suppress",
        method="POST",
        path="/deletions",
        request=privacy.Suppress,
        response=privacy.Deletion,
        scope="privacy:write",
        summary="Forget the persons behind some ids, seen or not",
        examples=privacy.EXAMPLES,
    ),
    Operation(
        service="profile",
        name="deletions_list",
        method="GET",
        path="/deletions",
        request=privacy.DeletionsList,
        response=privacy.DeletionsPage,
        scope="privacy:read",
        summary="Deletions, newest first",
    ),
    Operation(
        service="profile",
        name="deletion_get",
        method="GET",
        path="/deletions/{id}",
        request=privacy.DeletionGet,
        response=privacy.Deletion,
        scope="privacy:read",
        summary="How far a deletion is",
    ),
)
