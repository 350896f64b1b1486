"""How a reply may be cached: said by the service in the `Cdp-Cache` header, obeyed by the gateway."""

from __future__ import annotations

from uuid import UUID

from contracts.base import Message, decode, encode


class CachePolicy(Message, frozen=True, kw_only=True):
    """`ttl` in seconds. `start`/`end`: the half-open range of event time the answer was computed from, in milliseconds
    since the epoch, null for unbounded. `closed`: the range ended before the answer's clock, so only late events can
    change it. `ttl_after_events`: seconds to keep instead once events of any time arrived in the workspace, because
    they may link those the answer counts to someone else; null where they cannot change it. `tags`: names whose change
    drops the entry (definitions, profiles)."""

    ttl: int
    ttl_after_events: int | None = None
    start: int | None = None
    end: int | None = None
    closed: bool = False
    tags: tuple[str, ...] = ()

    def header(self) -> str:
        """Return the header's value."""
        return encode(self).decode()

    @classmethod
    def parse(cls, header: str) -> CachePolicy:
        """Read the header's value.

        Raises:
            InvalidRequest: not such a value.
        """
        return decode(header.encode(), cls)


class CacheDrop(Message, frozen=True, kw_only=True):
    """Entries of a workspace to drop: those with one of the tags, and closed-range ones that touch [start, end]
    (milliseconds of event time). A range says that events arrived: it also shortens by `ttl_after_events`. Published on
    core NATS; a gateway that missed it waits for the time to live."""

    workspace_id: UUID
    tags: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None
