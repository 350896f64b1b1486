"""Reading an exact funnel: rows as they come, actors as they are complete, in a thread so that others are answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import groupby

from services.kit.clickhouse import Block
from services.kit.statements import Query
from services.query.analysis.funnel.exact.rules import Event
from services.query.analysis.funnel.outcome import Evaluation, Key, Outcome
from services.query.analysis.funnel.plan import Plan
from services.query.analysis.funnel.rows import Layout, rows_sql

_EVENTS = 4_000
"""Judged at a stretch; between two a request that is over ends."""


async def outcomes(query: Query, plan: Plan, evaluation: Evaluation, *, only: str = "") -> AsyncIterator[list[Outcome]]:
    """Return the outcomes of all actors, or of those that a SELECT of keys finds, some at a time.

    Raises:
        LimitExceeded, DeadlineExceeded, Unavailable: from the engine.
    """
    actors = Actors(Layout.of(plan))
    async with query.stream(rows_sql(plan, only=only)) as stream:
        async for block in stream:
            for start in range(0, len(block[0]), _EVENTS):
                rows = [column[start : start + _EVENTS] for column in block]
                yield await asyncio.to_thread(actors.judge, rows, evaluation)
        query.rows_read += stream.rows_read
        query.bytes_read += stream.bytes_read
    yield await asyncio.to_thread(actors.judge_last, evaluation)


class Actors:
    """The events of the actor whose rows are coming in."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._actor: Key | None = None
        self._events: list[Event] = []
        self._values: list[bytes] = []

    def judge(self, rows: Block, evaluation: Evaluation) -> list[Outcome]:
        """Take rows in and return the outcomes of the actors that they complete."""
        held = rows[4] if self._layout.held else [b""] * len(rows[0])
        values = rows[-1] if self._layout.value else [b""] * len(rows[0])
        found: list[Outcome] = []
        for actor, group in groupby(range(len(rows[0])), rows[0].__getitem__):
            if actor != self._actor:
                found += self.judge_last(evaluation)
                self._actor = actor
            indices = list(group)
            span = slice(indices[0], indices[-1] + 1)
            self._events += map(Event, rows[1][span], rows[2][span], rows[3][span], held[span])
            self._values += values[span]
        return found

    def judge_last(self, evaluation: Evaluation) -> list[Outcome]:
        """Return the outcomes of the actor taken in last."""
        if self._actor is None:
            return []
        found = list(evaluation.of(self._actor, self._events, self._values))
        self._events, self._values = [], []
        return found
