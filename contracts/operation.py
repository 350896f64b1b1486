"""What the table of operations is made of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

import msgspec

from contracts import subjects
from contracts.versioned import IF_MATCH

Format: TypeAlias = Literal["json", "ndjson", "csv", "parquet", "arrow"]
MEDIA_TYPES: Final[Mapping[Format, str]] = MappingProxyType(
    {
        "json": "application/json",
        "ndjson": "application/x-ndjson",
        "csv": "text/csv",
        "parquet": "application/vnd.apache.parquet",
        "arrow": "application/vnd.apache.arrow.stream",
    }
)
_PARAMETER = re.compile(r"\{(\w+)\}")


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing the platform does. `request` is decoded strictly: over HTTP from the parameters of the path, the header
    If-Match where it has such a field, and the body (GET, DELETE: the query parameters); `cache` names the time-to-live
    setting that applies, null for answers never cached."""

    service: str
    name: str
    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    request: Any
    response: Any
    scope: str
    summary: str
    description: str = ""
    cache: Literal["query", "profile"] | None = None
    formats: tuple[Format, ...] = ("json",)
    idempotent: bool = True
    """Asking twice does no more than asking once: the caller may retry when nobody answered."""
    lasting: bool = False
    """May take as long as a streamed answer: it computes all of something, not a page."""
    versioned: bool = False
    """The answer shows a resource with versions: over HTTP its ETag is its version (contracts/versioned.py)."""
    version: int = 1
    examples: Mapping[str, Any] = {}
    """Named request bodies, as JSON values, shown in the documents and tested to be answered."""

    @property
    def id(self) -> str:
        """The operation's name in documents, metrics and spans: ``query.events``."""
        return f"{self.service}.{self.name}"

    @property
    def subject(self) -> str:
        """The NATS subject that serves it."""
        return subjects.operation(self.service, self.name, self.version)

    @property
    def has_body(self) -> bool:
        """Whether the request has a body over HTTP."""
        return self.method in ("POST", "PUT")

    @property
    def parameters(self) -> tuple[str, ...]:
        """The fields of the request that the path says over HTTP."""
        return tuple(_PARAMETER.findall(self.path))

    @property
    def conditional(self) -> bool:
        """Whether the request takes the precondition that If-Match says over HTTP."""
        return IF_MATCH in getattr(self.request, "__struct_fields__", ())
