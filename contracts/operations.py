"""The one table of operations.

The gateway's routes, the services' subscribers, the OpenAPI and AsyncAPI documents, the Python client and the console's
types all derive from it. To add an operation: one entry here, one struct pair, one handler (CONTRIBUTING.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

import msgspec

from contracts import subjects
from contracts.analysis import ActorsPage
from contracts.events import CatalogRequest, CatalogResult, EventsPage, EventsRequest
from contracts.retention import ACTORS_EXAMPLES as RETENTION_ACTORS_EXAMPLES
from contracts.retention import EXAMPLES as RETENTION_EXAMPLES
from contracts.retention import RetentionActorsRequest, RetentionRequest, RetentionResult
from contracts.trends import ACTORS_EXAMPLES as TRENDS_ACTORS_EXAMPLES
from contracts.trends import EXAMPLES as TRENDS_EXAMPLES
from contracts.trends import TrendsActorsRequest, TrendsRequest, TrendsResult
from contracts.versioned import IF_MATCH
from contracts.workspace import WorkspaceGet, WorkspaceSettings

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


OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        service="query",
        name="events",
        method="POST",
        path="/query/events",
        request=EventsRequest,
        response=EventsPage,
        scope="query:read",
        summary="Rows of the event tables",
        description="Newest or oldest first, with keyset paging that is stable under inserts. "
        "NDJSON, CSV, Parquet and Arrow stream the whole range.",
        cache="query",
        formats=("json", "ndjson", "csv", "parquet", "arrow"),
        examples={
            "newest purchases": {
                "table": "track",
                "names": ["Order Completed"],
                "columns": ["timestamp", "actor", "properties.revenue"],
                "limit": 3,
            },
            "one field, one week": {
                "table": "page",
                "from": "-7d",
                "where": {"op": "starts_with", "field": "context.page.path", "value": "/products"},
                "order": "oldest",
                "limit": 2,
            },
        },
    ),
    Operation(
        service="query",
        name="catalog",
        method="POST",
        path="/query/catalog",
        request=CatalogRequest,
        response=CatalogResult,
        scope="query:read",
        summary="What is in the events",
        description="Names with counts, fields with types and coverage, top values of a field: "
        "what a predicate builder needs.",
        cache="query",
        examples={
            "names": {"kind": "names"},
            "fields": {"kind": "fields", "table": "track", "names": ["Order Completed"]},
            "values": {"kind": "values", "field": "context.locale", "prefix": "d"},
        },
    ),
    Operation(
        service="query",
        name="retention",
        method="POST",
        path="/query/retention",
        request=RetentionRequest,
        response=RetentionResult,
        scope="query:read",
        summary="Who comes back, period by period",
        description="Of those with a start event in a period, how many have a return event in each later one: "
        "docs/retention.md.",
        cache="query",
        formats=("json", "csv"),
        examples=RETENTION_EXAMPLES,
    ),
    Operation(
        service="query",
        name="retention_actors",
        method="POST",
        path="/query/retention/actors",
        request=RetentionActorsRequest,
        response=ActorsPage,
        scope="query:read",
        summary="The actors behind a cell of a retention",
        cache="query",
        examples=RETENTION_ACTORS_EXAMPLES,
    ),
    Operation(
        service="query",
        name="trends",
        method="POST",
        path="/query/trends",
        request=TrendsRequest,
        response=TrendsResult,
        scope="query:read",
        summary="Numbers over time",
        description="Up to ten series, each with its own measure, by minute to month; breakdown, formula, comparison.",
        cache="query",
        formats=("json", "csv"),
        examples=TRENDS_EXAMPLES,
    ),
    Operation(
        service="query",
        name="trends_actors",
        method="POST",
        path="/query/trends/actors",
        request=TrendsActorsRequest,
        response=ActorsPage,
        scope="query:read",
        summary="The actors behind a value of a trend",
        cache="query",
        examples=TRENDS_ACTORS_EXAMPLES,
    ),
    Operation(
        service="query",
        name="workspace_get",
        method="GET",
        path="/workspace",
        request=WorkspaceGet,
        response=WorkspaceSettings,
        scope="workspace:read",
        summary="Settings of the workspace",
    ),
    Operation(
        service="query",
        name="workspace_put",
        method="PUT",
        path="/workspace",
        request=WorkspaceSettings,
        response=WorkspaceSettings,
        scope="workspace:write",
        summary="Replace the settings of the workspace",
        examples={"Berlin": {"name": "Shop", "timezone": "Europe/Berlin"}},
    ),
)

BY_ID: Final[Mapping[str, Operation]] = MappingProxyType({operation.id: operation for operation in OPERATIONS})


def of_service(service: str) -> tuple[Operation, ...]:
    """Return the operations one service answers."""
    return tuple(operation for operation in OPERATIONS if operation.service == service)
