"""What a replica says of itself: ready with all it needs, and without what it does not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from contracts.base import decoder
from services.kit.health import ReplicaHealth, Reporter
from services.kit.metrics import Metrics


class Connection:
    """Stands for NATS: hands a question to whoever subscribed, and keeps the answers."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()
        self.callbacks: dict[str, Any] = {}

    async def subscribe(self, subject: str, *, cb: Any) -> None:
        self.callbacks[subject] = cb

    async def publish(self, subject: str, body: bytes) -> None:
        await self.answers.put(body)

    async def rtt(self) -> float:
        return 0.0


class Question:
    reply = "inbox"


async def well() -> None:
    pass


async def ill() -> None:
    raise RuntimeError("no")


@pytest.mark.parametrize(("store", "extra", "ready"), [(well, ill, True), (ill, well, False), (well, well, True)])
async def test_only_what_is_needed_makes_a_replica_unready(store: Any, extra: Any, ready: bool) -> None:
    connection = Connection()
    reporter = Reporter("probe", "one", {"store": store}, Metrics(), {"extra": extra})
    await reporter.start(connection)  # type: ignore[arg-type]
    await connection.callbacks["cdp.ctl.v1.health"](Question())
    report = decoder(ReplicaHealth).decode(await connection.answers.get())
    assert report.ready is ready
    assert [(each.name, each.needed, each.ready) for each in report.dependencies] == [
        ("nats", True, True),
        ("store", True, store is well),
        ("extra", False, extra is well),
    ]
