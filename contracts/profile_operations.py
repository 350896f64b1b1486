"""The operations of the profile service: their part of the one table (contracts/operations.py)."""

from __future__ import annotations

from typing import Final

from contracts import privacy, profile_merges, profiles
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
        name="merge",
        method="POST",
        path="/profiles/{id}/merge",
        request=profile_merges.ProfileMerge,
        response=profile_merges.ProfileMerged,
        scope="profiles:write",
        summary="Merge another profile into this one, or say what that would change",
        description="The other profile's id, and all its ids, find this one from then on. No event is rewritten: "
        "`POST /profiles/{id}/unmerge` takes it back.",
        examples=profile_merges.MERGE_EXAMPLES,
    ),
    Operation(
        service="profile",
        name="unmerge",
        method="POST",
        path="/profiles/{id}/unmerge",
        request=profile_merges.ProfileUnmerge,
        response=profile_merges.ProfileUnmerged,
        scope="profiles:write",
        summary="Take a merge back",
        description="Both profiles are as they would be had it never been; links and merges made since hold.",
        examples=profile_merges.UNMERGE_EXAMPLES,
    ),
    Operation(
        service="profile",
        name="merges",
        method="GET",
        path="/profiles/{id}/merges",
        request=profile_merges.MergesList,
        response=profile_merges.MergesPage,
        scope="profiles:read",
        summary="Merges of one person's ids, those taken back too",
    ),
    Operation(
        service="profile",
        name="warnings",
        method="GET",
        path="/profiles/warnings",
        request=profile_merges.WarningsList,
        response=profile_merges.WarningsPage,
        scope="profiles:read",
        summary="Ids that gather suspiciously many others",
        description="Shared devices, test accounts, ids that senders make up: each with how many, and what helps.",
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
