"""The NATS services protocol (ADR-32): `nats micro ls`, `info` and `stats` show the fleet.

Answered from our own numbers: nats-py's own implementation works on one request at a time, replies with the text of
any exception, and unsubscribes without draining.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from contracts.base import encode
from contracts.operation import Operation
from services.kit.micro_stats import EndpointStats
from services.kit.service_types import Service

VERSION: Final = "0.1.0"
"""Version of the contracts, semantic: the part before the first dot changes with the `v1` of the subjects."""
_TYPES: Final = {
    "PING": "io.nats.micro.v1.ping_response",
    "INFO": "io.nats.micro.v1.info_response",
    "STATS": "io.nats.micro.v1.stats_response",
}


def schema_hash(operation: Operation) -> str:
    """Return a short digest of an operation's request and response schemas: two replicas that differ in it do not
    speak the same contract."""
    schemas = msgspec.json.schema_components((operation.request, operation.response))
    return hashlib.sha256(msgspec.json.encode(schemas, order="deterministic")).hexdigest()[:16]


class MicroService:
    """What one process says of itself."""

    def __init__(self, service: Service, instance: str, stats: Mapping[str, EndpointStats]):
        self._service = service
        self._stats = stats
        self._started = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        self._identity = {
            "name": service.name,
            "id": instance,
            "version": VERSION,
            "metadata": {"contracts": f"v{max((o.version for o in service.operations), default=1)}"},
        }
        self._hashes = {operation.name: schema_hash(operation) for operation in service.operations}

    async def start(self, connection: Client) -> None:
        """Answer on ``$SRV.<verb>``, ``.<name>`` and ``.<name>.<id>``; every process for itself."""
        for verb, describe in (("PING", self.ping), ("INFO", self.info), ("STATS", self.stats)):

            async def answer(message: Msg, describe: Any = describe) -> None:
                if message.reply:
                    await connection.publish(message.reply, encode(describe()))

            name, instance = self._identity["name"], self._identity["id"]
            for subject in (f"$SRV.{verb}", f"$SRV.{verb}.{name}", f"$SRV.{verb}.{name}.{instance}"):
                await connection.subscribe(subject, cb=answer)

    def ping(self) -> dict[str, Any]:
        """Return the PING response."""
        return {"type": _TYPES["PING"], **self._identity}

    def info(self) -> dict[str, Any]:
        """Return the INFO response: the endpoints with their subjects and schemas."""
        endpoints = [
            {**self._endpoint(operation), "metadata": {"schema": self._hashes[operation.name]}}
            for operation in self._service.operations
        ]
        description = f"CDP {self._service.name} service"
        return {"type": _TYPES["INFO"], **self._identity, "description": description, "endpoints": endpoints}

    def stats(self) -> dict[str, Any]:
        """Return the STATS response: counts since the start, times in nanoseconds."""
        endpoints = []
        for operation in self._service.operations:
            numbers = self._stats[operation.name]
            endpoints.append(
                {
                    **self._endpoint(operation),
                    "num_requests": numbers.requests,
                    "num_errors": numbers.errors,
                    "last_error": numbers.last_error,
                    "processing_time": numbers.processing_ns,
                    "average_processing_time": numbers.processing_ns // max(1, numbers.requests),
                }
            )
        return {"type": _TYPES["STATS"], **self._identity, "started": self._started, "endpoints": endpoints}

    def _endpoint(self, operation: Operation) -> dict[str, Any]:
        return {"name": operation.name, "subject": operation.subject, "queue_group": self._service.name}
