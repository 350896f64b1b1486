"""Clients that ask all the time and know what is right."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import aiohttp

from services.kit.lifecycle import end
from tests.api import Api

DEADLINE = 6.0
"""`request_timeout_seconds` of the platforms these tests start."""
_SLACK = 4.0
"""Seconds an answer may be late on a machine that has much else to do."""
_PAUSE = 0.03
_NDJSON = "application/x-ndjson"
_NAMES = 10
_ROWS = 2_000
_T0 = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_HOUR = 3_600_000
REFUSED = 0
"""Stands for a status where the connection was refused or broken."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer: when it was asked for, how long it took, and what is wrong with it ('' for nothing)."""

    asked: float
    seconds: float
    status: int
    cached: bool
    wrong: str


async def fill(api: Api) -> None:
    """Write the events that `question` asks for."""
    await api.write(
        {
            "table": "track",
            "message_id": f"m{number:05}",
            "anonymous_id": f"a{number % 50}",
            "timestamp": _T0 + number * _HOUR,
            "received_at": _T0 + number * _HOUR,
            "event": f"E{number % _NAMES}",
            "properties": {"n": number},
        }
        for number in range(_ROWS)
    )


def question(name: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a request and the rows that answer it."""
    request = {
        "table": "track",
        "names": [f"E{name}"],
        "columns": ["properties.n"],
        "order": "oldest",
        "to": "2027-01-01",
        "limit": 100,
    }
    return request, [{"properties.n": number} for number in range(name, _ROWS, _NAMES)][:100]


@dataclass
class Load:
    """A steady mix of questions, some of which the cache may answer."""

    url: str
    workspace: UUID
    streams: int = 0
    """How many of the clients read streams."""
    refusals: bool = False
    """Whether connections may be refused or broken: it is the gateway that is killed."""
    samples: list[Sample] = field(default_factory=list)

    def wrong(self, allowed: Collection[int] = (200, 503, 504)) -> list[Sample]:
        """Return the answers that should not have been given: another status, other rows, or too late."""
        statuses = {*allowed, REFUSED} if self.refusals else {*allowed}
        return [
            sample
            for sample in self.samples
            if sample.wrong or sample.status not in statuses or sample.seconds > DEADLINE + _SLACK
        ]

    def statuses(self) -> dict[int, int]:
        """Return how many answers had which status."""
        return dict(Counter(sample.status for sample in self.samples))

    async def calm(self, since: float, within: float = 30.0) -> float:
        """Wait until all that was asked for during a second was answered with 200, and return the seconds from `since`
        (monotonic) to the last question that was not.

        Raises:
            AssertionError: something asked later than `within` seconds after `since` failed.
        """
        while True:
            await asyncio.sleep(0.1)
            now = time.monotonic()
            failed = [sample.asked for sample in self.samples if sample.status != 200 and sample.asked > since]
            latest = max(failed, default=since)
            assert latest - since <= within, f"still failing after {latest - since:.1f} s: {self.statuses()}"
            assert now - since < within + 2 * DEADLINE, f"no answers: {self.samples[-5:]}"
            fresh = [sample for sample in self.samples if sample.asked > latest and not sample.cached]
            if len(fresh) > 10 and now - latest > 1.0:
                return latest - since

    async def _client(self, number: int, http: aiohttp.ClientSession) -> None:
        streamed = number < self.streams
        cached = not streamed and number % 2 == 0
        headers = {"X-Workspace-Id": str(self.workspace), "Accept": _NDJSON if streamed else "application/json"}
        headers |= {} if cached else {"Cache-Control": "no-cache"}
        choose = random.Random(number)
        while True:
            request, rows = question(choose.randrange(_NAMES))
            asked = time.monotonic()
            status, wrong = await self._ask(http, request, rows, headers)
            self.samples.append(Sample(asked, time.monotonic() - asked, status, cached, wrong))
            await asyncio.sleep(_PAUSE)

    async def _ask(
        self, http: aiohttp.ClientSession, request: dict[str, Any], rows: list[dict[str, Any]], headers: dict[str, str]
    ) -> tuple[int, str]:
        try:
            async with http.post(self.url + "/query/events", json=request, headers=headers) as answer:
                body = await answer.read()
                status, kind = answer.status, answer.content_type
        except TimeoutError:
            return REFUSED, "no answer"
        except (aiohttp.ClientError, OSError) as error:
            return REFUSED, "" if self.refusals else f"{type(error).__name__}: {error}"
        if status == 200:
            found = [json.loads(line) for line in body.splitlines()] if kind == _NDJSON else json.loads(body)["data"]
            return status, "" if found == rows else f"other rows: {body[:200]!r}"
        problem = kind == "application/problem+json" and json.loads(body)["status"] == status
        return status, "" if problem else f"no problem document: {body[:200]!r}"


@asynccontextmanager
async def under_load(api: Api, *, clients: int = 6, streams: int = 0, refusals: bool = False) -> AsyncIterator[Load]:
    """Ask while the block runs. It begins when all goes well."""
    load = Load(api.url, api.workspace, streams, refusals)
    timeout = aiohttp.ClientTimeout(total=DEADLINE + 2 * _SLACK)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        tasks = [asyncio.create_task(load._client(number, http)) for number in range(clients)]
        try:
            await load.calm(time.monotonic())
            yield load
        finally:
            await end(tasks)
            ended = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [error for error in ended if not isinstance(error, asyncio.CancelledError)]
    assert not failed, f"a client failed: {failed}"
