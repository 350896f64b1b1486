"""Paths: what actors do one after the other within a session. Meanings: docs/paths.md."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta
from msgspec import field as named

from contracts.analysis import ActorsLimit, AnalyseBy, Cursor
from contracts.base import Message
from contracts.common import Facts, Moment, Tables, TimeZone, WeekStart
from contracts.events import Name
from contracts.predicates import FieldName, Predicate
from contracts.session import MaxDuration, Timeout

StepName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=4_096)]
"""The name of a step: of an event or a page, a path, or the text of a field."""


class PathsRequest(Message, frozen=True, kw_only=True):
    """The ways through sessions. `page` and `track` say what names a step: a field of that event; `path` (of a page) is
    `properties.path`, else `context.page.path`. A path begins at the session's first step named `start`, or ends with
    the first named `end`."""

    table: Tables = ("track", "page")
    page: FieldName = "name"
    track: FieldName = "event"
    names: Annotated[tuple[Name, ...], Meta(max_length=1_000, description="Steps of these names only; empty: all")] = ()
    exclude: Annotated[tuple[Name, ...], Meta(max_length=1_000, description="Steps left out")] = ()
    start: StepName | None = None
    end: StepName | None = None
    positions: Annotated[int, Meta(ge=2, le=10)] = 5
    limit: Annotated[int, Meta(ge=1, le=1_000, description="Edges, the greatest first")] = 50
    timeout: Timeout = 1_800
    max_duration: MaxDuration = 86_400
    from_: Moment = named(default="-30d", name="from")
    to: Moment | None = None
    timezone: TimeZone | None = None
    week_start: WeekStart | None = None
    as_of: Moment | None = None
    analyse_by: AnalyseBy = "actor"
    where: Predicate | None = None
    include_internal: bool = False


class PathNode(Message, frozen=True, kw_only=True):
    """`count`: sessions whose path has the step at this position; `dropped`: those of them whose path has no step after
    it (with `end`: before it) though there was room; null at the last position. Each with its actors."""

    position: int
    name: str
    count: int
    actors: int
    dropped: int | None
    dropped_actors: int | None


class PathEdge(Message, frozen=True, kw_only=True):
    """Sessions whose path goes from the step `from` at `position` to the step `to` at the next, and their actors."""

    position: int
    from_: str = named(name="from")
    to: str
    count: int
    actors: int
    mean_seconds: float


class PathsResult(Message, frozen=True, kw_only=True):
    """`sessions` and `actors` that have a path. `truncated`: there are more edges."""

    sessions: int
    actors: int
    nodes: tuple[PathNode, ...]
    edges: tuple[PathEdge, ...]
    truncated: bool
    meta: Facts


class NodeChoice(Message, frozen=True, kw_only=True, tag_field="kind", tag="node"):
    """Those with a step at a position; with `dropped` those whose path has no step after it."""

    position: Annotated[int, Meta(ge=-9, le=10)]
    name: StepName
    dropped: bool = False


class EdgeChoice(Message, frozen=True, kw_only=True, tag_field="kind", tag="edge"):
    """Those that go from a step at `position` to another at the next."""

    position: Annotated[int, Meta(ge=-9, le=10)]
    from_: StepName = named(name="from")
    to: StepName


class PathsActorsRequest(Message, frozen=True, kw_only=True):
    """The actors behind a node or an edge."""

    query: PathsRequest
    of: NodeChoice | EdgeChoice
    limit: ActorsLimit = 100
    cursor: Cursor | None = None


EXAMPLES: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "after looking at a product": {"start": "Product Viewed", "positions": 4, "from": "-7d", "limit": 5},
        "before an order": {"end": "Order Completed", "from": "-7d", "limit": 5},
        "from page to page": {"table": "page", "page": "path", "from": "-7d", "limit": 5},
    }
)
ACTORS_EXAMPLES: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "who left after a product": {
            "query": {"start": "Product Viewed", "from": "-7d"},
            "of": {"kind": "node", "position": 1, "name": "Product Viewed", "dropped": True},
            "limit": 3,
        }
    }
)
