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

from contracts import lists, queries, subjects
from contracts.analysis import ActorsPage
from contracts.events import CatalogRequest, CatalogResult, EventsPage, EventsRequest
from contracts.funnel import ACTORS_EXAMPLES as FUNNEL_ACTORS_EXAMPLES
from contracts.funnel import EXAMPLES as FUNNEL_EXAMPLES
from contracts.funnel import FunnelActorsRequest, FunnelRequest, FunnelResult
from contracts.lifecycle import ACTORS_EXAMPLES as LIFECYCLE_ACTORS_EXAMPLES
from contracts.lifecycle import EXAMPLES as LIFECYCLE_EXAMPLES
from contracts.lifecycle import LifecycleActorsRequest, LifecycleRequest, LifecycleResult
from contracts.paths import ACTORS_EXAMPLES as PATHS_ACTORS_EXAMPLES
from contracts.paths import EXAMPLES as PATHS_EXAMPLES
from contracts.paths import PathsActorsRequest, PathsRequest, PathsResult
from contracts.retention import ACTORS_EXAMPLES as RETENTION_ACTORS_EXAMPLES
from contracts.retention import EXAMPLES as RETENTION_EXAMPLES
from contracts.retention import RetentionActorsRequest, RetentionRequest, RetentionResult
from contracts.session import ACTORS_EXAMPLES as SESSION_ACTORS_EXAMPLES
from contracts.session import EXAMPLES as SESSION_EXAMPLES
from contracts.session import LIST_EXAMPLES as SESSION_LIST_EXAMPLES
from contracts.session import (
    SessionActorsRequest,
    SessionListPage,
    SessionListRequest,
    SessionRequest,
    SessionResult,
)
from contracts.sql import EXAMPLES as SQL_EXAMPLES
from contracts.sql import SqlCancel, SqlCancelled, SqlRequest, SqlResult, SqlSchema, SqlSchemaGet
from contracts.stickiness import ACTORS_EXAMPLES as STICKINESS_ACTORS_EXAMPLES
from contracts.stickiness import EXAMPLES as STICKINESS_EXAMPLES
from contracts.stickiness import StickinessActorsRequest, StickinessRequest, StickinessResult
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
        name="funnel",
        method="POST",
        path="/query/funnel",
        request=FunnelRequest,
        response=FunnelResult,
        scope="query:read",
        summary="How far actors get along steps",
        description="Ordered, strict or in any order; exclusions, optional steps, fields held constant, breakdown, "
        "times, trend, time to convert.",
        cache="query",
        formats=("json", "csv"),
        examples=FUNNEL_EXAMPLES,
    ),
    Operation(
        service="query",
        name="funnel_actors",
        method="POST",
        path="/query/funnel/actors",
        request=FunnelActorsRequest,
        response=ActorsPage,
        scope="query:read",
        summary="The actors behind a count of a funnel",
        cache="query",
        formats=("json", "csv"),
        examples=FUNNEL_ACTORS_EXAMPLES,
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
        formats=("json", "csv"),
        examples=TRENDS_ACTORS_EXAMPLES,
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
        formats=("json", "csv"),
        examples=RETENTION_ACTORS_EXAMPLES,
    ),
    Operation(
        service="query",
        name="session",
        method="POST",
        path="/query/session",
        request=SessionRequest,
        response=SessionResult,
        scope="query:read",
        summary="Visits: how many, how long, by whom",
        description="Sessions told apart by the time between an actor's events; by interval, by landing and exit page.",
        cache="query",
        formats=("json", "csv"),
        examples=SESSION_EXAMPLES,
    ),
    Operation(
        service="query",
        name="session_actors",
        method="POST",
        path="/query/session/actors",
        request=SessionActorsRequest,
        response=ActorsPage,
        scope="query:read",
        summary="The actors with a session",
        cache="query",
        formats=("json", "csv"),
        examples=SESSION_ACTORS_EXAMPLES,
    ),
    Operation(
        service="query",
        name="session_list",
        method="POST",
        path="/query/session/list",
        request=SessionListRequest,
        response=SessionListPage,
        scope="query:read",
        summary="The sessions themselves",
        description="Whose, when, how long, how many events, and the first and last page.",
        cache="query",
        formats=("json", "csv"),
        examples=SESSION_LIST_EXAMPLES,
    ),
    Operation(
        service="query",
        name="lifecycle",
        method="POST",
        path="/query/lifecycle",
        request=LifecycleRequest,
        response=LifecycleResult,
        scope="query:read",
        summary="Who is new, stays, comes back, stays away",
        description="Of each series the actors in each state, period by period: docs/lifecycle.md.",
        cache="query",
        formats=("json", "csv"),
        examples=LIFECYCLE_EXAMPLES,
    ),
    Operation(
        service="query",
        name="lifecycle_actors",
        method="POST",
        path="/query/lifecycle/actors",
        request=LifecycleActorsRequest,
        response=ActorsPage,
        scope="query:read",
        summary="The actors in a state of a life cycle",
        cache="query",
        formats=("json", "csv"),
        examples=LIFECYCLE_ACTORS_EXAMPLES,
    ),
    Operation(
        service="query",
        name="stickiness",
        method="POST",
        path="/query/stickiness",
        request=StickinessRequest,
        response=StickinessResult,
        scope="query:read",
        summary="In how many periods actors are active",
        description="Of each series the actors by their number of periods, exactly or at least; breakdown, comparison.",
        cache="query",
        formats=("json", "csv"),
        examples=STICKINESS_EXAMPLES,
    ),
    Operation(
        service="query",
        name="stickiness_actors",
        method="POST",
        path="/query/stickiness/actors",
        request=StickinessActorsRequest,
        response=ActorsPage,
        scope="query:read",
        summary="The actors active in so many periods",
        cache="query",
        formats=("json", "csv"),
        examples=STICKINESS_ACTORS_EXAMPLES,
    ),
    Operation(
        service="query",
        name="paths",
        method="POST",
        path="/query/paths",
        request=PathsRequest,
        response=PathsResult,
        scope="query:read",
        summary="What actors do one after the other within a session",
        description="Nodes and edges of the ways through sessions, from an anchor, to one, or from the beginning.",
        cache="query",
        formats=("json", "csv"),
        examples=PATHS_EXAMPLES,
    ),
    Operation(
        service="query",
        name="paths_actors",
        method="POST",
        path="/query/paths/actors",
        request=PathsActorsRequest,
        response=ActorsPage,
        scope="query:read",
        summary="The actors behind a node or an edge of paths",
        cache="query",
        formats=("json", "csv"),
        examples=PATHS_ACTORS_EXAMPLES,
    ),
    Operation(
        service="query",
        name="sql",
        method="POST",
        path="/query/sql",
        request=SqlRequest,
        response=SqlResult,
        scope="query:read",
        summary="Custom SQL over the workspace's events",
        description="One SELECT, or EXPLAIN of one, in ClickHouse's SQL. Never cached. Every format but JSON streams.",
        formats=("json", "ndjson", "csv", "parquet", "arrow"),
        examples=SQL_EXAMPLES,
    ),
    Operation(
        service="query",
        name="sql_schema",
        method="GET",
        path="/query/sql/schema",
        request=SqlSchemaGet,
        response=SqlSchema,
        scope="query:read",
        summary="Tables, columns, JSON paths and functions of custom SQL",
    ),
    Operation(
        service="query",
        name="sql_cancel",
        method="DELETE",
        path="/query/sql/{query_id}",
        request=SqlCancel,
        response=SqlCancelled,
        scope="query:read",
        summary="Stop a query by the id it was sent with",
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
    Operation(
        service="query",
        name="queries_create",
        method="POST",
        path="/queries",
        request=queries.QueryCreate,
        response=queries.SavedQuery,
        scope="queries:write",
        summary="Save a query",
        versioned=True,
        idempotent=False,
        examples=queries.EXAMPLES,
    ),
    Operation(
        service="query",
        name="queries_list",
        method="GET",
        path="/queries",
        request=queries.QueriesList,
        response=queries.QueriesPage,
        scope="queries:read",
        summary="Saved queries, searched and filtered",
    ),
    Operation(
        service="query",
        name="queries_get",
        method="GET",
        path="/queries/{id}",
        request=queries.QueryGet,
        response=queries.SavedQuery,
        scope="queries:read",
        summary="A saved query",
        versioned=True,
    ),
    Operation(
        service="query",
        name="queries_replace",
        method="PUT",
        path="/queries/{id}",
        request=queries.QueryReplace,
        response=queries.SavedQuery,
        scope="queries:write",
        summary="Make a new version of a saved query",
        versioned=True,
        idempotent=False,
        examples=queries.EXAMPLES,
    ),
    Operation(
        service="query",
        name="queries_delete",
        method="DELETE",
        path="/queries/{id}",
        request=queries.QueryDelete,
        response=queries.SavedQuery,
        scope="queries:write",
        summary="Delete a saved query; for 30 days it can be restored",
        versioned=True,
        idempotent=False,
    ),
    Operation(
        service="query",
        name="queries_restore",
        method="POST",
        path="/queries/{id}/restore",
        request=queries.QueryRestore,
        response=queries.SavedQuery,
        scope="queries:write",
        summary="Have a deleted query back",
        versioned=True,
    ),
    Operation(
        service="query",
        name="queries_versions",
        method="GET",
        path="/queries/{id}/versions",
        request=queries.QueryVersions,
        response=queries.QueryVersionsPage,
        scope="queries:read",
        summary="Versions of a saved query, newest first",
    ),
    Operation(
        service="query",
        name="queries_version",
        method="GET",
        path="/queries/{id}/versions/{version}",
        request=queries.QueryVersionGet,
        response=queries.QueryVersion,
        scope="queries:read",
        summary="A version of a saved query",
    ),
    Operation(
        service="query",
        name="queries_version_restore",
        method="POST",
        path="/queries/{id}/versions/{version}/restore",
        request=queries.QueryVersionRestore,
        response=queries.SavedQuery,
        scope="queries:write",
        summary="Make a new version that is what an old one was",
        versioned=True,
        idempotent=False,
    ),
    Operation(
        service="query",
        name="queries_run",
        method="POST",
        path="/queries/{id}/run",
        request=queries.QueryRun,
        response=dict[str, Any],
        scope="query:read",
        summary="Run a saved query",
        description="The answer is that of the query's analysis, in every format the analysis has.",
        cache="query",
        formats=("json", "ndjson", "csv", "parquet", "arrow"),
        examples={"as saved": {}, "another range": {"from": "-14d", "to": "-7d"}},
    ),
    Operation(
        service="query",
        name="lists_create",
        method="POST",
        path="/lists",
        request=lists.ListCreate,
        response=lists.ActorList,
        scope="lists:write",
        summary="Keep the actors behind a number as a list",
        lasting=True,
        idempotent=False,
        examples=lists.EXAMPLES,
    ),
    Operation(
        service="query",
        name="lists_list",
        method="GET",
        path="/lists",
        request=lists.ListsList,
        response=lists.ListsPage,
        scope="lists:read",
        summary="Saved lists",
    ),
    Operation(
        service="query",
        name="lists_get",
        method="GET",
        path="/lists/{id}",
        request=lists.ListGet,
        response=lists.ActorList,
        scope="lists:read",
        summary="A saved list, without its actors",
    ),
    Operation(
        service="query",
        name="lists_actors",
        method="GET",
        path="/lists/{id}/actors",
        request=lists.ListActors,
        response=ActorsPage,
        scope="lists:read",
        summary="Actors of a saved list",
    ),
    Operation(
        service="query",
        name="lists_delete",
        method="DELETE",
        path="/lists/{id}",
        request=lists.ListDelete,
        response=lists.ActorList,
        scope="lists:write",
        summary="Delete a saved list",
        idempotent=False,
    ),
)

BY_ID: Final[Mapping[str, Operation]] = MappingProxyType({operation.id: operation for operation in OPERATIONS})


def of_service(service: str) -> tuple[Operation, ...]:
    """Return the operations one service answers."""
    return tuple(operation for operation in OPERATIONS if operation.service == service)
