"""Health of the fleet over NATS: each replica answers for itself and its dependencies; anyone may ask them all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from contracts.base import Message, encode
from contracts.subjects import PREFIX
from services.kit.lifecycle import close_quietly
from services.kit.logs import log
from services.kit.metrics import Metrics
from services.kit.service_types import Check

HEALTH: Final = f"{PREFIX}.ctl.v1.health"
METRICS: Final = f"{PREFIX}.ctl.v1.metrics"
_CHECK_SECONDS = 0.25
"""A dependency that takes longer is reported as not ready; below `ask_fleet`'s default, so that the report arrives."""


class Dependency(Message, frozen=True, kw_only=True):
    """State of one thing a replica uses. `problem` is a word for the reader of `/ready`; the log has more. `needed`:
    the replica is not ready without it."""

    name: str
    ready: bool
    elapsed_ms: float
    needed: bool = True
    problem: str | None = None


class ReplicaHealth(Message, frozen=True, kw_only=True):
    """State of one process. `ready`: all the dependencies it needs are."""

    service: str
    instance: str
    ready: bool
    started: datetime
    dependencies: tuple[Dependency, ...]


class ReplicaMetrics(Message, frozen=True, kw_only=True):
    """One process's metrics in the Prometheus text format."""

    service: str
    instance: str
    text: str


async def check_dependencies(checks: Mapping[str, Check], optional: Mapping[str, Check] = {}) -> tuple[Dependency, ...]:
    """Run all checks at once, each for at most 250 ms. `optional`: of what is not needed."""
    return tuple(
        await asyncio.gather(
            *(_check(name, check, True) for name, check in checks.items()),
            *(_check(name, check, False) for name, check in optional.items()),
        )
    )


async def round_trip(connection: Client) -> float:
    """Return the seconds to the NATS server and back. Safe to cancel, unlike nats-py's `rtt`: when the PONG comes after
    that was cancelled, the connection's reader dies of it and the connection hangs until its next pings are missed."""
    task = asyncio.ensure_future(connection.rtt())
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, though nobody may wait any more
    return await asyncio.shield(task)


async def _check(name: str, check: Check, needed: bool) -> Dependency:
    loop = asyncio.get_running_loop()
    started = loop.time()
    problem: str | None = None
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check()
    except TimeoutError:
        problem = "timeout"
    except Exception as error:
        problem = type(error).__name__
        log(logging.DEBUG, "dependency is not ready", error=error, dependency=name)
    elapsed = round((loop.time() - started) * 1000, 2)
    return Dependency(name=name, ready=problem is None, elapsed_ms=elapsed, needed=needed, problem=problem)


_Report = TypeVar("_Report", ReplicaHealth, ReplicaMetrics)


class Reporter:
    """Answers for this process on the two control subjects."""

    def __init__(
        self,
        service: str,
        instance: str,
        checks: Mapping[str, Check],
        metrics: Metrics,
        optional: Mapping[str, Check] = {},
    ):
        self._service = service
        self._instance = instance
        self._checks = dict(checks)
        self._optional = dict(optional)
        self._metrics = metrics
        self._started = datetime.now(UTC)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, connection: Client) -> None:
        """Subscribe. No queue group: every replica answers."""
        checks: dict[str, Check] = {"nats": lambda: round_trip(connection), **self._checks}

        async def answer_health(message: Msg) -> None:
            # In a task of its own: the next question must not wait for a slow check.
            task = asyncio.create_task(self._report(connection, message.reply, checks))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        async def answer_metrics(message: Msg) -> None:
            text = self._metrics.text().decode()
            body = ReplicaMetrics(service=self._service, instance=self._instance, text=text)
            if message.reply:
                await connection.publish(message.reply, encode(body))

        await connection.subscribe(HEALTH, cb=answer_health)
        await connection.subscribe(METRICS, cb=answer_metrics)

    async def _report(self, connection: Client, inbox: str, checks: Mapping[str, Check]) -> None:
        dependencies = await check_dependencies(checks, self._optional)
        health = ReplicaHealth(
            service=self._service,
            instance=self._instance,
            ready=all(dependency.ready for dependency in dependencies if dependency.needed),
            started=self._started,
            dependencies=dependencies,
        )
        if inbox:
            await connection.publish(inbox, encode(health))


async def ask_fleet(connection: Client, timeout: float = 0.4, *, expected: Collection[str] = ()) -> list[ReplicaHealth]:
    """Ask every replica of every service for its state and return what came within `timeout` seconds, by service.

    With `expected` the answer comes as soon as each service named has answered at least once. A replica that is
    missing is down, or too busy to answer. Without a connection to NATS the list is empty.
    """
    answers = await _scatter(connection, HEALTH, ReplicaHealth, timeout, set(expected))
    return sorted(answers, key=lambda answer: (answer.service, answer.instance))


async def gather_metrics(connection: Client, timeout: float = 0.3) -> list[ReplicaMetrics]:
    """Return the metrics of every replica that answers within `timeout` seconds."""
    answers = await _scatter(connection, METRICS, ReplicaMetrics, timeout, set())
    return sorted(answers, key=lambda answer: (answer.service, answer.instance))


async def _scatter(
    connection: Client, subject: str, type_: type[_Report], timeout: float, expected: set[str]
) -> list[_Report]:
    if not connection.is_connected:
        return []
    answers: list[_Report] = []
    complete = asyncio.Event()
    missing = set(expected)

    async def collect(message: Msg) -> None:
        if (message.headers or {}).get("Status") == "503":
            complete.set()  # the server says that nobody listens
            return
        try:
            answer = msgspec.json.decode(message.data, type=type_)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return  # not one of ours
        answers.append(answer)
        missing.discard(answer.service)
        if expected and not missing:
            complete.set()

    inbox = connection.new_inbox()
    subscription = await connection.subscribe(inbox, cb=collect)
    try:
        await connection.publish(subject, reply=inbox)
        async with asyncio.timeout(timeout):
            await complete.wait()
    except TimeoutError:
        pass  # the usual end: nobody knows how many replicas there are
    finally:
        await close_quietly(subscription.unsubscribe)
    return answers
