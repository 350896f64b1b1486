"""The JetStream streams: declared here and nowhere else, so that a service never changes what is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import nats
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from contracts import subjects

_DAY: Final = 86_400.0

STREAMS: Final = (
    StreamConfig(
        name=subjects.EVENTS_STREAM,
        description="Facts other parts react to; at least once, seven days",
        subjects=[subjects.EVENTS],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,
        max_age=7 * _DAY,
        # Publishers repeat an event after a crash with the same Nats-Msg-Id; within this hour it is one event.
        duplicate_window=3600.0,
    ),
)

_MANAGED: Final = ("description", "subjects", "retention", "storage", "discard", "max_age", "duplicate_window")


async def declare(url: str) -> list[str]:
    """Create the streams that are missing and update those that differ; return what was done, nothing when up to date.

    What is not in the table above (replicas, placement, size limits) stays as an operator set it.

    Raises:
        nats.errors.Error: no server, or it refuses the change (a stream's storage cannot change, for one).
    """
    done = []
    connection = await nats.connect(
        servers=url.split(","), name="cdp-migrate", connect_timeout=5, allow_reconnect=False, max_reconnect_attempts=1
    )
    try:
        manager = connection.jsm()
        for wanted in STREAMS:
            assert wanted.name is not None
            try:
                current = (await manager.stream_info(wanted.name)).config
            except NotFoundError:
                await manager.add_stream(wanted)
                done.append(f"stream {wanted.name} created")
                continue
            differ = [name for name in _MANAGED if getattr(current, name) != getattr(wanted, name)]
            changes = {name: getattr(wanted, name) for name in differ}
            if changes:
                await manager.update_stream(replace(current, **changes))
                done.append(f"stream {wanted.name} updated: {', '.join(changes)}")
    finally:
        await connection.close()
    return done
