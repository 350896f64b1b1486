"""Resources with versions, and the precondition that keeps one writer from undoing another's work (RFC 9110, 13.1.1).

Over HTTP a version is the resource's `ETag` and the precondition the header `If-Match`; over NATS both are fields.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

Version: TypeAlias = Annotated[int, Meta(ge=1, le=2_147_483_647)]
"""Counts from 1; every change makes the next one."""
IfMatch: TypeAlias = Annotated[tuple[Annotated[int, Meta(ge=0, le=2**53)], ...], Meta(max_length=100)] | Literal["*"]
"""The versions the writer knows of, or `*` for any: the change is made only if the newest is among them."""
IF_MATCH: Final = "if_match"
"""The field of a request that holds it; the gateway fills it from the header, and refuses it in a body."""
