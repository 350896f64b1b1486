"""An answer to a request: from memory, from Redis, from a computation that is running, or from the service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from msgspec.structs import replace

from contracts import headers as names
from contracts.caching import CachePolicy
from contracts.errors import DeadlineExceeded, InvalidRequest
from contracts.operation import MEDIA_TYPES, Format, Operation
from gateway.cache.entry import Entry
from gateway.cache.flight import Flights
from gateway.cache.keys import CanonicalKey
from gateway.cache.lease import Lease, wait_for
from gateway.cache.memory import Memory
from gateway.cache.remote import Remote
from gateway.cache.trust import Trust
from services.kit.rpc import Reply
from services.kit.settings import Settings


class Caller(Protocol):
    """What asks the services: `services.kit.rpc.RpcClient`, once there is a connection."""

    async def call(self, operation: Operation, body: bytes, headers: Mapping[str, str], timeout: float) -> Reply:
        """Ask one service; raises contracts.errors.CdpError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A validated request on its way. `deadline` is loop time. `key` is null when the answer is never kept."""

    operation: Operation
    format: Format
    body: bytes
    headers: Mapping[str, str]
    deadline: float
    key: CanonicalKey | None
    bypass: bool = False
    """The client wants an answer computed now; it may be kept for others."""


class Outcome:
    """A whole answer (`entry`), or the beginning of a streamed one, which exactly one waiter may `claim`."""

    __slots__ = ("_reply", "entry", "hit")

    def __init__(self, entry: Entry | None, reply: Reply | None = None, *, hit: bool = False):
        self.entry = entry
        self.hit = hit
        self._reply = reply

    def claim(self) -> Reply | None:
        """Return the streamed reply to its first taker, null to all others."""
        reply, self._reply = self._reply, None
        return reply


def new_flights() -> Flights[Outcome]:
    """Return the register of running computations."""

    async def discard(outcome: Outcome) -> None:
        reply = outcome.claim()
        if reply is not None:
            await reply.aclose()

    return Flights(discard)


def detach(flights: Flights[Outcome], workspace: str) -> None:
    """Let no new request join what a workspace has in flight."""
    flights.detach(lambda key: isinstance(key, CanonicalKey) and key.workspace == workspace)


class Answers:
    """Both cache levels and the flights above the services."""

    def __init__(
        self,
        caller: Caller,
        flights: Flights[Outcome],
        memory: Memory,
        remote: Remote,
        trust: Trust,
        settled: Callable[[], Awaitable[None]],
        settings: Settings,
    ):
        """`settled` returns when Redis has carried out the drops heard so far."""
        self._caller = caller
        self._flights = flights
        self._memory = memory
        self._remote = remote
        self._trust = trust
        self._settled = settled
        self._open_ttl = {"query": settings.cache_ttl_query_seconds, "profile": settings.cache_ttl_profile_seconds}
        self._closed_ttl = settings.cache_ttl_closed_seconds
        self._storing: set[asyncio.Task[None]] = set()

    def cacheable(self, operation: Operation, format_: Format) -> bool:
        """Whether answers may be kept at all: the other formats are for streams, which never are."""
        return operation.cache is not None and format_ == "json" and self._open_ttl[operation.cache] > 0

    async def answer(self, question: Question) -> Outcome:
        """Return the answer.

        Raises:
            CdpError: of the service, or Unavailable, or DeadlineExceeded.
        """
        key = question.key
        if key is None or question.bypass:
            return await self._compute(question, self._trust.log.epoch)
        loop = asyncio.get_running_loop()
        while True:
            leads = key not in self._flights
            try:
                outcome = await self._flights.join(key, lambda: self._fly(question, key))
            except DeadlineExceeded:
                # The deadline was that of who began the flight; a later one may have time left.
                if leads or loop.time() >= question.deadline:
                    raise
                continue
            if outcome.entry is not None:
                return outcome
            reply = outcome.claim()
            return await self._compute(question, 0) if reply is None else Outcome(None, reply)

    async def close(self) -> None:
        """Finish what is being stored; bounded by Redis' time-outs."""
        await asyncio.gather(*self._storing, return_exceptions=True)

    async def _fly(self, question: Question, key: CanonicalKey) -> Outcome:
        # Else Redis may still hold what the client was just told is out of date.
        await self._settled()
        epoch = self._trust.log.epoch
        lease = Lease(self._remote, key)
        entry = await lease.begin()
        if entry is None and not lease.held:
            try:
                async with asyncio.timeout_at(question.deadline):
                    entry = await wait_for(self._remote, key)
            except TimeoutError:
                raise DeadlineExceeded("the time given for the answer is over") from None
        if entry is not None and self._usable(key, entry, epoch, question.operation):
            self._remember(key, entry, epoch)
            return Outcome(entry, hit=True)
        try:
            outcome = await self._compute(question, self._trust.log.epoch, lease)
        except BaseException:
            self._in_background(lease.release())
            raise
        return outcome

    async def _compute(self, question: Question, epoch: int, lease: Lease | None = None) -> Outcome:
        began = time.time()
        left = question.deadline - asyncio.get_running_loop().time()
        if left <= 0:
            raise DeadlineExceeded("the time given for the answer is over")
        reply = await self._caller.call(question.operation, question.body, question.headers, left)
        if reply.body is None:
            if lease is not None:
                self._in_background(lease.release())
            return Outcome(None, reply)
        policy = self._policy(question, reply)
        ttl = 0 if policy is None else policy.ttl
        content_type = reply.headers.get(names.CONTENT_TYPE) or MEDIA_TYPES[question.format]
        version = reply.headers.get(names.VERSION)
        entry = Entry(reply.body, content_type, stored_at=began, ttl=ttl, policy=policy, version=version)
        if question.key is not None and policy is not None and ttl > 0:
            self._remember(question.key, entry, epoch)
            self._in_background(self._store(question.key, entry, epoch, lease))
        elif lease is not None:
            self._in_background(lease.release())
        return Outcome(entry)

    def _usable(self, key: CanonicalKey, entry: Entry, epoch: int, operation: Operation) -> bool:
        trusted = self._trust.accepts(entry, time.time(), self._ttl(operation, closed=False))
        return trusted and self._holds(key, entry, epoch)

    def _holds(self, key: CanonicalKey, entry: Entry, epoch: int) -> bool:
        """Tell whether an entry still holds, its life shortened by what was heard since `epoch`."""
        if entry.policy is None:
            return False
        entry.shorten(self._trust.log.left(epoch, key.workspace, entry.policy))
        return entry.fresh(time.time())

    def _policy(self, question: Question, reply: Reply) -> CachePolicy | None:
        header = reply.headers.get(names.CACHE)
        if question.key is None or not header:
            return None
        try:
            policy = CachePolicy.parse(header)
        except InvalidRequest:
            return None  # a newer service says more than this gateway understands: not kept
        ttl, after_events = self._ttl(question.operation, closed=policy.closed), policy.ttl_after_events
        if after_events is not None:
            after_events = min(after_events, self._ttl(question.operation, closed=False))
        return replace(policy, ttl=min(policy.ttl, ttl), ttl_after_events=after_events)

    def _ttl(self, operation: Operation, *, closed: bool) -> int:
        if operation.cache is None:
            return 0
        return self._closed_ttl if closed else self._open_ttl[operation.cache]

    def _remember(self, key: CanonicalKey, entry: Entry, epoch: int) -> None:
        if self._trust.hearing and self._holds(key, entry, epoch):
            self._memory.put(key, entry)

    async def _store(self, key: CanonicalKey, entry: Entry, epoch: int, lease: Lease | None) -> None:
        if self._trust.hearing and self._holds(key, entry, epoch):
            life = entry.ttl
            await self._remote.put(key, entry)
            # A drop heard while Redis was storing may have been carried out there before the entry arrived.
            if not self._holds(key, entry, epoch) or entry.ttl < life:
                await self._remote.forget(key)
        if lease is not None:
            await lease.release()

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)
