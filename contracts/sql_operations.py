"""The operations on custom SQL: their part of the one table (contracts/operations.py)."""

from __future__ import annotations

from typing import Final

from contracts import sql
from contracts.operation import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        service="query",
        name="sql",
        method="POST",
        path="/query/sql",
        request=sql.SqlRequest,
        response=sql.SqlResult,
        scope="query:read",
        summary="Custom SQL over the workspace's events",
        description="One SELECT, or EXPLAIN of one, in ClickHouse's SQL. Never cached. Every format but JSON streams.",
        formats=("json", "ndjson", "csv", "parquet", "arrow"),
        examples=sql.EXAMPLES,
    ),
    Operation(
        service="query",
        name="sql_schema",
        method="GET",
        path="/query/sql/schema",
        request=sql.SqlSchemaGet,
        response=sql.SqlSchema,
        scope="query:read",
        summary="Tables, columns, JSON paths and functions of custom SQL",
    ),
    Operation(
        service="query",
        name="sql_estimate",
        method="POST",
        path="/query/sql/estimate",
        request=sql.SqlEstimateRequest,
        response=sql.SqlEstimate,
        scope="query:read",
        summary="What a statement would read, before it runs",
        examples=sql.ESTIMATE_EXAMPLES,
    ),
    Operation(
        service="query",
        name="sql_history",
        method="GET",
        path="/query/sql/history",
        request=sql.SqlHistoryList,
        response=sql.SqlHistoryPage,
        scope="query:read",
        summary="Statements of custom SQL that were sent, newest first",
        description="Of the last 30 days, at most 1,000: text, how it ended, time, rows, who.",
    ),
    Operation(
        service="query",
        name="sql_progress",
        method="GET",
        path="/query/sql/{query_id}",
        request=sql.SqlProgressGet,
        response=sql.SqlProgress,
        scope="query:read",
        summary="How far a query is, or how it ended",
    ),
    Operation(
        service="query",
        name="sql_cancel",
        method="DELETE",
        path="/query/sql/{query_id}",
        request=sql.SqlCancel,
        response=sql.SqlCancelled,
        scope="query:read",
        summary="Stop a query by the id it was sent with",
    ),
)
