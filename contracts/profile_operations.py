"""The operations of the profile service: their part of the one table (contracts/operations.py)."""

from __future__ import annotations

from typing import Final

from contracts import profiles
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
)
