"""The operation `profile.batch`: many profiles by reference, in one statement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from contracts.base import encode
from contracts.caching import CachePolicy
from contracts.errors import LimitExceeded
from contracts.profile_search import AmbiguousReference, ProfilesBatch
from services.kit.service import Answer, RequestContext
from services.profile.references import ById, parse
from services.profile.resources import Resources
from services.profile.search.rows import Shape, json_line
from services.profile.search.search import CHANGED, PAGE_BYTES
from services.profile.search.session import explained, patience, reading
from services.profile.search.settling import seconds_of

_SHOWN: Final = 10
"""Profiles named of an ambiguous reference."""
# All that have a trait are gathered: with a LIMIT the planner would go through every profile to meet the first ones.
_FIND: Final = f"""
WITH hits AS (
    SELECT w.place, coalesce(i.profile_id, w.own) AS id
    FROM unnest($2::int[], $3::uuid[]) AS w (place, own)
    LEFT JOIN profile.identities i ON i.own_profile = w.own AND i.workspace_id = $1
    UNION
    SELECT w.place, found.id
    FROM unnest($4::int[], $5::jsonb[]) AS w (place, document)
    CROSS JOIN LATERAL (
        SELECT (array_agg(p.id ORDER BY p.id))[:{_SHOWN}] AS ids
        FROM profiles p WHERE p.workspace_id = $1 AND p.traits @> w.document
    ) AS holders, unnest(holders.ids) AS found (id)
)
SELECT hits.place, p.id, p.user_id, p.anonymous_ids, p.traits, p.first_seen_at, p.last_seen_at
FROM hits JOIN profiles p ON p.id = hits.id AND p.workspace_id = $1
ORDER BY hits.place, p.id
"""


async def batch(resources: Resources, request: ProfilesBatch, context: RequestContext) -> Answer:
    """Return the profiles that references mean, each reference once: found, missing or ambiguous.

    Raises:
        InvalidRequest: not a reference, or no such column; names the field.
        LimitExceeded, DeadlineExceeded: it is too much, or takes too long.
    """
    shape = Shape(request.columns)
    ids: list[tuple[int, UUID]] = []
    documents: list[tuple[int, str]] = []
    references = tuple(dict.fromkeys(request.ids))
    for place, reference in enumerate(references):
        wanted = parse(context.workspace, reference, resources.external_ids, f"/ids/{place}")
        if isinstance(wanted, ById):
            ids.append((place, wanted.own_profile))
        else:
            documents += [(place, document) for document in wanted.documents]
    seconds = seconds_of(resources, context)
    async with explained(context, seconds), reading(resources.postgres, seconds) as connection:
        rows = await connection.fetch(
            _FIND,
            context.workspace,
            [place for place, _ in ids],
            [own for _, own in ids],
            [place for place, _ in documents],
            [document for _, document in documents],
            timeout=patience(seconds),
        )
    if sum(len(row["traits"]) for row in rows) > PAGE_BYTES:
        raise LimitExceeded(f"the answer is over {PAGE_BYTES >> 20} MiB: ask for fewer profiles")
    hits: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        hits.setdefault(row["place"], []).append(row)
    found: list[bytes] = []
    missing: list[str] = []
    ambiguous: list[AmbiguousReference] = []
    for place, reference in enumerate(references):
        meant = hits.get(place, [])
        if not meant:
            missing.append(reference)
        elif len(meant) > 1:
            ambiguous.append(AmbiguousReference(ref=reference, ids=tuple(row["id"] for row in meant[:_SHOWN])))
        else:
            found.append(b'{"ref":%b,"profile":%b}' % (encode(reference), json_line(shape.show(meant[0]))))
    body = b'{"data":[%b],"missing":%b,"ambiguous":%b}' % (b",".join(found), encode(missing), encode(ambiguous))
    policy = CachePolicy(ttl=resources.settings.cache_ttl_profile_seconds, tags=(CHANGED,))
    return Answer(body, cache=policy)
