"""The operation `query.sql_estimate`: what a statement would read, told before it runs."""

from __future__ import annotations

import json
import math
import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence

from contracts.common import Facts
from contracts.errors import InvalidRequest
from contracts.sql import SqlEstimate, SqlEstimateRequest
from services.kit.clickhouse import ClickHouseError
from services.kit.service import RequestContext
from services.query.resources import Resources
from services.query.sql import refused
from services.query.sql.checked import Run, checked, meaning, stream
from services.query.sql.sizes import Sizes, columns_read, estimate, sampled_sql, sizes_sql

_SECONDS = 5.0


async def sql_estimate(resources: Resources, request: SqlEstimateRequest, context: RequestContext) -> SqlEstimate:
    """Answer `query.sql_estimate`.

    Raises:
        InvalidRequest: the statement, a parameter, the clock or the time zone; names the construct and its place.
        TooManyRequests: there was no place in the line, or none became free in time.
        LimitExceeded: the statement would read more than it may.
        DeadlineExceeded, Unavailable: from the engine.
    """
    context.leave()
    async with resources.slots.take(context.workspace, context.deadline):
        run = await checked(resources, request, context, uuid.uuid4(), rows=0)
        if run.written.explained or run.written.described:
            raise InvalidRequest.at(refused.POINTER, "EXPLAIN and DESCRIBE read no rows: ask for a SELECT")
        expected = await _expected(resources, run)
    reads = columns_read(run.tree)
    sizes = await _sizes(resources, expected.keys()) if expected else {}
    for table, each in sizes.items():
        if not each.columns:
            sampled = await _sampled(resources, run, table, sorted(frozenset().union(*reads.get(table, ()))))
            sizes[table] = Sizes(sampled, each.row)
    tables = tuple(
        estimate(table, parts, rows, reads.get(table, ()), sizes.get(table))
        for table, (parts, rows) in sorted(expected.items())
    )
    known = [each.bytes for each in tables if each.bytes is not None]
    return SqlEstimate(
        rows=sum(each.rows for each in tables),
        bytes=sum(known) if len(known) == len(tables) else None,
        parts=sum(each.parts for each in tables),
        tables=tables,
        meta=Facts(rows_read=0, bytes_read=0, as_of=run.as_of, query_id=str(run.query_id)),
    )


async def _expected(resources: Resources, run: Run) -> dict[str, tuple[int, int]]:
    """Return parts and rows of each table, as the engine finds them by its indexes."""
    statement = f"EXPLAIN ESTIMATE {run.written.sql}"
    with meaning(run.text, run.settings):
        async with stream(resources, run, statement, "JSONCompactEachRow") as opened:
            lines = b"".join([chunk async for chunk in opened]).splitlines()
    # Database, table, parts, rows, marks.
    return {table: (int(parts), int(rows)) for _, table, parts, rows, _ in map(json.loads, lines)}


async def _sizes(resources: Resources, tables: Collection[str]) -> dict[str, Sizes]:
    result = await resources.clickhouse.query(sizes_sql(tables), query_id=uuid.uuid4().hex, timeout=_SECONDS)
    columns: defaultdict[str, dict[str, float]] = defaultdict(dict)
    rows: dict[str, float] = {}
    for table, name, size in zip(*result.data, strict=True) if result.data else ():
        if name:
            columns[table.decode()][name.decode()] = size
        else:
            rows[table.decode()] = size
    return {table: Sizes(columns[table], size) for table, size in rows.items()}


async def _sampled(resources: Resources, run: Run, table: str, columns: Sequence[str]) -> dict[str, float]:
    """Return bytes a row of columns as some of the workspace's rows have them: without any those of others, which are
    what would be read."""
    if not columns:
        return {}
    for workspace in (run.workspace, None):
        try:
            result = await resources.clickhouse.query(
                sampled_sql(table, columns, workspace),
                settings={"max_threads": 1},
                query_id=uuid.uuid4().hex,
                timeout=_SECONDS,
            )
        except ClickHouseError:
            # A name that resolves in the statement only: whole rows are the next best.
            return {}
        sizes = {name: each[0] for name, each in zip(columns, result.data, strict=True)}
        if not any(map(math.isnan, sizes.values())):
            return sizes
    return {}
